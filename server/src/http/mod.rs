//! The HTTP service: routes, limits, errors, and the threads that score. It knows nothing of polynomials.

mod access;
mod body;
mod budget;
mod envelope;
mod error;
mod estimate;
mod health;
mod keys;
mod metrics;
mod models;
mod openapi;
mod pool;
mod prepared;
mod queries;
mod rate;
mod routes;
mod run;
mod score;
mod service;
mod site;
mod tls;
mod unread;
mod upkeep;

pub use queries::MAX_QUERIES;
pub use rate::Rate;
pub use run::{DailyQueries, Settings, run};
pub use tls::TlsFiles;
