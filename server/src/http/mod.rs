//! HTTP service: routes, limits, errors and the scoring threads. It knows nothing of polynomials.

mod access;
mod answer;
mod body;
mod budget;
mod connection;
mod envelope;
mod error;
mod estimate;
mod health;
mod hosts;
mod keys;
mod metrics;
mod models;
mod openapi;
mod pace;
mod pool;
mod prepared;
mod queries;
mod rate;
mod room;
mod routes;
mod run;
mod score;
mod service;
mod site;
mod stream;
mod tls;
mod unread;
mod upkeep;
mod watch;

pub use hosts::{AllowedHosts, Host};
pub use queries::MAX_QUERIES;
pub use rate::Rate;
pub use run::{DailyQueries, Settings, run};
pub use tls::TlsFiles;
