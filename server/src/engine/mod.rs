//! Scoring on ciphertexts, independent of HTTP and files.
//!
//! - [`linear`]: scalar products, without bootstrapping;
//! - [`network`]: projection networks, with one programmable bootstrapping per projection.

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

/// Scoring engine of one model.
pub enum Engine {
    /// Engine of a linear model.
    Linear(LinearEngine),
    /// Engine of a projection network.
    Network(Box<NetworkEngine>),
}

/// A client's public key, expanded and transformed for scoring.
pub enum PreparedKey {
    /// Key for linear models.
    Linear(LinearKey),
    /// Evaluation key for projection networks.
    Network(Box<NetworkKey>),
}

/// Reason why a query was not scored.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub enum ScoreError {
    /// The platform provides no randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The key has another parameter set than the model.
    #[error("the key is of another parameter set than the model")]
    WrongKey,
}

impl PreparedKey {
    /// Expands and transforms a key, in a fraction of a millisecond for linear models and a
    /// fraction of a second for networks.
    pub fn new(key: &PublicKey) -> Self {
        match key {
            PublicKey::Linear(key) => Self::Linear(LinearKey::new(key)),
            PublicKey::Network(key) => Self::Network(Box::new(NetworkKey::new(key))),
        }
    }

    /// Returns the key's parameter set.
    pub fn set(&self) -> ParameterSet {
        match self {
            Self::Linear(key) => ParameterSet::Linear(key.params()),
            Self::Network(key) => ParameterSet::Network(key.params()),
        }
    }

    /// Returns the size of a prepared key of `set` in memory, in bytes.
    pub fn memory_bytes(set: ParameterSet) -> usize {
        match set {
            ParameterSet::Linear(params) => LinearKey::memory_bytes(params),
            ParameterSet::Network(params) => NetworkKey::memory_bytes(params),
        }
    }
}

impl Engine {
    /// Returns whether a single query keeps all threads of the pool busy.
    pub fn uses_all_threads(&self) -> bool {
        matches!(self, Self::Network(_))
    }

    /// Scores one query that was parsed for this model. A network uses all threads of the rayon
    /// pool it is called on.
    ///
    /// # Errors
    /// If the key has another parameter set, or the platform provides no randomness.
    pub fn score(&self, query: &Query, key: &PreparedKey) -> Result<Response, ScoreError> {
        match (self, key) {
            (Self::Linear(engine), PreparedKey::Linear(key)) => Ok(engine.score(query, key)?),
            (Self::Network(engine), PreparedKey::Network(key)) => Ok(engine.score(query, key)?),
            _ => Err(ScoreError::WrongKey),
        }
    }
}
