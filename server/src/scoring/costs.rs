//! What queries cost, by model.

use super::estimate::Estimate;
use blindscore_engine::model::Registry;
use blindscore_protocol::ids::ModelId;
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

/// Cost estimate until the first query has been measured.
const FIRST_GUESS: Duration = Duration::from_millis(50);

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
    pub(super) fn keep(&self, registry: &Registry) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|id, _| registry.has(*id));
    }
}
