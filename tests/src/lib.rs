//! Harness of the end-to-end tests: the real server as a child process, an HTTP client that returns
//! every response, a client of the service with its keys, the program `blindscore`, and proxies
//! that record or interfere.

mod api;
mod client;
mod faults;
mod gate;
pub mod noise;
mod program;
mod proxy;
mod server;
mod stores;
mod user;
pub mod vectors;
mod wide;

pub use api::{Api, Reply};
pub use client::{ModelUser, Oracle, answered};
pub use faults::{Fault, Faults};
pub use gate::{Gate, Passage};
pub use program::{Ended, Program};
pub use proxy::Recorder;
pub use server::{Server, command, token};
pub use stores::{ObjectStoreServer, python, servers};
pub use user::{User, digit};
pub use wide::wide_model;
