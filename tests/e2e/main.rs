//! End-to-end tests of the real programs, in one binary: `cargo test -p blindscore-tests MODULE::`
//! runs those of one file.

mod attacks;
mod cli;
#[cfg(feature = "servers")]
mod cloud;
mod compatibility;
mod configuration;
#[cfg(feature = "servers")]
mod conformance;
mod fleet;
mod hostile;
mod import;
mod inference;
#[cfg(feature = "servers")]
mod inference_clients;
mod lifecycle;
mod network;
mod noise;
mod operations;
mod own_network;
mod privacy;
mod publishing;
mod storage;
mod tenants;
mod traces;
mod vectors;
