//! Wire format of blobs.
//!
//! Each is an [`envelope`] of 84 bytes and a payload whose exact length follows from the kind, the
//! parameter set and the model. Readers check the length *before* they allocate or decode anything.
//! Once checksum and padding are right too, no payload can fail: every bit pattern is a ciphertext
//! of something.

mod bits;
pub mod envelope;
mod evaluation_key;
mod linear_evaluation_key;
mod network_evaluation_key;
mod query;
mod response;
mod secret_key;
mod seed;

pub use crate::kind::Kind;
pub use envelope::{FORMAT_VERSION, HEADER_BYTES, Header, QueryId, WireError};
pub use evaluation_key::EvaluationKey;
pub use linear_evaluation_key::LinearEvaluationKey;
pub use network_evaluation_key::NetworkEvaluationKey;
pub use query::Query;
pub use response::Response;
pub use secret_key::SecretKeyBits;
