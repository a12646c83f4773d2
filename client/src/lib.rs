//! Blindscore's client: keys, encryption of features, decryption of scores.
//!
//! Pure Rust without I/O: the caller provides the transport. The same code runs natively and,
//! through the bindings of `blindscore-wasm`, in the npm package `blindscore`.
//!
//! ```
//! use blindscore_client::ClientKey;
//! use blindscore_engine::{PreparedKey, model::Registry};
//! use blindscore_protocol::wire::{EvaluationKey, Query, QueryId};
//!
//! let registry = Registry::load(None)?;
//! let model = registry.default_model();
//! let format = model.parameters().query_format();
//! let pixels: Vec<f64> = (0..model.descriptor().inputs.count)
//!     .map(|pixel| (pixel % 256) as f64 / 255.0)
//!     .collect();
//!
//! // The client makes its keys, uploads the public one, and encrypts a row.
//! let (secret_key, evaluation_key) = ClientKey::generate(model.parameters())?;
//! let (uploaded, _) = evaluation_key.to_blob();
//! let query = secret_key.encrypt(model.descriptor(), &pixels)?;
//!
//! // The server scores the model on the ciphertext.
//! let prepared = PreparedKey::new(&EvaluationKey::from_blob(&uploaded)?);
//! let received = Query::from_blob(&query, format, pixels.len())?;
//! let response = model.engine().score(&received, &prepared)?.to_blob();
//!
//! // The client decrypts the scores.
//! let scores = secret_key.decrypt(model.descriptor(), QueryId::of(&query)?, &response)?;
//! for (score, plain) in scores.scores.iter().zip(model.plain_scores(&pixels)) {
//!     assert!((score - plain).abs() < 7.0 * model.descriptor().score_error);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod decrypt;
pub mod drawing;
mod encode;
mod encrypt;
mod error;
mod generation;
mod glwe;
mod key;
#[cfg(feature = "known-answers")]
pub mod known_answers;
mod negacyclic;
mod scores;

pub use encode::{Cell, ColumnProblem, Encoder, RecordError};
pub use encrypt::check_features;
pub use error::{ClientError, FeatureName};
pub use generation::EvaluationKeyGeneration;
pub use key::ClientKey;
pub use scores::{Decision, Scores, one_vs_one};
