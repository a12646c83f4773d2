//! Handlers of the HTTP API, and the page.

pub(super) mod health;
pub(super) mod inference;
pub(super) mod keys;
pub(super) mod metrics;
pub(super) mod models;
pub(super) mod publishing;
pub(super) mod score;
pub(super) mod site;

use super::error::ApiError;
use blindscore_protocol::ids::KeyId;

/// Parses a key id. `what` names its source in the error.
fn parse_key_id(text: &str, what: &str) -> Result<KeyId, ApiError> {
    text.parse()
        .map_err(|error| ApiError::Malformed(format!("{what} is not a key id: {error}")))
}
