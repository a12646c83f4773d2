//! Wire format of blobs.
//!
//! Each is an [`envelope`] of 84 bytes and a payload whose exact length follows from the kind, the
//! parameter set and the model. Readers check the length *before* they allocate or decode anything.
//! Once checksum and padding are right too, no payload can fail: every bit pattern is a ciphertext
//! of something.

mod bits;
pub mod envelope;
mod linear_key;
mod network_key;
mod public_key;
mod query;
mod response;
mod secret_key;

pub use envelope::{FORMAT_VERSION, HEADER_BYTES, Header, Kind, QueryId, WireError};
pub use linear_key::LinearPublicKey;
pub use network_key::NetworkPublicKey;
pub use public_key::PublicKey;
pub use query::Query;
pub use response::Response;
pub use secret_key::SecretKeyBits;
