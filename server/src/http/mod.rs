//! HTTP service: connections, limits, handlers and errors.

mod answer;
mod background;
mod body;
mod buffer;
mod caller;
mod connection;
mod documents;
mod drain;
mod error;
mod handlers;
mod hosts;
mod inference;
mod methods;
mod middleware;
mod openapi;
mod pace;
mod queries;
mod refusal;
mod room;
mod routes;
mod server;
mod state;
mod trace;

pub(crate) use crate::traces::TraceSettings;
pub(crate) use connection::TlsFiles;
pub(crate) use hosts::{AllowedHosts, Host};
pub use inference::{BadInference, Blobs, InferRequest};
pub(crate) use server::{DailyQueries, Settings, SharedCounts, run};
