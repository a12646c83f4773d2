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
    /// `exp(s)` for each score: values behind a log link (Poisson, gamma and Tweedie regression).
    Exp,
    /// The mean of the probabilities that several models give ([`Member`]): one of several classes.
    Mean,
    /// One score for each pair of classes, `(0, 1), (0, 2), ..., (1, 2), ...`; a positive one is a
    /// vote for the second class of its pair. Between equally many votes, the sums of the scores
    /// decide, as in scikit-learn's `OneVsOneClassifier`. No probabilities.
    OneVsOne,
    /// The same, and between equally many votes the first class wins, as in LIBSVM.
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
            Self::Exp => "exp",
            Self::Mean => "mean",
            Self::OneVsOne => "one-vs-one",
            Self::Votes => "votes",
            Self::Identity => "identity",
        }
    }
}
