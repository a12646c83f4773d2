//! Harness of the end-to-end tests: the real server as a child process, an HTTP client that reads every answer,
//! a client of the service with its keys, and a proxy that records what travels.

mod api;
mod proxy;
mod server;
mod user;

pub use api::{Api, Reply};
pub use proxy::Recorder;
pub use server::{Server, command};
pub use user::{User, digit};
