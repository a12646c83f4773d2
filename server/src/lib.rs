//! Blindscore's server: scores models on data that it can't read.
//!
//! - [`engine`]: scoring on ciphertexts; knows nothing of HTTP or files;
//! - [`model`]: model files, quantisation, the registry;
//! - [`import`]: conversion of ONNX and safetensors to model files;
//! - [`keystore`]: clients' evaluation keys;
//! - [`tokens`]: API keys of tenants;
//! - [`telemetry`]: metrics for Prometheus;
//! - [`http`]: the HTTP service;
//! - [`cli`]: the command line.

pub mod cli;
pub mod engine;
mod files;
pub mod http;
pub mod import;
pub mod keystore;
pub mod model;
pub mod telemetry;
pub mod tokens;
