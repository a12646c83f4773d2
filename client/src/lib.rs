//! Blindscore's client: keys, encryption of features, decryption of scores.
//!
//! Pure Rust without I/O: the caller provides the transport. The same code runs natively and,
//! through the bindings of `blindscore-wasm`, in the npm package `blindscore`.
//!
//! ```
//! use blindscore_client::ClientKey;
//! use blindscore_protocol::wire::QueryId;
//! # use blindscore_engine::{PreparedKey, model::Registry};
//! # use blindscore_protocol::wire::{EvaluationKey, Query};
//! #
//! # let registry = Registry::load(None)?;
//! # let served = registry.default_model();
//! # let model = served.descriptor();
//! # let pixels = 0..model.inputs.count;
//! # let row: Vec<f64> = pixels.map(|pixel| (pixel % 256) as f64 / 255.0).collect();
//!
//! // `model` is the server's descriptor, and `row` a number for each of the model's inputs.
//! let (secret_key, evaluation_key) = ClientKey::generate(model.parameters())?;
//! let (uploaded, _) = evaluation_key.to_blob();
//! let query = secret_key.encrypt(model, &row)?;
//!
//! // The server gets the uploaded key and the query, and answers with a response.
//! # let prepared = PreparedKey::new(&EvaluationKey::from_blob(&uploaded)?);
//! # let received = Query::from_blob(&query, model.parameters().query_format(), row.len())?;
//! # let response = served.engine().score(&received, &prepared)?.to_blob();
//! let decrypted = secret_key.decrypt(model, QueryId::of(&query)?, &response)?;
//! # for (score, plain) in decrypted.scores.iter().zip(served.plain_scores(&row)) {
//! #     assert!((score - plain).abs() < 7.0 * model.score_error);
//! # }
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

pub use encode::{Cell, ColumnProblem, Encoder, RecordError, bucket};
pub use encrypt::check_features;
pub use error::{ClientError, FeatureName};
pub use generation::EvaluationKeyGeneration;
pub use key::ClientKey;
pub use scores::{Decision, Scores, calibrated, one_vs_one};
