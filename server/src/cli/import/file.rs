//! Where imported models are written.

use crate::model::VersionedName;
use anyhow::Context;
use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

/// Writes the next version of a model, whole or not at all.
pub(super) fn write(folder: &Path, name: &str, content: &[u8]) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(folder).with_context(|| format!("can't create {}", folder.display()))?;
    let version = next_version(folder, name)?;
    let path = folder.join(VersionedName::new(name, version).file_name());
    let unfinished = path.with_extension("unfinished");
    let mut file =
        File::create(&unfinished).with_context(|| format!("can't create {}", unfinished.display()))?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&unfinished, &path).with_context(|| format!("can't write {}", path.display()))?;
    // The rename lasts once the folder does.
    File::open(folder)?.sync_all()?;
    Ok(path)
}

/// One more than the newest version there.
fn next_version(folder: &Path, name: &str) -> anyhow::Result<u32> {
    let mut newest = 0;
    for entry in fs::read_dir(folder)? {
        if let Some(found) = VersionedName::of_file(&entry?.path())
            && found.name == name
        {
            newest = newest.max(found.version);
        }
    }
    newest.checked_add(1).context("there are too many versions")
}
