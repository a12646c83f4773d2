//! Output files of imports.

use crate::ImportError;
use blindscore_engine::model::{FileName, Listing};
use blindscore_protocol::name::ModelName;
use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

/// Writes the next version of a model atomically. Never overwrites a concurrent import that takes
/// the same number.
pub(crate) fn write(folder: &Path, name: &ModelName, content: &[u8]) -> Result<PathBuf, ImportError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |cause| ImportError::Write { path, cause }
    };
    fs::create_dir_all(folder).map_err(failed(folder))?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(name.as_str()).suffix(".unfinished");
    // A server that runs as another user has to read the file.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder).map_err(failed(folder))?;
    file.write_all(content).map_err(failed(file.path()))?;
    file.as_file().sync_all().map_err(failed(file.path()))?;
    loop {
        let version = Listing::of_folder(folder)?
            .newest(name)
            .unwrap_or(0)
            .checked_add(1);
        let version =
            version.ok_or_else(|| ImportError::Options(format!("there are too many versions of {name}")))?;
        let file_name = FileName {
            stem: name.to_string(),
            version: Some(version),
        };
        let path = folder.join(file_name.to_string());
        match file.persist_noclobber(&path) {
            Ok(_) => {
                // The new name is durable once the folder is synced.
                #[cfg(unix)]
                File::open(folder)
                    .and_then(|folder| folder.sync_all())
                    .map_err(failed(folder))?;
                return Ok(path);
            }
            Err(taken) if taken.error.kind() == ErrorKind::AlreadyExists => file = taken.file,
            Err(error) => return Err(failed(&path)(error.error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn imports_at_the_same_time_each_get_a_version() {
        let folder = tempfile::tempdir().unwrap();
        thread::scope(|scope| {
            for number in 0..16u8 {
                let folder = folder.path();
                scope.spawn(move || write(folder, &"a".parse().unwrap(), &[number]).unwrap());
            }
        });
        let mut contents: Vec<u8> = (1..=16)
            .map(|version| fs::read(folder.path().join(format!("a@{version}.safetensors"))).unwrap()[0])
            .collect();
        contents.sort_unstable();
        assert!(contents.into_iter().eq(0..16));
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            16,
            "nothing unfinished is left"
        );
    }
}
