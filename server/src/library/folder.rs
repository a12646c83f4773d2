//! What a folder of models needs besides `object_store`.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, ErrorKind},
    path::Path,
    time::{Duration, SystemTime},
};

/// Age from which a staging file can't belong to a publication in progress, in this process or
/// another.
const ABANDONED: Duration = Duration::from_secs(3600);

/// Removes files that killed processes have left: `object_store` writes `NAME#NUMBER` first.
pub(super) fn sweep(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !is_staging(&entry.file_name()) {
            continue;
        }
        let metadata = match entry.metadata() {
            Ok(metadata) => metadata,
            // Finished meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let age = SystemTime::now().duration_since(metadata.modified()?);
        if metadata.is_file() && age.is_ok_and(|age| age > ABANDONED) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

fn is_staging(name: &OsStr) -> bool {
    let parts = name.to_str().and_then(|name| name.rsplit_once('#'));
    parts.is_some_and(|(name, number)| {
        name.ends_with(".safetensors")
            && !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// Removes a file durably. Does nothing if it isn't there.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        removed => removed?,
    }
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_staging_files_are_swept() {
        let folder = tempfile::tempdir().unwrap();
        let names = [
            "a@1.safetensors#1",
            "a@1.safetensors#2",
            "a#1.safetensors",
            "a@1.safetensors",
            "notes#1",
            "a.safetensors#",
            "a.safetensors#x",
        ];
        let old = SystemTime::now() - 2 * ABANDONED;
        for name in names {
            let file = File::create(folder.path().join(name)).unwrap();
            if name != "a@1.safetensors#2" {
                file.set_modified(old).unwrap();
            }
        }
        sweep(folder.path()).unwrap();
        let left = |name: &&str| folder.path().join(name).exists();
        let expected: Vec<_> = names[1..].to_vec();
        assert_eq!(names.into_iter().filter(left).collect::<Vec<_>>(), expected);
    }
}
