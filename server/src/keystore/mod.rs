//! Where public keys are kept: uploaded once, content-addressed, immutable, gone after a while.

mod store;

pub use store::{KeyRecord, KeyStore, StoreError, Stored};
