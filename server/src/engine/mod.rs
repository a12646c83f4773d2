//! Scoring on ciphertexts. Knows nothing of HTTP or files.
//!
//! - [`linear`]: scalar products, no bootstrapping;
//! - [`network`]: projection networks, one programmable bootstrapping for each projection.

mod exact;
mod fourier;
pub mod linear;
pub mod network;
mod rounding;
mod weights;

use blindscore_protocol::{
    params::ParameterSet,
    random::EntropyError,
    wire::{PublicKey, Query, Response},
};
pub use linear::{IntegerOutput, LinearEngine, LinearKey};
pub use network::{IntegerNetwork, NetworkEngine, NetworkKey};

/// What scores queries of one model.
pub enum Engine {
    /// A linear model.
    Linear(LinearEngine),
    /// A projection network.
    Network(Box<NetworkEngine>),
}

/// A public key in the form that scoring needs.
pub enum PreparedKey {
    /// For linear models.
    Linear(LinearKey),
    /// For projection networks.
    Network(Box<NetworkKey>),
}

/// Why a query was not scored.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub enum ScoreError {
    /// No randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The key is of another parameter set than the model.
    #[error("the key is of another parameter set than the model")]
    WrongKey,
}

impl PreparedKey {
    /// Expands and transforms a key: a fraction of a millisecond for a linear model's, a fraction of a second for a network's.
    pub fn new(key: &PublicKey) -> Self {
        match key {
            PublicKey::Linear(key) => Self::Linear(LinearKey::new(key)),
            PublicKey::Network(key) => Self::Network(Box::new(NetworkKey::new(key))),
        }
    }

    /// Parameters of the key.
    pub fn set(&self) -> ParameterSet {
        match self {
            Self::Linear(key) => ParameterSet::Linear(key.params()),
            Self::Network(key) => ParameterSet::Network(key.params()),
        }
    }

    /// Bytes of memory that a key of `set` holds.
    pub fn memory_bytes(set: ParameterSet) -> usize {
        match set {
            ParameterSet::Linear(params) => LinearKey::memory_bytes(params),
            ParameterSet::Network(params) => NetworkKey::memory_bytes(params),
        }
    }
}

impl Engine {
    /// Whether one query keeps all threads of the pool busy.
    pub fn uses_all_threads(&self) -> bool {
        matches!(self, Self::Network(_))
    }

    /// Scores one query that was read for this model. A network uses all threads of the rayon pool it is called on.
    ///
    /// # Errors
    /// If the key is of another parameter set, or the platform gives no randomness.
    pub fn score(&self, query: &Query, key: &PreparedKey) -> Result<Response, ScoreError> {
        match (self, key) {
            (Self::Linear(engine), PreparedKey::Linear(key)) => Ok(engine.score(query, key)?),
            (Self::Network(engine), PreparedKey::Network(key)) => Ok(engine.score(query, key)?),
            _ => Err(ScoreError::WrongKey),
        }
    }
}
