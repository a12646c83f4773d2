use blindscore_protocol::{
    descriptor::{DescriptorError, Inputs, short},
    ids::{KeyId, ModelId},
    random::EntropyError,
    wire::WireError,
};
use std::fmt;

/// A feature in words: its position, and its name if it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureName {
    /// Position in the vector, from 0.
    pub index: usize,
    /// What the model calls it.
    pub name: Option<String>,
}

impl FeatureName {
    pub(crate) fn new(inputs: &Inputs, index: usize) -> Self {
        Self {
            index,
            name: inputs.name(index).map(str::to_owned),
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

/// Why a client can't do what it was asked. No variant holds anything secret.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClientError {
    /// Bytes that are not the blob they should be.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// A model descriptor that can't be used.
    #[error(transparent)]
    Descriptor(#[from] DescriptorError),
    /// No randomness, so no keys and no encryption.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The feature vector has another length than the model takes.
    #[error("the model takes {expected} features, got {actual}")]
    FeatureCount {
        /// What the descriptor says.
        expected: usize,
        /// What was given.
        actual: usize,
    },
    /// A feature is NaN, infinite, or outside the model's range.
    #[error("feature {feature} is {}, outside {} to {}", short(.value), short(.min), short(.max))]
    FeatureRange {
        /// Which one.
        feature: FeatureName,
        /// What was given.
        value: f64,
        /// Smallest allowed value.
        min: f64,
        /// Largest allowed value.
        max: f64,
    },
    /// Every feature is in its range, but too many are far out at once.
    #[error(
        "the features together are too far from what the model was fitted on: their distance is {distance:.4}, at most {max:.4} is \
         allowed"
    )]
    FeatureNorm {
        /// From the centre, in widths of the ranges.
        distance: f64,
        /// The model's bound.
        max: f64,
    },
    /// The model needs keys of another parameter set.
    #[error("the model uses parameter set {model}, the key {key}")]
    ParameterSet {
        /// Of the model.
        model: &'static str,
        /// Of the key.
        key: &'static str,
    },
    /// A response that was made with another key.
    #[error("the response belongs to key {found}, not to this key, {expected}")]
    WrongKey {
        /// This key.
        expected: KeyId,
        /// The response's.
        found: KeyId,
    },
    /// A response of another model or another version of it.
    #[error("the response comes from model {found}, not from {expected}")]
    WrongModel {
        /// The descriptor's.
        expected: ModelId,
        /// The response's.
        found: ModelId,
    },
    /// A response to another query.
    #[error("the response answers another query than the one that was sent")]
    WrongQuery,
}

impl ClientError {
    /// Stable, machine-readable name.
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
            Self::ParameterSet { .. } => "parameter_set_mismatch",
            Self::WrongKey { .. } => "key_mismatch",
            Self::WrongModel { .. } => "model_mismatch",
            Self::WrongQuery => "query_mismatch",
        }
    }
}
