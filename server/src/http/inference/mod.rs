//! The Open Inference Protocol, version 2, as KServe, Triton and MLServer speak it over HTTP.
//!
//! A model has one input, `query`, and one output, `response`: tensors of blobs, one blob a query.
//! Limits, tenants, budgets and scoring are those of `/v1/models/{model}/score`; only requests and
//! responses look different.

mod bad;
mod data;
mod errors;
mod request;
mod response;
mod wire;

pub(super) use errors::{Failure, InferFailure, NotReady, owns, with_error};
pub(super) use request::json_length;
pub(super) use response::{Answering, WireResponse};
pub(super) use wire::WireRequest;

pub use bad::BadInference;
pub use data::Blobs;
pub use request::InferRequest;

/// Name of the only input.
pub(super) const INPUT: &str = "query";
/// Name of the only output.
pub(super) const OUTPUT: &str = "response";
/// Datatype of both.
pub(super) const DATATYPE: &str = "BYTES";
/// What JSON strings of both contain, named as MLServer names it.
pub(super) const CONTENT_TYPE: &str = "base64";
/// Header with the length of the JSON before binary data.
pub(super) const LENGTH_HEADER: &str = "inference-header-content-length";
