//! Finds a model by the name under which it is served, or by its file.

use anyhow::{anyhow, bail};
use blindscore_engine::model::{Model, Registry};
use std::{path::Path, sync::Arc};

/// Loads a model file, or a model of the registry, by name.
pub(crate) fn find(model: &str, models_dir: Option<&Path>) -> anyhow::Result<Arc<Model>> {
    let path = Path::new(model);
    if path.extension().is_some_and(|extension| extension == "onnx") {
        bail!("{model:?} is an ONNX file: make a model file of it with `blindscore import`");
    }
    if path.exists() && !path.is_dir() {
        return Ok(Arc::new(Model::load(path)?));
    }
    let registry = Registry::load(models_dir)?;
    registry.find(model).cloned().map_err(|_| {
        anyhow!(
            "{model:?} is neither a file nor one of the models {}",
            registry.names().join(", ")
        )
    })
}
