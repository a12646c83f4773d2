//! Errors of the client.

use crate::RecordError;
use blindscore_protocol::{
    descriptor::{DescriptorError, Inputs, short},
    ids::{KeyId, ModelId},
    random::EntropyError,
    wire::WireError,
};
use std::fmt;

/// Feature named in a message: its position, and its name if it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureName {
    /// Position in the vector, from 0.
    pub index: usize,
    /// Name that the model gives the feature.
    pub name: Option<String>,
}

impl FeatureName {
    pub(crate) fn new(inputs: &Inputs, index: usize) -> Self {
        Self {
            index,
            name: inputs.describe(index),
        }
    }
}

impl fmt::Display for FeatureName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{} ({name:?})", self.index),
            None => write!(f, "{}", self.index),
        }
    }
}

/// Formats a number with four decimals or fewer.
fn rounded(value: f64) -> String {
    short((value * 1e4).round() / 1e4)
}

/// Why a client operation failed. No variant holds anything secret.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The bytes are not the expected blob.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The model descriptor can't be used.
    #[error(transparent)]
    Descriptor(#[from] DescriptorError),
    /// There is no randomness, so no keys and no encryption.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The feature vector's length is not the one that the model takes.
    #[error("the model takes {expected} features, got {actual}")]
    FeatureCount {
        /// Number of features in the descriptor.
        expected: usize,
        /// Number of features given.
        actual: usize,
    },
    /// A feature is NaN, infinite, or outside the model's range.
    #[error("feature {feature} is {}, outside {} to {}", short(*.value), short(*.min), short(*.max))]
    FeatureRange {
        /// Feature that is out of range.
        feature: FeatureName,
        /// Value that was given.
        value: f64,
        /// Smallest allowed value.
        min: f64,
        /// Largest allowed value.
        max: f64,
    },
    /// Every feature is in its range, but too many are far out at once.
    #[error(
        "the features together are too far from what the model was fitted on: their distance is {}, at most {} is \
         allowed",
        rounded(*.distance),
        rounded(*.max)
    )]
    FeatureNorm {
        /// Distance from the centre, in widths of the ranges.
        distance: f64,
        /// Maximum distance that the model allows.
        max: f64,
    },
    /// The record has no features.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The model needs keys of another parameter set.
    #[error("the model uses parameter set {model}, the key {key}")]
    ParameterSet {
        /// Parameter set of the model.
        model: &'static str,
        /// Parameter set of the key.
        key: &'static str,
    },
    /// The response was made with another key.
    #[error("the response belongs to key {found}, not to this key, {expected}")]
    WrongKey {
        /// Id of this key.
        expected: KeyId,
        /// Id in the response.
        found: KeyId,
    },
    /// The response comes from another model or another version of it.
    #[error("the response comes from model {found}, not from {expected}")]
    WrongModel {
        /// Id in the descriptor.
        expected: ModelId,
        /// Id in the response.
        found: ModelId,
    },
    /// The response answers another query.
    #[error("the response answers another query than the one that was sent")]
    WrongQuery,
}

impl ClientError {
    /// Returns the stable, machine-readable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Wire(WireError::UnsupportedVersion(_))
            | Self::Descriptor(DescriptorError::NoCommonFormat(_)) => "unsupported_format",
            Self::Wire(_) => "malformed_blob",
            Self::Descriptor(_) => "unsupported_model",
            Self::Entropy(_) => "no_entropy",
            Self::FeatureCount { .. } => "feature_count",
            Self::FeatureRange { .. } => "feature_range",
            Self::FeatureNorm { .. } => "feature_norm",
            Self::Record(_) => "record",
            Self::ParameterSet { .. } => "parameter_set_mismatch",
            Self::WrongKey { .. } => "key_mismatch",
            Self::WrongModel { .. } => "model_mismatch",
            Self::WrongQuery => "query_mismatch",
        }
    }
}
