use blindscore_protocol::{
    descriptor::DescriptorError,
    ids::{KeyId, ModelId},
    random::EntropyError,
    wire::WireError,
};

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
    #[error("feature {index} is {value}, outside {min} to {max}")]
    FeatureRange {
        /// Position in the vector, from 0.
        index: usize,
        /// What was given.
        value: f64,
        /// Smallest allowed value.
        min: f64,
        /// Largest allowed value.
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
            Self::ParameterSet { .. } => "parameter_set_mismatch",
            Self::WrongKey { .. } => "key_mismatch",
            Self::WrongModel { .. } => "model_mismatch",
        }
    }
}
