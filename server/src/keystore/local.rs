use super::{error::OpenError, tenant::TenantName};
use blindscore_protocol::ids::KeyId;
use std::{
    ffi::OsStr,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// Held by the processes that use a directory.
const LOCK: &str = "lock";
/// Written and read back to see whether the store works.
pub(super) const PROBE: &str = "probe";
/// What tenants may not be called: their folders would be where these files are.
pub(super) const OWN_NAMES: [&str; 2] = [LOCK, PROBE];
/// A staging file older than this is no upload in progress, whoever's it was.
const ABANDONED: Duration = Duration::from_secs(3600);

/// What a directory offers that other stores don't: times that can be set, and knowing whether one is alone.
#[derive(Debug)]
pub(super) struct Directory {
    root: PathBuf,
    /// Locked as long as the process lives: at first exclusively if it is alone, then shared with those that come later.
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
            Err(TryLockError::WouldBlock) => {
                // Whoever is alone lets others in as soon as it has swept.
                lock.lock_shared().map_err(failed)?;
                false
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        };
        Ok(Self {
            root: root.to_owned(),
            lock,
            alone,
        })
    }

    /// Whether the directory is still the one that was opened, and no empty mount point or other disk in its place.
    pub(super) fn is_there(&self) -> bool {
        let (Ok(opened), Ok(found)) = (self.lock.metadata(), fs::symlink_metadata(self.root.join(LOCK)))
        else {
            return false;
        };
        same_file(&opened, &found)
    }

    /// Removes what uploads that never ended left behind, and returns how many files there were.
    ///
    /// At the `start`, before this process has uploads of its own, that is every staging file if no other process is
    /// there; else those that are too old for an upload in progress. Only names that the store could have made are touched.
    pub(super) fn sweep_staging_files(&self, start: bool) -> io::Result<usize> {
        let all = start && self.alone;
        let mut removed = 0;
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                let (kind, name) = (entry.file_type()?, entry.file_name());
                if kind.is_dir() {
                    if folder == self.root && is_tenant(&name) {
                        folders.push(entry.path());
                    }
                } else if kind.is_file() && is_staging(&name) && (all || is_abandoned(&entry)?) {
                    fs::remove_file(entry.path())?;
                    removed += 1;
                }
            }
        }
        if all {
            // Others that start from now on have to see that someone is there, even when this process has gone.
            self.lock.lock_shared()?;
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

/// object_store writes `NAME#NUMBER` first. Names are keys' ids, and the probe's.
fn is_staging(name: &OsStr) -> bool {
    let Some((name, number)) = name.to_str().and_then(|name| name.rsplit_once('#')) else {
        return false;
    };
    let ours = name.parse::<KeyId>().is_ok() || name == PROBE;
    ours && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_tenant(name: &OsStr) -> bool {
    name.to_str()
        .is_some_and(|name| name.parse::<TenantName>().is_ok())
}

#[cfg(unix)]
fn same_file(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn same_file(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    one.is_file() && other.is_file()
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
        let id = KeyId::of(b"key").to_string();
        fs::create_dir(folder.path().join("tenant")).unwrap();
        let staged = folder.path().join(format!("tenant/{id}#1"));
        fs::write(&staged, "half a key").unwrap();
        fs::write(folder.path().join("tenant").join(&id), "a key").unwrap();
        let first = Directory::open(folder.path()).unwrap();
        assert_eq!(first.sweep_staging_files(false).unwrap(), 0);
        assert_eq!(first.sweep_staging_files(true).unwrap(), 1);
        assert!(!staged.exists() && first.is_there());
        // The second is not alone, and neither is the third when the first has gone.
        let second = Directory::open(folder.path()).unwrap();
        drop(first);
        fs::write(&staged, "half a key").unwrap();
        let third = Directory::open(folder.path()).unwrap();
        for late in [&second, &third] {
            assert_eq!(late.sweep_staging_files(true).unwrap(), 0);
        }
        drop((second, third));
        let alone = Directory::open(folder.path()).unwrap();
        assert_eq!(alone.sweep_staging_files(true).unwrap(), 1);
    }

    #[test]
    fn files_of_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        let id = KeyId::of(b"key").to_string();
        let names = [
            "#keep#".to_owned(),
            "notes#1.txt".into(),
            "notes#1".into(),
            format!("{id}#x"),
            format!("{id}#"),
            format!("Sub/{id}#1"),
            format!("tenant/deeper/{id}#1"),
        ];
        for name in &names {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let directory = Directory::open(folder.path()).unwrap();
        assert_eq!(directory.sweep_staging_files(true).unwrap(), 0);
        assert!(names.iter().all(|name| folder.path().join(name).exists()));
    }

    #[test]
    fn another_directory_in_its_place_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let directory = Directory::open(&path).unwrap();
        fs::rename(&path, folder.path().join("elsewhere")).unwrap();
        assert!(!directory.is_there());
        Directory::open(&path).unwrap();
        assert!(!directory.is_there());
    }
}
