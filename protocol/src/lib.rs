//! What Blindscore's client and server agree on, and nothing else: no I/O, no scoring.
//!
//! - [`params`]: parameter sets, each with its security source;
//! - [`noise`]: the variance formulas that go with them;
//! - [`descriptor`]: what a server tells a client about a model;
//! - [`columns`]: how tables of features are read;
//! - [`deskew`]: what some models expect clients to do with images;
//! - [`wire`]: the bytes that travel: public key, query, response, and the exported secret key;
//! - [`ids`]: identifiers of keys and models;
//! - [`problem`]: error codes of the HTTP API;
//! - [`random`]: seeds and the masks that are expanded from them;
//! - [`ring`]: coefficients of products.
//!
//! # Conventions
//!
//! Ciphertexts are over the ring `Z_q[X]/(X^N + 1)` with `q = 2^64`, `k = 1` and a binary secret `s`.
//! A GLWE ciphertext is `(A, B)` and its phase is `B - A*s`. "The torus" is `[0, 1)`, a `u64` divided by 2^64.

pub mod columns;
pub mod descriptor;
pub mod deskew;
pub mod ids;
pub mod noise;
pub mod params;
pub mod problem;
pub mod random;
pub mod ring;
pub mod wire;

/// Media type of every binary blob.
pub const OCTET_STREAM: &str = "application/octet-stream";

/// Request header that names the key a binary query was encrypted for.
pub const KEY_HEADER: &str = "Blindscore-Key";
