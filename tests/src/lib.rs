//! Harness of the end-to-end tests: the real server as a child process, an HTTP client that returns
//! every response, a user of the service with its keys, the program `blindscore`, and a proxy
//! that records or interferes.

mod api;
mod launch;
pub mod noise;
mod oracle;
mod program;
mod proxy;
mod server;
mod stores;
mod tls;
mod user;
pub mod vectors;
mod wide;

pub use api::{Api, Reply};
pub use oracle::{Oracle, answered};
pub use program::{Ended, Program, blindscore};
pub use proxy::{Fault, Faults, Gate, Passage, Proxy, Recorder};
pub use server::{Server, blindscore_server, monitor_token, operator_token, token};
pub use stores::{ObjectStoreServer, python, servers};
pub use tls::Tls;
pub use user::{User, digit};
pub use wide::wide_model;
