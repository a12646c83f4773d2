//! Registry of the models that a server offers, by name and version.

use super::{Listing, Metadata, Model, ModelError, ModelFile};
use blindscore_models::BUNDLED;
use blindscore_protocol::{
    ids::ModelId,
    name::{ModelAddress, ModelName},
};
use std::{collections::BTreeMap, path::Path, sync::Arc};

/// All models of a server, by name. Immutable: when model files change, there is a new registry.
pub struct Registry {
    /// Newest version of each name, served under the plain name.
    newest: BTreeMap<String, Arc<Model>>,
    /// Models served as `name@version`, by name and version.
    pinned: BTreeMap<(String, u32), Arc<Model>>,
    default: Arc<Model>,
    bundled: Vec<Arc<Model>>,
    /// Models loaded from files.
    loaded: BTreeMap<ModelFile, Arc<Model>>,
}

/// Reason why an address has no model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoModel {
    /// The name does not exist, or not yet in this version.
    #[error("no model has this name, or not yet this version")]
    Unknown,
    /// A newer version has replaced this one.
    #[error("this version has been removed; the newest is {newest}")]
    Retired {
        /// Newest version of the name.
        newest: u32,
    },
}

impl Registry {
    /// Loads the bundled models and those of a folder: every `NAME@VERSION.safetensors`, and every
    /// `FILE.safetensors` without versions.
    ///
    /// # Errors
    /// If one of them can't be served: a server does not start with only some of its models.
    pub fn load(models_dir: Option<&Path>) -> Result<Self, ModelError> {
        let bundled = Self::bundled()?;
        match models_dir {
            Some(folder) => bundled.with(&Listing::of_folder(folder)?, ModelFile::load),
            None => Ok(bundled),
        }
    }

    /// Loads the bundled models.
    ///
    /// # Errors
    /// If one of them can't be served.
    pub fn bundled() -> Result<Self, ModelError> {
        let bundled = BUNDLED
            .into_iter()
            .map(|bytes| Model::from_safetensors(bytes).map(Arc::new))
            .collect::<Result<_, _>>()?;
        Self::build(bundled)
    }

    /// Returns whether a bundled model has this name.
    pub fn is_bundled(name: &ModelName) -> bool {
        let named = |file: &&[u8]| Metadata::read(file)?.name().map(|found| found == *name);
        BUNDLED.iter().any(|file| named(file).unwrap_or(false))
    }

    /// Returns a registry of the bundled models and the listed files, which shares the models of
    /// files that this one has. The others come from `load`.
    ///
    /// # Errors
    /// If one of the models can't be loaded or served. This registry remains valid.
    pub fn with<E: From<ModelError>>(
        &self,
        files: &Listing,
        mut load: impl FnMut(&ModelFile) -> Result<Model, E>,
    ) -> Result<Self, E> {
        let mut registry = Self::build(self.bundled.clone())?;
        for (file, is_newest) in files.served() {
            let model = match self.loaded.get(file) {
                Some(model) => model.clone(),
                None => Arc::new(load(file)?),
            };
            registry.loaded.insert(file.clone(), model.clone());
            if let Some(version) = model.descriptor().version {
                let name = model.descriptor().name.clone();
                let pinned = model.as_version(version)?;
                registry.pinned.insert((name, version), Arc::new(pinned));
            }
            if is_newest {
                registry.serve(model).map_err(|cause| file.refused(cause))?;
            }
        }
        Ok(registry)
    }

    /// Returns the model of a file, if this registry has it.
    pub fn model_of(&self, file: &ModelFile) -> Option<&Arc<Model>> {
        self.loaded.get(file)
    }

    /// Returns the files whose models have this name.
    pub fn files<'r>(&'r self, name: &'r ModelName) -> impl Iterator<Item = &'r ModelFile> {
        let named = self
            .loaded
            .iter()
            .filter(move |(_, model)| model.descriptor().name == name.as_str());
        named.map(|(file, _)| file)
    }

    fn build(bundled: Vec<Arc<Model>>) -> Result<Self, ModelError> {
        let default = bundled.first().cloned();
        let default = default.ok_or_else(|| ModelError::field("name", "no model is bundled"))?;
        let mut registry = Self {
            newest: BTreeMap::new(),
            pinned: BTreeMap::new(),
            default,
            bundled: bundled.clone(),
            loaded: BTreeMap::new(),
        };
        for model in bundled {
            registry.serve(model)?;
        }
        Ok(registry)
    }

    fn serve(&mut self, model: Arc<Model>) -> Result<(), ModelError> {
        let name = model.descriptor().name.clone();
        match self.newest.insert(name.clone(), model) {
            Some(_) => Err(ModelError::Duplicate(name)),
            None => Ok(()),
        }
    }

    /// Returns the model at an address: `churn` is the newest version, `churn@2` always version 2.
    ///
    /// # Errors
    /// If the address has no model.
    pub fn find(&self, address: &str) -> Result<&Arc<Model>, NoModel> {
        if let Some(model) = self.newest.get(address) {
            return Ok(model);
        }
        let wanted: ModelAddress = address.parse().map_err(|_| NoModel::Unknown)?;
        let version = wanted.version.ok_or(NoModel::Unknown)?;
        let key = (String::from(wanted.name), version);
        if let Some(model) = self.pinned.get(&key) {
            return Ok(model);
        }
        let newest = self
            .newest
            .get(&key.0)
            .and_then(|model| model.descriptor().version);
        match newest {
            Some(newest) if (1..newest).contains(&key.1) => Err(NoModel::Retired { newest }),
            _ => Err(NoModel::Unknown),
        }
    }

    /// Returns the versions of a name that are served, oldest first.
    pub fn versions(&self, name: &str) -> impl Iterator<Item = u32> {
        let bound = |version| (name.to_owned(), version);
        let versions = self.pinned.range(bound(0)..=bound(u32::MAX));
        versions.map(|((_, version), _)| *version)
    }

    /// Returns the default model.
    pub fn default_model(&self) -> &Arc<Model> {
        &self.default
    }

    /// Returns whether any address has the model with this id.
    pub fn has(&self, id: ModelId) -> bool {
        self.all().any(|model| model.descriptor().id == id)
    }

    /// Returns all models, under each of their addresses.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Model>> {
        self.newest.values().chain(self.pinned.values())
    }

    /// Returns the names as text, with the version of each if it has one.
    pub fn names(&self) -> Vec<String> {
        let name = |model: &Arc<Model>| {
            let descriptor = model.descriptor();
            match descriptor.version {
                Some(version) => format!("{}@{version}", descriptor.name),
                None => descriptor.name.clone(),
            }
        };
        self.iter().map(name).collect()
    }

    /// Returns the newest version of every model, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Model>> {
        self.newest.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{FileName, LinearModel};
    use std::fs;

    fn linear(name: &str, intercept: f64) -> Vec<u8> {
        let mut model = LinearModel::from_safetensors(BUNDLED[0]).unwrap();
        model.name = name.parse().unwrap();
        model.intercept[0] = intercept;
        model.to_safetensors().unwrap()
    }

    fn write(folder: &Path, name: &str, version: u32, intercept: f64) {
        let stem = name.to_owned();
        let version = (version > 0).then_some(version);
        let file = FileName { stem, version }.to_string();
        let unfinished = folder.join("new");
        fs::write(&unfinished, linear(name, intercept)).unwrap();
        fs::rename(unfinished, folder.join(file)).unwrap();
    }

    fn reloaded(registry: &Registry, folder: &Path) -> Result<Registry, ModelError> {
        registry.with(&Listing::of_folder(folder)?, ModelFile::load)
    }

    #[test]
    fn versions_come_and_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        write(path, "a", 1, 0.0);
        let first = Registry::load(Some(path)).unwrap();
        assert_eq!(first.find("a").unwrap().descriptor().version, Some(1));
        assert_eq!(first.find("a@1").unwrap().descriptor().name, "a@1");
        assert_eq!(first.find("a@2").err(), Some(NoModel::Unknown));

        write(path, "a", 2, 1.0);
        write(path, "b", 0, 1.0);
        let second = reloaded(&first, path).unwrap();
        let [old, new] = ["a@1", "a"].map(|address| second.find(address).unwrap().descriptor().clone());
        assert_eq!(&old.id, &first.find("a").unwrap().descriptor().id);
        assert_eq!(new.version, Some(2));
        assert_ne!(old.id, new.id);
        assert_eq!(second.find("b").unwrap().descriptor().version, None);
        for (name, versions) in [("a", vec![1, 2]), ("a@1", vec![]), ("b", vec![]), ("c", vec![])] {
            assert_eq!(second.versions(name).collect::<Vec<_>>(), versions, "{name}");
        }
        assert!(Arc::ptr_eq(
            first.loaded.values().next().unwrap(),
            second.loaded.values().next().unwrap()
        ));
        let names: Vec<&str> = second
            .iter()
            .map(|model| model.descriptor().name.as_str())
            .collect();
        assert_eq!(
            names,
            [
                "a",
                "b",
                "loan-trees",
                "mnist-linear",
                "mnist-net",
                "mnist-net-label",
                "mnist-net-small"
            ]
        );

        let a: ModelName = "a".parse().unwrap();
        assert_eq!(second.files(&a).count(), 2);

        fs::remove_file(path.join("a@1.safetensors")).unwrap();
        let third = reloaded(&second, path).unwrap();
        assert_eq!(third.find("a@1").err(), Some(NoModel::Retired { newest: 2 }));
        for unknown in ["a@3", "a@02", "c", "mnist-linear@1", "a@", ""] {
            assert_eq!(third.find(unknown).err(), Some(NoModel::Unknown), "{unknown}");
        }
    }

    #[test]
    fn a_bad_file_is_an_error_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::load(Some(folder.path())).unwrap();
        let whole = linear("a", 0.0);
        let file = folder.path().join("a@1.safetensors");
        fs::write(&file, &whole[..whole.len() / 2]).unwrap();
        let error = reloaded(&registry, folder.path()).err().unwrap().to_string();
        assert!(error.contains("a@1.safetensors"), "{error}");
        fs::write(&file, &whole).unwrap();
        assert!(reloaded(&registry, folder.path()).unwrap().find("a@1").is_ok());
    }

    #[test]
    fn names_belong_to_one_model() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("x.safetensors"), linear("mnist-net", 0.0)).unwrap();
        let error = Registry::load(Some(folder.path())).err().unwrap().to_string();
        assert!(
            error.contains("x.safetensors") && error.contains("two models"),
            "{error}"
        );
        fs::rename(
            folder.path().join("x.safetensors"),
            folder.path().join("x@1.safetensors"),
        )
        .unwrap();
        let error = Registry::load(Some(folder.path())).err().unwrap().to_string();
        assert!(error.contains("mnist-net") && error.contains("x@1"), "{error}");
    }
}
