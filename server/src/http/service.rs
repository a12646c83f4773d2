use super::{
    access::Access, body::Bodies, error::ApiError, estimate::Estimate, pool::ScoringPool,
    prepared::PreparedKeys, rate::RateLimit,
};
use crate::{
    keystore::KeyStore,
    model::{Model, Registry},
};
use actix_web::HttpRequest;
use blindscore_protocol::{ids::KeyId, params::ParameterSetId};
use metrics_exporter_prometheus::PrometheusHandle;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::sync::Semaphore;

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
    /// How much of the pool a query of each model takes.
    pub(super) costs: Costs,
    /// How long a request may wait for its turn.
    pub(super) deadline: Duration,
    /// Who may ask.
    pub(super) access: Access,
    /// How often.
    pub(super) rate: RateLimit,
    /// Request bodies in memory.
    pub(super) bodies: Bodies,
    /// What this process has counted.
    pub(super) metrics: PrometheusHandle,
    /// Uploaded keys that are checked at a time, away from the threads that serve HTTP.
    pub(super) checks: Semaphore,
}

/// How much of the scoring pool a query takes, by model.
pub(super) struct Costs(HashMap<String, Estimate>);

impl Costs {
    /// A guess for each model, which the first queries will correct.
    pub(super) fn new(models: &Registry) -> Self {
        let guess = |model: &Arc<Model>| {
            (
                model.descriptor().name.clone(),
                Estimate::new(Duration::from_millis(50)),
            )
        };
        Self(models.iter().map(guess).collect())
    }

    /// Of a model that is served.
    pub(super) fn of(&self, model: &Model) -> &Estimate {
        &self.0[&model.descriptor().name]
    }
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
