//! Key store for clients' public (evaluation) keys: uploaded once, content-addressed, immutable,
//! and deleted when unused.

mod error;
mod local;
mod quota;
mod store;

pub use error::KeyStoreError;
pub use store::{KeyName, KeyRecord, KeyStore, Policy, Stored};
