use super::{
    access::Access, answer::Answers, body::Bodies, budget::DailyBudget, error::ApiError, estimate::Estimate,
    models::Documents, pool::ScoringPool, prepared::PreparedKeys, rate::RateLimit,
};
use crate::{
    keystore::KeyStore,
    model::{Model, NoModel, Registry},
};
use actix_web::HttpRequest;
use blindscore_protocol::{
    ids::{KeyId, ModelId},
    params::ParameterSetId,
};
use metrics_exporter_prometheus::PrometheusHandle;
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tokio::sync::Semaphore;

/// How long a query takes, before there was one.
const FIRST_GUESS: Duration = Duration::from_millis(50);

/// What every request handler works with.
pub(super) struct Service {
    /// The models, as they are now: a changed folder gives another registry.
    pub(super) models: RwLock<Arc<Served>>,
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
    /// How many queries in a day.
    pub(super) budget: Option<Arc<DailyBudget>>,
    /// Keys that are being uploaded.
    pub(super) uploads: Bodies,
    /// Queries that are arriving.
    pub(super) queries: Bodies,
    /// Answers that are being read.
    pub(super) answers: Answers,
    /// What this process has counted.
    pub(super) metrics: PrometheusHandle,
    /// Uploaded keys that are checked at a time, away from the threads that serve HTTP.
    pub(super) checks: Semaphore,
}

/// The models, and what is said of them.
pub(super) struct Served {
    pub(super) registry: Registry,
    pub(super) documents: Documents,
}

impl Served {
    /// These models.
    pub(super) fn new(registry: Registry) -> serde_json::Result<Self> {
        let documents = Documents::of(&registry)?;
        Ok(Self { registry, documents })
    }

    /// The model that the request's path names.
    pub(super) fn named(&self, request: &HttpRequest) -> Result<&Arc<Model>, ApiError> {
        let address = request.match_info().get("model").unwrap_or_default();
        self.registry.find(address).map_err(|why| match why {
            NoModel::Retired { newest } => ApiError::ModelRetired { newest },
            NoModel::Unknown => ApiError::ModelNotFound,
        })
    }
}

/// How much of the scoring pool a query takes, by model.
#[derive(Default)]
pub(super) struct Costs(RwLock<HashMap<ModelId, Arc<Estimate>>>);

impl Costs {
    /// Of a model; at first a guess, which its queries will correct.
    pub(super) fn of(&self, model: ModelId) -> Arc<Estimate> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(estimate) = known.get(&model) {
            return estimate.clone();
        }
        drop(known);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known
            .entry(model)
            .or_insert_with(|| Arc::new(Estimate::new(FIRST_GUESS)))
            .clone()
    }

    /// Forgets models that are served no more.
    fn keep(&self, registry: &Registry) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|id, _| registry.has(*id));
    }
}

impl Service {
    /// The models, as they are now.
    pub(super) fn models(&self) -> Arc<Served> {
        self.models.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Serves other models from now on. Requests in progress end with the ones they began with.
    pub(super) fn replace_models(&self, models: Served) {
        self.costs.keep(&models.registry);
        *self.models.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(models);
    }

    /// Bytes of the largest key that any of the models needs: what an upload may not exceed.
    pub(super) fn key_limit(&self) -> usize {
        let models = self.models();
        let sizes = models
            .registry
            .all()
            .map(|model| model.descriptor().sizes.public_key);
        sizes.max().unwrap_or(0)
    }

    /// Whether any of the models needs keys of this set.
    pub(super) fn uses(&self, set: ParameterSetId) -> bool {
        self.models().registry.all().any(|model| model.set().id() == set)
    }
}

/// Reads a key id from the place that `what` names.
pub(super) fn parse_key_id(text: &str, what: &str) -> Result<KeyId, ApiError> {
    text.parse()
        .map_err(|error| ApiError::Malformed(format!("{what} is not a key id: {error}")))
}
