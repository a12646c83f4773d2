//! Link functions.

use serde::{Deserialize, Serialize};

/// Link function, which turns decrypted scores into probabilities or values.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Link {
    /// `exp(s_c) / sum exp(s)`: one of several classes.
    Softmax,
    /// `1 / (1 + exp(-s))` for each score: two classes, or independent labels.
    Sigmoid,
    /// The sigmoid of each score, divided by their sum: one of several classes, each fitted against
    /// the rest.
    OneVsRest,
    /// The scores are probabilities already, such as the mean over a forest; negative ones count as
    /// zero, and each is divided by their sum: one of several classes.
    Probability,
    /// `exp(s)` for each score: values behind a log link (Poisson, gamma and Tweedie regression).
    Exp,
    /// A value of its own curve for each score ([`Curve`](super::Curve)), divided by their sum: one
    /// of several classes, calibrated by isotonic regression. Only members of a mean have it.
    Isotonic,
    /// The mean of the probabilities that several models give ([`Member`](super::Member)): one of
    /// several classes.
    Mean,
    /// One score for each pair of classes, `(0, 1), (0, 2), ..., (1, 2), ...`; a positive one is a
    /// vote for the second class of its pair. Between equally many votes, the sums of the scores
    /// decide, as in scikit-learn's `OneVsOneClassifier`. No probabilities.
    OneVsOne,
    /// One score for each pair of classes, as for [`Self::OneVsOne`]; between equally many votes
    /// the first class wins, as in LIBSVM. No probabilities.
    Votes,
    /// No probabilities: scores are the result (regression), or decide without them (support vector
    /// machines).
    Identity,
}

impl Link {
    /// Returns the name in descriptors and model files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Softmax => "softmax",
            Self::Sigmoid => "sigmoid",
            Self::OneVsRest => "one-vs-rest",
            Self::Probability => "probability",
            Self::Exp => "exp",
            Self::Isotonic => "isotonic",
            Self::Mean => "mean",
            Self::OneVsOne => "one-vs-one",
            Self::Votes => "votes",
            Self::Identity => "identity",
        }
    }
}

/// Returns the pairs of so many classes, in the order of their scores.
pub fn pairs(classes: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..classes).flat_map(move |first| (first + 1..classes).map(move |second| (first, second)))
}

/// Returns the number of pairs of so many classes; `None` if it is too large.
pub const fn pairs_of(classes: usize) -> Option<usize> {
    match classes.checked_mul(classes.saturating_sub(1)) {
        Some(twice) => Some(twice / 2),
        None => None,
    }
}
