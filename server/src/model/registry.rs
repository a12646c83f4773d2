use super::{Model, ModelError, VersionedName};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The models that every build carries; the first is the default one of `POST /score`.
const BUNDLED: [&[u8]; 3] = [
    include_bytes!("../../../models/mnist-linear.safetensors"),
    include_bytes!("../../../models/net/mnist-net.safetensors"),
    include_bytes!("../../../models/net/mnist-net-small.safetensors"),
];

/// All models of a server, by name. Immutable once loaded.
pub struct Registry {
    models: BTreeMap<String, Arc<Model>>,
    default: Arc<Model>,
}

impl Registry {
    /// Loads the bundled models and every `*.safetensors` of `models_dir`; of `NAME@VERSION.safetensors` the newest version.
    ///
    /// # Errors
    /// If one of them can't be served: a server does not start with half of its models.
    pub fn load(models_dir: Option<&Path>) -> Result<Self, ModelError> {
        let files = models_dir.map(model_files).transpose()?.unwrap_or_default();
        let bundled = BUNDLED.into_iter().map(Model::from_safetensors);
        let mut models = BTreeMap::new();
        let mut default = None;
        for model in bundled.chain(files.iter().map(|path| Model::load(path))) {
            let model = Arc::new(model?);
            default.get_or_insert_with(|| model.clone());
            let name = model.descriptor().name.clone();
            if models.insert(name.clone(), model).is_some() {
                return Err(ModelError::Duplicate(name));
            }
        }
        let default = default.ok_or_else(|| ModelError::field("name", "no model is bundled"))?;
        Ok(Self { models, default })
    }

    /// The model of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Model>> {
        self.models.get(name)
    }

    /// The default model.
    pub fn default_model(&self) -> &Arc<Model> {
        &self.default
    }

    /// All models, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Model>> {
        self.models.values()
    }
}

/// The model files of a folder: of each name the newest version, so that a new one takes the place of those before it.
fn model_files(dir: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let io = |source| ModelError::Io {
        path: dir.to_owned(),
        source,
    };
    let mut newest: BTreeMap<String, (u32, PathBuf)> = BTreeMap::new();
    for entry in std::fs::read_dir(dir).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let Some(VersionedName { name, version }) = VersionedName::of_file(&path) else {
            continue;
        };
        let known = newest.get(&name).map(|(version, _)| *version);
        if known.is_none_or(|known| known < version) {
            newest.insert(name, (version, path));
        }
    }
    Ok(newest.into_values().map(|(_, path)| path).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_of_each_name_is_served() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a@2", "a@10", "a", "b", "b@1", "other"] {
            std::fs::write(folder.path().join(format!("{name}.safetensors")), "").unwrap();
        }
        for name in ["a@11.unfinished", "a@x.safetensors", "notes.txt"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let files = model_files(folder.path()).unwrap();
        let names: Vec<_> = files
            .iter()
            .map(|path| path.file_stem().unwrap().to_str().unwrap())
            .collect();
        assert_eq!(names, ["a@10", "b@1", "other"]);
    }
}
