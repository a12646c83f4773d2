//! The Open Inference Protocol: `POST /v2/models/{model}/infer`, and what the protocol asks about
//! the server and its models.

pub(in crate::http) mod infer;
pub(in crate::http) mod metadata;
