//! Output files of imports.

use crate::model::{Folder, VersionedName};
use anyhow::Context;
use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

/// Writes the next version of a model atomically. Never overwrites a concurrent import that takes
/// the same number.
pub(super) fn write(folder: &Path, name: &str, content: &[u8]) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(folder).with_context(|| format!("can't create {}", folder.display()))?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(name).suffix(".unfinished");
    // A server that runs as another user has to read the file.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder
        .tempfile_in(folder)
        .with_context(|| format!("can't write into {}", folder.display()))?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    loop {
        let version = Folder::read(folder)?.newest(name).checked_add(1);
        let version = version.context("there are too many versions")?;
        let path = folder.join(VersionedName::new(name, version).file_name());
        match file.persist_noclobber(&path) {
            Ok(_) => {
                // The new name is durable once the folder is synced.
                #[cfg(unix)]
                File::open(folder)?.sync_all()?;
                return Ok(path);
            }
            Err(failed) if failed.error.kind() == ErrorKind::AlreadyExists => file = failed.file,
            Err(failed) => {
                return Err(failed.error).with_context(|| format!("can't write {}", path.display()));
            }
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
                scope.spawn(move || write(folder, "a", &[number]).unwrap());
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
