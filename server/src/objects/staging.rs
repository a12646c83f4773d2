//! Staging files in directories: `object_store` writes `NAME#NUMBER`, and renames it to `NAME` once
//! it is complete.

use std::{
    ffi::OsStr,
    fs::{self, Metadata},
    io::{self, ErrorKind},
    path::Path,
    time::{Duration, SystemTime},
};

/// Age from which a staging file can't belong to a write in progress, in this process or another.
pub(crate) const ABANDONED: Duration = Duration::from_secs(3600);

/// Staging files that a sweep removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Swept {
    /// All of them, since no process is writing.
    All,
    /// Those that killed processes have left.
    Abandoned,
}

/// Removes the staging files in a folder, not in those below it, whose NAME `is_ours`. Returns
/// their number.
pub(crate) fn sweep(folder: &Path, swept: Swept, is_ours: impl Fn(&str) -> bool) -> io::Result<usize> {
    let mut removed = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !name_of(&entry.file_name()).is_some_and(&is_ours) {
            continue;
        }
        let metadata = match entry.metadata() {
            Ok(metadata) => metadata,
            // The write has finished: the file was renamed.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if !metadata.is_file() || swept == Swept::Abandoned && !is_abandoned(&metadata)? {
            continue;
        }
        match fs::remove_file(entry.path()) {
            Ok(()) => removed += 1,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(removed)
}

/// Returns NAME if a file's name is `NAME#NUMBER`.
fn name_of(file: &OsStr) -> Option<&str> {
    let (name, number) = file.to_str()?.rsplit_once('#')?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(name)
}

fn is_abandoned(metadata: &Metadata) -> io::Result<bool> {
    let age = SystemTime::now().duration_since(metadata.modified()?);
    Ok(age.is_ok_and(|age| age > ABANDONED))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn only_staging_files_of_known_names_are_swept() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = ("a@1.safetensors#1", "a@1.safetensors#2");
        let others = [
            "a#1.safetensors",
            "a@1.safetensors",
            "notes#1",
            "a.safetensors#",
            "a.safetensors#x",
            "a.safetensors#+1",
        ];
        let time = SystemTime::now() - 2 * ABANDONED;
        for name in others.into_iter().chain([old, new]) {
            let file = File::create(folder.path().join(name)).unwrap();
            if name != new {
                file.set_modified(time).unwrap();
            }
        }
        fs::create_dir(folder.path().join("b.safetensors#1")).unwrap();
        let is_ours = |name: &str| name.ends_with(".safetensors");
        let left = |name: &str| folder.path().join(name).exists();
        assert_eq!(sweep(folder.path(), Swept::Abandoned, is_ours).unwrap(), 1);
        assert!(!left(old) && left(new));
        assert_eq!(sweep(folder.path(), Swept::All, is_ours).unwrap(), 1);
        assert!(!left(new) && others.into_iter().all(left) && left("b.safetensors#1"));
    }
}
