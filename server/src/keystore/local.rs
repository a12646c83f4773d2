use super::error::OpenError;
use std::{
    ffi::OsStr,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// Held by the processes that use a directory.
const LOCK: &str = "lock";
/// A staging file older than this is no upload in progress, whoever's it was.
const ABANDONED: Duration = Duration::from_secs(3600);

/// What a directory offers that other stores don't: times that can be set, and knowing whether one is alone.
#[derive(Debug)]
pub(super) struct Directory {
    root: PathBuf,
    /// Locked as long as the process lives: exclusively if it was the first.
    lock: File,
    alone: bool,
}

impl Directory {
    /// Makes the directory if needed, and finds out whether another process uses it.
    pub(super) fn open(root: &Path) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Directory {
            path: root.to_owned(),
            source,
        };
        fs::create_dir_all(root).map_err(failed)?;
        let options = File::options().create(true).truncate(false).write(true).clone();
        let lock = options.open(root.join(LOCK)).map_err(failed)?;
        let alone = match lock.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => false,
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        };
        Ok(Self {
            root: root.to_owned(),
            lock,
            alone,
        })
    }

    /// Whether the directory is still the one that was opened, and no empty mount point in its place.
    pub(super) fn is_there(&self) -> bool {
        self.lock.metadata().is_ok() && self.root.join(LOCK).is_file()
    }

    /// Removes what uploads that never ended left behind, and returns how many files there were.
    ///
    /// At the `start`, before this process has uploads of its own, that is every staging file if no other process is
    /// there; else those that are too old for an upload in progress.
    pub(super) fn sweep_staging_files(&self, start: bool) -> io::Result<usize> {
        let all = start && self.alone;
        let mut removed = 0;
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    folders.push(entry.path());
                } else if is_staging(&entry.file_name()) && (all || is_abandoned(&entry)?) {
                    fs::remove_file(entry.path())?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }

    /// Sets a file's time to now; false if there is no such file.
    pub(super) fn touch(&self, path: &object_store::path::Path) -> io::Result<bool> {
        let opened = File::options().write(true).open(self.root.join(path.as_ref()));
        match opened {
            Ok(file) => {
                file.set_modified(SystemTime::now())?;
                file.sync_all()?;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// object_store writes `NAME#NUMBER` first.
fn is_staging(name: &OsStr) -> bool {
    name.to_string_lossy().contains('#')
}

fn is_abandoned(entry: &fs::DirEntry) -> io::Result<bool> {
    let modified = match entry.metadata() {
        Ok(metadata) => metadata.modified()?,
        // The upload has just ended.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let age = SystemTime::now().duration_since(modified);
    Ok(age.is_ok_and(|age| age > ABANDONED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn staging_files_are_swept_by_whoever_is_alone() {
        let folder = tempfile::tempdir().unwrap();
        let first = Directory::open(folder.path()).unwrap();
        let second = Directory::open(folder.path()).unwrap();
        let staged = folder.path().join("tenant/key#1");
        fs::create_dir(folder.path().join("tenant")).unwrap();
        fs::write(&staged, "half a key").unwrap();
        fs::write(folder.path().join("tenant/key"), "a key").unwrap();
        assert_eq!(second.sweep_staging_files(true).unwrap(), 0);
        assert_eq!(first.sweep_staging_files(false).unwrap(), 0);
        assert_eq!(first.sweep_staging_files(true).unwrap(), 1);
        assert!(!staged.exists() && first.is_there());
        fs::remove_file(folder.path().join(LOCK)).unwrap();
        assert!(!first.is_there());
    }
}
