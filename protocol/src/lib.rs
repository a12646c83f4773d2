//! Shared definitions of Blindscore's client and server: no I/O, no scoring.
//!
//! - [`params`]: parameter sets, each with its security source;
//! - [`noise`]: variance formulas for the parameter sets;
//! - [`descriptor`]: public descriptions of models;
//! - [`columns`]: reading rules for tables of features;
//! - [`encoding`]: the public part of a model, which clients run;
//! - [`json`]: JSON of unknown content;
//! - [`deskew`]: image preparation that some models expect of clients;
//! - [`wire`]: blobs: public key, query, response, and the exported secret key;
//! - [`environment`]: environment variables;
//! - [`name`]: names and addresses of models;
//! - [`ids`]: identifiers of keys and models;
//! - [`problem`]: error codes of the HTTP API;
//! - [`policy`]: slow connections, time limits, retries;
//! - [`random`]: seeds, the masks expanded from them, and secret samples;
//! - [`polynomial`]: coefficients of products, and automorphisms.
//!
//! # Conventions
//!
//! Ciphertexts are over the ring `Z_q[X]/(X^N + 1)` with `q = 2^64` and binary secrets. For linear
//! models `k = 1`: a GLWE ciphertext is `(A, B)` and its phase is `B - A*s`. "The torus" is
//! `[0, 1)`, a `u64` divided by 2^64.

pub mod columns;
mod decimal;
pub mod descriptor;
pub mod deskew;
pub mod encoding;
pub mod environment;
pub mod ids;
pub mod json;
mod kind;
pub mod name;
pub mod noise;
pub mod params;
pub mod policy;
pub mod polynomial;
pub mod problem;
pub mod random;
pub mod wire;

/// Media type of every binary blob.
pub const OCTET_STREAM: &str = "application/octet-stream";

/// Request header that names the key that a binary query was encrypted with.
pub const KEY_HEADER: &str = "Blindscore-Key";
