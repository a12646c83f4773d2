//! Key store for clients' public (evaluation) keys: uploaded once, content-addressed, immutable,
//! and deleted when unused.

mod error;
mod local;
mod location;
mod quota;
mod store;

pub use error::{OpenError, StoreError};
pub use location::{Location, StoreOption};
pub use store::{KeyName, KeyRecord, KeyStore, Policy, Stored};
