//! Model descriptors: what a server tells a client about a model. Of the weights, they reveal only
//! roughly how large they are together, because the ranges of scores follow from them.

use crate::{
    decimal::Shown,
    encoding::EncodingError,
    ids::ModelId,
    params::ParameterSet,
    wire::{EvaluationKey, FORMAT_VERSION, Query, Response},
};
use serde::Serialize;
use std::ops::RangeInclusive;

mod agreement;
mod answer;
mod checked;
mod curve;
#[cfg(test)]
mod example;
mod fine;
mod inputs;
mod length;
mod link;
mod member;
mod pin;
mod read;
mod task;

pub use crate::decimal::short;
pub use answer::Answer;
pub use checked::CheckedDescriptor;
pub use curve::Curve;
pub use fine::{finer_phase, sent_levels};
pub use inputs::{Feature, ImageShape, Inputs, NormBound};
pub(crate) use length::quoted_bytes;
pub use length::{DESCRIPTOR_BYTES, TEXT_BYTES};
pub use link::{Link, pairs, pairs_of};
pub use member::Member;
pub use pin::{ModelPin, ParsePinError};
pub use task::Task;

/// Allowed number of features.
pub const FEATURES: RangeInclusive<usize> = 1..=16_384;
/// Allowed number of scores.
pub const OUTPUTS: RangeInclusive<usize> = 1..=1_000;
/// Allowed number of levels that an input is quantised to.
pub const LEVELS: RangeInclusive<u32> = 2..=65_536;
/// Allowed factor between the two precisions of scores that are sent twice.
pub const FINE: RangeInclusive<u32> = 2..=1_024;

/// Why no client can work with a descriptor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DescriptorError {
    /// This version doesn't know the parameter set.
    #[error("unknown parameter set {0:?}: this client is older than the server")]
    UnknownParameterSet(String),
    /// The server reads other versions of the wire format than this code writes.
    #[error(
        "the server reads format versions {0:?}, this client writes {FORMAT_VERSION}: {older} has to be updated",
        older = older_side(.0)
    )]
    NoCommonFormat(Vec<u16>),
    /// Task, link, outputs and classes don't fit together.
    #[error("a model for {task} {problem}")]
    Task {
        /// Task of the model.
        task: &'static str,
        /// Description of the mismatch.
        problem: String,
    },
    /// A text, or the whole descriptor, is longer than the format allows.
    #[error("{what} takes {bytes} bytes, more than {allowed}: shorten names and labels")]
    TooLong {
        /// Name of the text, or of the whole.
        what: String,
        /// Length in bytes.
        bytes: usize,
        /// Maximum length in bytes.
        allowed: usize,
    },
    /// The public part can't be run.
    #[error(transparent)]
    Encoding(#[from] EncodingError),
    /// A number is outside the range that the format allows.
    #[error("{what} is {value}, outside {allowed}")]
    OutOfRange {
        /// Name of the field.
        what: &'static str,
        /// Value of the field.
        value: String,
        /// Allowed range.
        allowed: String,
    },
}

/// Allowed range of a number from outside.
const FINITE: RangeInclusive<f64> = -1e300..=1e300;
/// Allowed range of a width from outside.
const POSITIVE: RangeInclusive<f64> = 1e-300..=1e300;

/// Returns which side has to be updated.
fn older_side(served: &[u16]) -> &'static str {
    if served.iter().any(|&version| version > FORMAT_VERSION) {
        "the client"
    } else {
        "the server"
    }
}

fn check<T: Shown>(what: &'static str, value: T, allowed: &RangeInclusive<T>) -> Result<(), DescriptorError> {
    if allowed.contains(&value) {
        return Ok(());
    }
    Err(DescriptorError::OutOfRange {
        what,
        value: value.shown(),
        allowed: format!("{} to {}", allowed.start().shown(), allowed.end().shown()),
    })
}

/// One score: its name and how the integer in a response becomes a number.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Output {
    /// Name of the class or target.
    pub label: String,
    /// The score is `offset + half_range * phase`, with the phase of the response in `[-1, 1)`.
    pub offset: f64,
    /// Half the width of the interval that contains the scores of all valid inputs.
    pub half_range: f64,
}

/// Sizes of the blobs, in bytes.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sizes {
    /// Size of the public key, which is uploaded once.
    pub public_key: usize,
    /// Size of one query.
    pub query: usize,
    /// Size of one response.
    pub response: usize,
}

/// Maximum number of queries in one request, whatever the model.
pub const MAX_QUERIES: usize = 64;
/// Maximum total size of the responses to one request, in bytes, unless it carries a single query.
const MAX_ANSWER_BYTES: usize = 8 << 20;

impl Sizes {
    /// Returns the maximum number of queries in one request by their sizes: [`MAX_QUERIES`], or
    /// fewer if the responses would exceed 8 MiB together.
    fn queries_per_request(&self) -> usize {
        (MAX_ANSWER_BYTES / self.response.max(1)).clamp(1, MAX_QUERIES)
    }
}

/// Description of a model that a server publishes, unchecked; [`CheckedDescriptor`] is the checked
/// one.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelDescriptor {
    /// Name of the model in URLs.
    pub name: String,
    /// Fingerprint of the content; queries carry it.
    pub id: ModelId,
    /// One-line title for people.
    pub title: String,
    /// Versions of the wire format that the server reads ([`FORMAT_VERSION`]).
    pub formats: Vec<u16>,
    /// Name of the parameter set.
    pub parameter_set: String,
    /// Features that the model takes.
    pub inputs: Inputs,
    /// Torus element, as an integer, that encodes one input level. At most 53 of its bits are used,
    /// so that JSON keeps it exact.
    pub input_step: u64,
    /// Factor of precision, if a query has every feature twice: first as levels times `input_step`,
    /// then, in the same order, times a step `fine_features` times smaller. Weights of both make a
    /// finer one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fine_features: Option<u32>,
    /// Scores that the model gives.
    pub outputs: Vec<Output>,
    /// Factor of precision, if a response has every score twice: first as `outputs` says, then, in
    /// the same order, with a half range `fine` times smaller, so that it wraps around several
    /// times. The first tells which of the values that the second may stand for is the score.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fine: Option<u32>,
    /// What of the answer leaves the server: the scores, unless it says `label`.
    #[serde(skip_serializing_if = "Answer::is_scores")]
    pub answer: Answer,
    /// Purpose of the scores.
    pub task: Task,
    /// Labels of the classes that the scores decide between, if not each class has one score: of
    /// the two between which the sign of the only score decides, or of those that several models or
    /// pairs decide between.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<String>>,
    /// Link function from scores to probabilities.
    pub link: Link,
    /// Models whose probabilities are averaged, for the link `mean`. The scores of the first one
    /// come first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Member>,
    /// Sizes of the blobs, in bytes.
    pub sizes: Sizes,
    /// Predicted standard deviation of a score's error, in units of the score; the largest over the
    /// outputs.
    pub score_error: f64,
    /// Share of a public test set that the model gets right, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Most queries in one request, if each takes so long that fewer are sent than usual.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<usize>,
    /// Version under the model's name, where the server keeps versions; it stays at the address
    /// `name@version`. Not part of the fingerprint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
}

impl ModelDescriptor {
    /// Returns the number of features in a query: one for each input, or two if they are sent
    /// twice.
    pub fn sent_features(&self) -> usize {
        self.inputs.count * self.feature_steps().count()
    }

    /// Returns the torus element of one level for each time that the features are sent.
    pub fn feature_steps(&self) -> impl Iterator<Item = u64> {
        let fine = self
            .fine_features
            .map(|fine| self.input_step / u64::from(fine.max(1)));
        [self.input_step].into_iter().chain(fine)
    }

    /// Returns the number of scores in a response: one for each output, or two if they are sent
    /// twice.
    pub fn sent_scores(&self) -> usize {
        self.outputs.len() * if self.fine.is_some() { 2 } else { 1 }
    }
}

impl Sizes {
    /// Returns the sizes for a model of so many features and so many scores in a response.
    pub fn of(set: &ParameterSet, features: usize, outputs: usize) -> Self {
        Self {
            public_key: EvaluationKey::blob_len(set),
            query: Query::blob_len(set.query_format(), features),
            response: Response::blob_len(set.response_format(), outputs),
        }
    }
}
