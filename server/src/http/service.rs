use super::{error::ApiError, pool::ScoringPool, prepared::PreparedKeys};
use crate::{
    keystore::KeyStore,
    model::{Model, Registry},
};
use actix_web::HttpRequest;
use blindscore_protocol::{ids::KeyId, params::ParameterSetId};
use std::sync::Arc;

/// What every request handler works with.
pub(super) struct Service {
    /// The models.
    pub(super) models: Registry,
    /// Uploaded keys.
    pub(super) keys: KeyStore,
    /// Keys in use.
    pub(super) prepared: PreparedKeys,
    /// Threads that score.
    pub(super) pool: ScoringPool,
}

impl Service {
    /// Bytes of the largest key that any of the models needs: what an upload may not exceed.
    pub(super) fn key_limit(&self) -> usize {
        let sizes = self
            .models
            .iter()
            .map(|model| model.descriptor().sizes.public_key);
        sizes.max().unwrap_or(0)
    }

    /// Whether any of the models needs keys of this set.
    pub(super) fn uses(&self, set: ParameterSetId) -> bool {
        self.models.iter().any(|model| model.set().id() == set)
    }

    /// The model that the request's path names.
    pub(super) fn model(&self, request: &HttpRequest) -> Result<&Arc<Model>, ApiError> {
        let name = request.match_info().get("model").unwrap_or_default();
        self.models.get(name).ok_or(ApiError::ModelNotFound)
    }
}

/// Reads a key id from the place that `what` names.
pub(super) fn parse_key_id(text: &str, what: &str) -> Result<KeyId, ApiError> {
    text.parse()
        .map_err(|error| ApiError::Malformed(format!("{what} is not a key id: {error}")))
}
