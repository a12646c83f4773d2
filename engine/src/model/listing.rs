//! Model files of a place: a folder, or a store of another kind.

use super::{FileName, Model, ModelError};
use blindscore_protocol::name::ModelName;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

/// A model file as found when its place was listed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ModelFile {
    path: PathBuf,
    name: FileName,
    /// Differs whenever the content does.
    stamp: String,
}

/// Model files of a place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing(Vec<ModelFile>);

impl Listing {
    /// Lists the files of a folder. Files deleted meanwhile are skipped.
    ///
    /// # Errors
    /// If the folder can't be read.
    pub fn of_folder(path: &Path) -> Result<Self, ModelError> {
        let io = |cause| ModelError::Io {
            path: path.to_owned(),
            cause,
        };
        let mut files = Vec::new();
        for entry in std::fs::read_dir(path).map_err(io)? {
            let path = entry.map_err(io)?.path();
            let Ok(metadata) = std::fs::metadata(&path) else {
                continue;
            };
            files.extend(ModelFile::new(path, stamp(&metadata)));
        }
        Ok(files.into_iter().collect())
    }

    /// Returns the newest version of a model; `None` if no file of its name has a version.
    pub fn newest(&self, model: &ModelName) -> Option<u32> {
        self.named(model.as_str())
            .filter_map(|file| file.name.version)
            .max()
    }

    /// Returns the files with this part before the version.
    pub fn named(&self, stem: &str) -> impl Iterator<Item = &ModelFile> {
        self.0.iter().filter(move |file| file.name.stem == stem)
    }

    /// Returns whether a file is there, with this content.
    pub fn has(&self, file: &ModelFile) -> bool {
        self.0.contains(file)
    }

    /// Returns the listing without some files.
    pub fn without(&self, files: &[ModelFile]) -> Self {
        let rest = self.0.iter().filter(|file| !files.contains(file));
        rest.cloned().collect()
    }

    /// Returns the listing with a file added.
    pub fn with(&self, file: ModelFile) -> Self {
        self.0.iter().cloned().chain([file]).collect()
    }

    /// Returns the files to serve, and whether each is the newest of its name. A file without a
    /// version is served only if its name has no versions.
    pub(super) fn served(&self) -> impl Iterator<Item = (&ModelFile, bool)> {
        let mut newest: BTreeMap<&str, Option<u32>> = BTreeMap::new();
        for file in &self.0 {
            let known = newest.entry(&file.name.stem).or_default();
            *known = file.name.version.max(*known);
        }
        self.0.iter().filter_map(move |file| {
            let is_newest = newest[file.name.stem.as_str()] == file.name.version;
            (is_newest || file.name.version.is_some()).then_some((file, is_newest))
        })
    }
}

/// Returns a stamp that differs whenever the content does. Files are replaced by renaming, so a
/// replaced file has another inode, whatever its times say; and unlike the time of modification,
/// that of the last change can't be set.
fn stamp(metadata: &std::fs::Metadata) -> String {
    let modified = metadata.modified().ok();
    let modified = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let (inode, changed) = identity(metadata);
    let modified = modified.unwrap_or_default().as_nanos();
    format!("{}-{modified}-{inode}-{changed}", metadata.len())
}

#[cfg(unix)]
fn identity(metadata: &std::fs::Metadata) -> (u64, i128) {
    use std::os::unix::fs::MetadataExt;
    let changed = i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec());
    (metadata.ino(), changed)
}

#[cfg(not(unix))]
fn identity(_: &std::fs::Metadata) -> (u64, i128) {
    (0, 0)
}

impl FromIterator<ModelFile> for Listing {
    fn from_iter<I: IntoIterator<Item = ModelFile>>(files: I) -> Self {
        let mut files: Vec<_> = files.into_iter().collect();
        files.sort();
        Self(files)
    }
}

impl ModelFile {
    /// Describes a file by its path, which messages show, and a stamp that differs whenever the
    /// content does. Returns `None` if its name isn't that of a model file.
    pub fn new(path: PathBuf, stamp: String) -> Option<Self> {
        let name = FileName::of(&path)?;
        Some(Self { path, name, stamp })
    }

    /// Returns the path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the name.
    pub fn name(&self) -> &FileName {
        &self.name
    }

    /// Reads, checks and prepares the model of a file in a folder.
    ///
    /// # Errors
    /// If the file can't be read, or [`parse`](Self::parse) fails.
    pub fn load(&self) -> Result<Model, ModelError> {
        self.parse(&super::read(&self.path)?)
    }

    /// Checks and prepares the model that the file's bytes describe.
    ///
    /// # Errors
    /// If the model can't be served, or a versioned file holds a model of another name.
    pub fn parse(&self, bytes: &[u8]) -> Result<Model, ModelError> {
        self.named(bytes).map_err(|cause| self.refused(cause))
    }

    /// Returns an error that names the file.
    pub(super) fn refused(&self, cause: ModelError) -> ModelError {
        ModelError::InFile {
            path: self.path.clone(),
            cause: Box::new(cause),
        }
    }

    fn named(&self, bytes: &[u8]) -> Result<Model, ModelError> {
        let model = Model::from_safetensors(bytes)?;
        let Some(version) = self.name.version else {
            return Ok(model);
        };
        if model.descriptor().name != self.name.stem {
            return Err(ModelError::other_name(&model.descriptor().name, &self.name.stem));
        }
        Ok(model.with_version(version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_file_of_the_same_length_and_time_is_another_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a@1.safetensors");
        std::fs::write(&path, "old").unwrap();
        let before = Listing::of_folder(folder.path()).unwrap();
        assert_eq!(before, Listing::of_folder(folder.path()).unwrap());
        let time = std::fs::metadata(&path).unwrap().modified().unwrap();
        let new = folder.path().join("new");
        std::fs::write(&new, "new").unwrap();
        std::fs::File::options()
            .write(true)
            .open(&new)
            .unwrap()
            .set_modified(time)
            .unwrap();
        std::fs::rename(&new, &path).unwrap();
        assert_ne!(before, Listing::of_folder(folder.path()).unwrap());
    }

    #[test]
    fn the_newest_version_of_each_name_is_found() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a@2", "a@10", "a", "b", "b@1", "other"] {
            std::fs::write(folder.path().join(format!("{name}.safetensors")), "").unwrap();
        }
        for name in ["a@11.unfinished", "a@x.safetensors", "notes.txt"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let listing = Listing::of_folder(folder.path()).unwrap();
        let mut served: Vec<_> = listing
            .served()
            .map(|(file, newest)| (file.name.to_string(), newest))
            .collect();
        served.sort();
        let expected = [("a@10", true), ("a@2", false), ("b@1", true), ("other", true)];
        let expected = expected.map(|(name, newest)| (format!("{name}.safetensors"), newest));
        assert_eq!(served, expected);
    }
}
