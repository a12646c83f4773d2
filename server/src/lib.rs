//! Blindscore's server: scores models on data it can't read.
//!
//! - [`engine`]: scoring on ciphertexts; knows nothing of HTTP or files;
//! - [`model`]: model files, quantisation, the registry;
//! - [`import`]: from ONNX and safetensors to model files;
//! - [`keystore`]: clients' public keys;
//! - [`tokens`]: API keys of tenants;
//! - [`telemetry`]: what Prometheus can ask;
//! - [`http`]: the service;
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
