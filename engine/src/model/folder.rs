//! A folder of model files.

use super::{FileName, Model, ModelError};
use blindscore_protocol::name::ModelName;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// A model file as found when the folder was read. Files are replaced by renaming, so the same
/// inode and times mean the same content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ModelFile {
    path: PathBuf,
    name: FileName,
    length: u64,
    modified: SystemTime,
    /// Inode, which differs for a replaced file whatever its times say; 0 where the system has
    /// none.
    inode: u64,
    /// Time of the last change to the file or its metadata, in nanoseconds. Unlike `modified`, it
    /// can't be set.
    changed: i128,
}

/// Model files of a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folder(Vec<ModelFile>);

impl Folder {
    /// Lists the files. Files deleted meanwhile are skipped.
    pub fn read(path: &Path) -> Result<Self, ModelError> {
        let io = |cause| ModelError::Io {
            path: path.to_owned(),
            cause,
        };
        let mut files = Vec::new();
        for entry in std::fs::read_dir(path).map_err(io)? {
            let path = entry.map_err(io)?.path();
            let Some(name) = FileName::of(&path) else {
                continue;
            };
            let Ok(metadata) = std::fs::metadata(&path) else {
                continue;
            };
            let (inode, changed) = identity(&metadata);
            files.push(ModelFile {
                name,
                length: metadata.len(),
                modified: metadata.modified().map_err(io)?,
                inode,
                changed,
                path,
            });
        }
        files.sort();
        Ok(Self(files))
    }

    /// Returns the newest version of a model; `None` if no file of its name has a version.
    pub fn newest(&self, model: &ModelName) -> Option<u32> {
        let versions = self.0.iter().filter(|file| file.name.stem == model.as_str());
        versions.filter_map(|file| file.name.version).max()
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

impl ModelFile {
    /// Reads, checks and prepares the model.
    ///
    /// # Errors
    /// If the model can't be served, or a versioned file holds a model of another name.
    pub(super) fn load(&self) -> Result<Model, ModelError> {
        let in_file = |cause| ModelError::InFile {
            path: self.path.clone(),
            cause: Box::new(cause),
        };
        let model = Model::load(&self.path).map_err(in_file)?;
        if let Some(version) = self.name.version {
            if model.descriptor().name != self.name.stem {
                let problem = format!("is {:?} in a file named {}", model.descriptor().name, self.name);
                return Err(in_file(ModelError::field("name", problem)));
            }
            return Ok(model.with_version(version));
        }
        Ok(model)
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
        let before = Folder::read(folder.path()).unwrap();
        assert_eq!(before, Folder::read(folder.path()).unwrap());
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
        assert_ne!(before, Folder::read(folder.path()).unwrap());
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
        let folder = Folder::read(folder.path()).unwrap();
        let mut served: Vec<_> = folder
            .served()
            .map(|(file, newest)| (file.name.to_string(), newest))
            .collect();
        served.sort();
        let expected = [("a@10", true), ("a@2", false), ("b@1", true), ("other", true)];
        let expected = expected.map(|(name, newest)| (format!("{name}.safetensors"), newest));
        assert_eq!(served, expected);
    }
}
