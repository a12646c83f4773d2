//! What a server tells a client about a model. Of its weights, only about how large they are together: ranges of scores follow from them.

use crate::{
    ids::ModelId,
    params::ParameterSet,
    wire::{FORMAT_VERSION, PublicKey, Query, Response},
};
use serde::{Deserialize, Serialize};
use std::{fmt, ops::RangeInclusive};

mod agreement;
#[cfg(test)]
mod example;
mod inputs;
mod length;
mod pin;
mod task;

pub use inputs::{Feature, ImageShape, Inputs, NormBound};
pub use length::{DESCRIPTOR_BYTES, TEXT_BYTES};
pub use pin::{ModelPin, ParsePinError};
pub use task::Task;

/// Features a model may have.
pub const FEATURES: RangeInclusive<usize> = 1..=16_384;
/// Scores a model may give.
pub const OUTPUTS: RangeInclusive<usize> = 1..=1_000;
/// Levels an input may be quantised to.
pub const LEVELS: RangeInclusive<u32> = 2..=65_536;

/// A descriptor that no client can work with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DescriptorError {
    /// The parameter set is not known to this version.
    #[error("unknown parameter set {0:?}: this client is older than the server")]
    UnknownParameterSet(String),
    /// The server reads other versions of the wire format than this code writes.
    #[error(
        "the server reads format versions {0:?}, this client writes {FORMAT_VERSION}: {older} has to be updated",
        older = older_side(.0)
    )]
    NoCommonFormat(Vec<u16>),
    /// Task, link, outputs and classes that don't fit together.
    #[error("a model for {task} {problem}")]
    Task {
        /// The task.
        task: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// A name, or all of them together, are longer than the format allows.
    #[error("{what} takes {bytes} bytes, more than {allowed}: shorten names and labels")]
    TooLong {
        /// The text, or the whole.
        what: String,
        /// Its length.
        bytes: usize,
        /// What would be right.
        allowed: usize,
    },
    /// A number is outside what the format allows.
    #[error("{what} is {value}, outside {allowed}")]
    OutOfRange {
        /// The field.
        what: &'static str,
        /// Its value.
        value: String,
        /// What would be right.
        allowed: String,
    },
}

/// What a number from outside may be.
const FINITE: RangeInclusive<f64> = -1e300..=1e300;
/// What a width from outside may be.
const POSITIVE: RangeInclusive<f64> = 1e-300..=1e300;

/// Which of the two has to be updated.
fn older_side(served: &[u16]) -> &'static str {
    if served.iter().any(|&version| version > FORMAT_VERSION) {
        "the client"
    } else {
        "the server"
    }
}

/// A number in few characters: 1e300, and not a one with 300 zeros.
pub fn short(value: impl fmt::Debug) -> String {
    // This form has an exponent for what is very large or small, and else a decimal point, which whole numbers need not have.
    let text = format!("{value:?}");
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

fn check<T: PartialOrd + fmt::Debug + Copy>(
    what: &'static str,
    value: T,
    allowed: &RangeInclusive<T>,
) -> Result<(), DescriptorError> {
    if allowed.contains(&value) {
        return Ok(());
    }
    Err(DescriptorError::OutOfRange {
        what,
        value: short(value),
        allowed: format!("{} to {}", short(allowed.start()), short(allowed.end())),
    })
}

/// How decrypted scores become probabilities.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Link {
    /// `exp(s_c) / sum exp(s)`: one of several classes.
    Softmax,
    /// `1 / (1 + exp(-s))` of each score: two classes, or independent labels.
    Sigmoid,
    /// The sigmoid of each score, divided by their sum: one of several classes, each fitted against the rest.
    OneVsRest,
    /// No probabilities: scores are the answer (regression), or decide without them (support vector machines).
    Identity,
}

impl Link {
    /// Its name in descriptors and model files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Softmax => "softmax",
            Self::Sigmoid => "sigmoid",
            Self::OneVsRest => "one-vs-rest",
            Self::Identity => "identity",
        }
    }
}

/// One score: its name and how the integer in a response becomes a number.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Output {
    /// Name of the class or target.
    pub label: String,
    /// The score is `offset + half_range * phase`, with the phase of the response in `[-1, 1)`.
    pub offset: f64,
    /// Half the width of the interval that no input can leave.
    pub half_range: f64,
}

/// Sizes in bytes of what travels.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sizes {
    /// Public key, uploaded once.
    pub public_key: usize,
    /// One query.
    pub query: usize,
    /// One response.
    pub response: usize,
}

/// Queries that one request may carry, whatever the model.
pub const MAX_QUERIES: usize = 64;
/// Bytes that the responses to one request may have together, unless it carries one query.
const MAX_ANSWER_BYTES: usize = 8 << 20;

impl Sizes {
    /// Queries that one request to the model may carry: at most [`MAX_QUERIES`], and fewer if responses are so long that they would have
    /// more than 8 MiB together.
    pub fn queries_per_request(&self) -> usize {
        (MAX_ANSWER_BYTES / self.response.max(1)).clamp(1, MAX_QUERIES)
    }
}

/// What a server publishes about a model.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelDescriptor {
    /// Name in URLs.
    pub name: String,
    /// Fingerprint of the content; queries carry it.
    pub id: ModelId,
    /// A line for people.
    pub title: String,
    /// Versions of the wire format that the server reads ([`FORMAT_VERSION`]).
    pub formats: Vec<u16>,
    /// Name of the parameter set.
    pub parameter_set: String,
    /// What goes in.
    pub inputs: Inputs,
    /// Torus element, as an integer, that one input level is encrypted as. At most 53 bits of it are used, so that JSON keeps it.
    pub input_step: u64,
    /// What comes out.
    pub outputs: Vec<Output>,
    /// What the scores are for.
    pub task: Task,
    /// The two labels between which the sign of the only output decides, if that is what it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<[String; 2]>,
    /// From scores to probabilities.
    pub link: Link,
    /// Bytes on the wire.
    pub sizes: Sizes,
    /// Predicted standard deviation of the error of a score, in units of the score; the largest over the outputs.
    pub score_error: f64,
    /// Share of a public test set the model gets right, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Which version of its name this is, where the server keeps versions; it stays at the address `name@version`. Not part of the fingerprint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
}

impl ModelDescriptor {
    /// Checks every number a client computes with, and gives the parameter set.
    pub fn parse(&self) -> Result<ParameterSet, DescriptorError> {
        // First: messages of what follows show names.
        self.check_length()?;
        if !self.formats.contains(&FORMAT_VERSION) {
            return Err(DescriptorError::NoCommonFormat(self.formats.clone()));
        }
        let set = ParameterSet::by_name(&self.parameter_set)
            .ok_or_else(|| DescriptorError::UnknownParameterSet(self.parameter_set.clone()))?;
        self.inputs.check()?;
        check("outputs", self.outputs.len(), &OUTPUTS)?;
        check("input_step", self.input_step, &(1..=1 << 62))?;
        for output in &self.outputs {
            check("output offset", output.offset, &FINITE)?;
            check("output half_range", output.half_range, &POSITIVE)?;
        }
        check("score_error", self.score_error, &(0.0..=*FINITE.end()))?;
        if let Some(accuracy) = self.accuracy {
            check("accuracy", accuracy, &(0.0..=1.0))?;
        }
        self.check_task()?;
        Ok(set)
    }
}

impl Sizes {
    /// Sizes for a model of this shape.
    pub fn of(set: &ParameterSet, features: usize, outputs: usize) -> Self {
        Self {
            public_key: PublicKey::blob_len(set),
            query: Query::blob_len(set.query_format(), features),
            response: Response::blob_len(set.response_format(), outputs),
        }
    }
}
