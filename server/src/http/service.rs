//! State shared by all request handlers.

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

/// Cost estimate until the first query has been measured.
const FIRST_GUESS: Duration = Duration::from_millis(50);

/// State shared by all request handlers.
pub(super) struct Service {
    /// Models as they are now; a changed folder gives another registry.
    pub(super) models: RwLock<Arc<Served>>,
    /// Store of uploaded keys.
    pub(super) keys: KeyStore,
    /// Cache of keys in use.
    pub(super) prepared: PreparedKeys,
    /// Scoring threads.
    pub(super) pool: ScoringPool,
    /// Pool time per query of each model.
    pub(super) costs: Costs,
    /// Longest time from a request's arrival to its answer.
    pub(super) deadline: Duration,
    /// Tokens and the tenants they belong to.
    pub(super) access: Access,
    /// Rate limit per tenant.
    pub(super) rate: RateLimit,
    /// Daily query budget per tenant and model.
    pub(super) budget: Option<Arc<DailyBudget>>,
    /// Memory for keys that are being uploaded.
    pub(super) uploads: Bodies,
    /// Memory for queries that are arriving.
    pub(super) queries: Bodies,
    /// Memory for responses that are being read.
    pub(super) answers: Answers,
    /// Metrics of this process.
    pub(super) metrics: PrometheusHandle,
    /// Limits uploaded keys that are checked at once, off the HTTP threads.
    pub(super) checks: Semaphore,
}

/// Models and the serialized responses about them.
pub(super) struct Served {
    pub(super) registry: Registry,
    pub(super) documents: Documents,
}

impl Served {
    /// Serializes the descriptors of `registry`.
    pub(super) fn new(registry: Registry) -> serde_json::Result<Self> {
        let documents = Documents::of(&registry)?;
        Ok(Self { registry, documents })
    }

    /// Returns the model that the request's path names.
    pub(super) fn named(&self, request: &HttpRequest) -> Result<&Arc<Model>, ApiError> {
        let address = request.match_info().get("model").unwrap_or_default();
        self.registry.find(address).map_err(|why| match why {
            NoModel::Retired { newest } => ApiError::ModelRetired { newest },
            NoModel::Unknown => ApiError::ModelNotFound,
        })
    }
}

/// Estimated pool time per query, by model.
#[derive(Default)]
pub(super) struct Costs(RwLock<HashMap<ModelId, Arc<Estimate>>>);

impl Costs {
    /// Returns the estimate of a model. It starts as a guess, which the model's queries correct.
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

    /// Forgets models that are no longer served.
    fn keep(&self, registry: &Registry) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|id, _| registry.has(*id));
    }
}

impl Service {
    /// Returns the models as they are now.
    pub(super) fn models(&self) -> Arc<Served> {
        self.models.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the models. Requests in progress finish with the ones they started with.
    pub(super) fn replace_models(&self, models: Served) {
        self.costs.keep(&models.registry);
        *self.models.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(models);
    }

    /// Returns the size in bytes of the largest key that any model needs, the limit for uploads.
    pub(super) fn key_limit(&self) -> usize {
        let models = self.models();
        let sizes = models
            .registry
            .all()
            .map(|model| model.descriptor().sizes.public_key);
        sizes.max().unwrap_or(0)
    }

    /// Checks whether any model needs keys of this parameter set.
    pub(super) fn uses(&self, set: ParameterSetId) -> bool {
        self.models().registry.all().any(|model| model.set().id() == set)
    }
}

/// Parses a key id. `what` names its source in the error.
pub(super) fn parse_key_id(text: &str, what: &str) -> Result<KeyId, ApiError> {
    text.parse()
        .map_err(|error| ApiError::Malformed(format!("{what} is not a key id: {error}")))
}
