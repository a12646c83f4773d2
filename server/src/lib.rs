//! Blindscore's server: scores models on data that it can't read.
//!
//! - [`keystore`]: clients' evaluation keys;
//! - [`objects`]: where keys, models, tokens and counts are stored;
//! - `library`: the models besides the bundled ones;
//! - [`tenants`]: who may use the server, and how much;
//! - `scoring`: keys in use, scoring threads, and admission by expected time;
//! - `telemetry`: metrics for Prometheus;
//! - `traces`: traces for OpenTelemetry;
//! - [`http`]: the HTTP service;
//! - [`cli`]: the command line.
//!
//! Scoring itself is in the crate `blindscore-engine`. This crate can't decrypt: it depends neither
//! on the client nor on the import of foreign files.

pub mod cli;
pub mod http;
pub mod keystore;
mod library;
pub mod objects;
mod scoring;
mod telemetry;
pub mod tenants;
mod time;
mod traces;
