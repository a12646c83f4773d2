//! Blindscore's scoring engine, independent of HTTP.
//!
//! - [`linear`]: scalar products, without bootstrapping;
//! - [`network`]: projection networks, with one programmable bootstrapping per projection;
//! - [`forest`]: ensembles of decision trees, likewise;
//! - [`layers`]: networks of several layers of units, each a table of any function;
//! - [`bits`]: what responses hold where only the label leaves the server;
//! - [`model`]: model files, quantisation, and the registry of a server's models;
//! - [`files`]: reading files of unknown origin.
//!
//! ```
//! # use blindscore_client::ClientKey;
//! use blindscore_engine::{PreparedKey, model::Registry};
//! use blindscore_protocol::wire::{EvaluationKey, Query};
//! # use blindscore_protocol::wire::QueryId;
//!
//! let registry = Registry::load(None)?; // the bundled models
//! let model = registry.default_model();
//! # let row: Vec<f64> = (0..model.descriptor().inputs.count)
//! #     .map(|pixel| (pixel % 256) as f64 / 255.0)
//! #     .collect();
//! # let (secret_key, evaluation_key) = ClientKey::generate(model.parameters())?;
//! # let (uploaded, _) = evaluation_key.to_blob();
//! # let received = secret_key.encrypt(model.descriptor(), &row)?;
//!
//! // A client has uploaded an evaluation key, which serves all of its queries.
//! let prepared = PreparedKey::new(&EvaluationKey::from_blob(&uploaded)?);
//!
//! // It has sent a query, and gets a response that only its secret key opens.
//! let format = model.parameters().query_format();
//! let query = Query::from_blob(&received, format, model.descriptor().sent_features())?;
//! let response = model.engine().score(&query, &prepared)?.to_blob();
//! # let decrypted = secret_key.decrypt(model.descriptor(), QueryId::of(&received)?, &response)?;
//! # for (score, plain) in decrypted.scores.iter().zip(model.plain_scores(&row)) {
//! #     assert!((score - plain).abs() < 7.0 * model.descriptor().score_error);
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod bits;
mod exact;
pub mod files;
pub mod forest;
mod fourier;
pub mod layers;
pub mod linear;
pub mod model;
pub mod network;
mod rounding;
mod weights;

use blindscore_protocol::{
    params::ParameterSet,
    random::EntropyError,
    wire::{EvaluationKey, Query, Response},
};
pub use forest::ForestEngine;
pub use layers::LayersEngine;
pub use linear::{IntegerOutput, LinearEngine, LinearKey};
pub use network::{IntegerNetwork, NetworkEngine, NetworkKey};

/// Scoring engine of one model.
pub enum Engine {
    /// Engine of a linear model.
    Linear(LinearEngine),
    /// Engine of a projection network.
    Network(Box<NetworkEngine>),
    /// Engine of an ensemble of trees.
    Forest(Box<ForestEngine>),
    /// Engine of a network of several layers.
    Layers(Box<LayersEngine>),
}

/// A client's evaluation key, expanded and transformed for scoring.
pub enum PreparedKey {
    /// Key for linear models.
    Linear(LinearKey),
    /// Evaluation key for networks and trees.
    Network(Box<NetworkKey>),
}

/// Reason why a query was not scored.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[non_exhaustive]
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
    pub fn new(key: &EvaluationKey) -> Self {
        match key {
            EvaluationKey::Linear(key) => Self::Linear(LinearKey::new(key)),
            EvaluationKey::Network(key) => Self::Network(Box::new(NetworkKey::new(key))),
        }
    }

    /// Returns the key's parameter set.
    pub fn parameters(&self) -> ParameterSet {
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
        matches!(self, Self::Network(_) | Self::Forest(_) | Self::Layers(_))
    }

    /// Returns the number of threads that a single query takes on the current rayon pool.
    pub fn threads(&self) -> usize {
        if self.uses_all_threads() {
            rayon::current_num_threads()
        } else {
            1
        }
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
            (Self::Forest(engine), PreparedKey::Network(key)) => Ok(engine.score(query, key)?),
            (Self::Layers(engine), PreparedKey::Network(key)) => Ok(engine.score(query, key)?),
            _ => Err(ScoreError::WrongKey),
        }
    }
}
