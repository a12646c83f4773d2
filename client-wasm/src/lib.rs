//! Blindscore's client: keys, encryption of features, decryption of scores.
//!
//! Pure Rust without I/O. The same code runs natively and, through a thin layer of bindings, as
//! WebAssembly in the npm package `blindscore`. The caller provides the transport.
//!
//! ```
//! use blindscore_client::ClientKey;
//! use blindscore_protocol::params::{LinearParams, ParameterSet};
//!
//! let (key, public_key) = ClientKey::generate(ParameterSet::Linear(LinearParams::N2048))?;
//! let (blob, id) = public_key.to_blob(); // uploaded to the server once
//! assert_eq!(id, key.key_id());
//! # Ok::<(), blindscore_client::ClientError>(())
//! ```

#[cfg(target_arch = "wasm32")]
mod bindings;
mod decrypt;
pub mod drawing;
mod encrypt;
mod error;
mod generation;
mod key;
#[cfg(feature = "known-answers")]
pub mod known_answers;
mod negacyclic;
mod seeded;

pub use decrypt::{Decision, Scores};
pub use encrypt::check_features;
pub use error::{ClientError, FeatureName};
pub use generation::PublicKeyGeneration;
pub use key::ClientKey;
