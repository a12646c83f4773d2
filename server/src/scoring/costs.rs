//! What queries cost, by model.

use super::estimate::Estimate;
use blindscore_engine::{
    Engine,
    model::{Model, Registry},
};
use blindscore_protocol::ids::ModelId;
use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

/// Cost estimate until the first query has been measured.
const FIRST_GUESS: Duration = Duration::from_millis(50);
/// Cost of a blind rotation on one core until then.
const ROTATION: Duration = Duration::from_micros(2_800);

/// Returns the cost estimate of a model that no query has been measured of. Trees and networks of
/// several layers take from a few rotations to thousands, so that theirs are counted.
fn first_guess(engine: &Engine) -> Duration {
    let rotations = match engine {
        Engine::Forest(forest) => forest.rotations(),
        Engine::Layers(layers) => layers.rotations(),
        Engine::Linear(_) | Engine::Network(_) => return FIRST_GUESS,
    };
    let rotations = u32::try_from(rotations).unwrap_or(u32::MAX);
    // All threads of the pool share them.
    let threads = u32::try_from(engine.threads().max(1)).unwrap_or(1);
    ROTATION.saturating_mul(rotations) / threads
}

/// Estimated pool time per query, by model.
#[derive(Default)]
pub(super) struct Costs(RwLock<HashMap<ModelId, Arc<Estimate>>>);

impl Costs {
    /// Returns the estimate of a model. It starts as a guess, which the model's queries correct.
    pub(super) fn of(&self, model: &Model) -> Arc<Estimate> {
        let id = model.descriptor().id;
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(estimate) = known.get(&id) {
            return estimate.clone();
        }
        drop(known);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known
            .entry(id)
            .or_insert_with(|| Arc::new(Estimate::new(first_guess(model.engine()))))
            .clone()
    }

    /// Forgets models that are no longer served.
    pub(super) fn keep(&self, registry: &Registry) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|id, _| registry.has(*id));
    }
}
