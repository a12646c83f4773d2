//! State shared by all request handlers.

use super::{answer::Answers, body::Bodies, documents::Documents, error::ApiError};
use crate::{
    library::{Library, LibraryError},
    scoring::Scorer,
    telemetry,
    tenants::{DailyBudget, RateLimit, Share},
};
use actix_web::HttpRequest;
use blindscore_engine::model::{Model, NoModel, Registry};
use blindscore_protocol::params::ParameterSetId;
use metrics::{counter, gauge};
use metrics_exporter_prometheus::PrometheusHandle;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::{Mutex, Semaphore};

/// State shared by all request handlers.
pub(super) struct AppState {
    /// Models as they are now; changed files give another registry.
    pub(super) models: RwLock<Arc<Served>>,
    /// Models besides the bundled ones, if they have a location. Locked while they change.
    pub(super) model_library: Option<Mutex<Library>>,
    /// Keys, and the threads that score.
    pub(super) scorer: Scorer,
    /// Rate limit per tenant.
    pub(super) rate: RateLimit,
    /// Daily query budget per tenant and model.
    pub(super) budget: Option<Arc<DailyBudget>>,
    /// Counts shared with other servers.
    pub(super) share: Option<Arc<Share>>,
    /// Memory for keys that are being uploaded.
    pub(super) uploads: Bodies,
    /// Memory for models that are being published.
    pub(super) publishing: Bodies,
    /// Memory for queries that are arriving.
    pub(super) queries: Bodies,
    /// Memory for responses that are being read.
    pub(super) answers: Answers,
    /// Metrics of this process.
    pub(super) metrics: PrometheusHandle,
    /// Limits uploaded keys that are checked at once, off the HTTP threads.
    pub(super) checks: Arc<Semaphore>,
}

/// Why changed models aren't served.
#[derive(Debug, thiserror::Error)]
pub(super) enum RefreshError {
    /// They can't be loaded.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// A descriptor has no JSON form.
    #[error("a model can't be described: {0}")]
    Descriptor(#[from] serde_json::Error),
}

/// Models and the serialized responses about them.
pub(super) struct Served {
    pub(super) registry: Arc<Registry>,
    pub(super) documents: Documents,
}

impl Served {
    /// Serializes the descriptors of `registry`.
    pub(super) fn new(registry: Arc<Registry>) -> serde_json::Result<Self> {
        let documents = Documents::of(&registry)?;
        Ok(Self { registry, documents })
    }

    /// Returns the model that the request's path names, in the version that it names if it does.
    pub(super) fn named(&self, request: &HttpRequest) -> Result<&Arc<Model>, ApiError> {
        let path = request.match_info();
        let address = path.get("model").unwrap_or_default();
        let found = match path.get("version") {
            None => self.registry.find(address),
            Some(version) => self.registry.find(&format!("{address}@{version}")),
        };
        found.map_err(|why| match why {
            NoModel::Retired { newest } => ApiError::ModelRetired { newest },
            _ if path.get("version").is_some() && self.registry.find(address).is_ok() => {
                ApiError::VersionNotFound
            }
            _ => ApiError::ModelNotFound,
        })
    }
}

impl AppState {
    /// Returns the models as they are now.
    pub(super) fn models(&self) -> Arc<Served> {
        self.models.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Serves the models as they are in the library now. Requests in progress finish with the ones
    /// they started with. If the models can't be served, nothing changes.
    pub(super) async fn refresh_models(&self, library: &mut Library) -> Result<(), RefreshError> {
        let refreshed = self.replace_models(library).await;
        if refreshed.is_err() {
            counter!(telemetry::MODEL_ERRORS).increment(1);
        }
        let broken = refreshed.is_err() || library.problem().is_some();
        gauge!(telemetry::MODELS_BROKEN).set(f64::from(u8::from(broken)));
        refreshed
    }

    async fn replace_models(&self, library: &mut Library) -> Result<(), RefreshError> {
        let Some(registry) = library.changed(self.models().registry.clone()).await? else {
            return Ok(());
        };
        let models = Served::new(Arc::new(registry))?;
        tracing::info!(models = ?models.registry.names(), "models loaded");
        self.scorer.keep_costs(&models.registry);
        *self.models.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(models);
        Ok(())
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
        self.models()
            .registry
            .all()
            .any(|model| model.parameters().id() == set)
    }
}
