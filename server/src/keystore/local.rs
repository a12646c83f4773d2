//! Directory as a key store: locking, sweeping and timestamps, which other stores don't offer.

use crate::objects::{
    OpenError,
    staging::{Swept, sweep},
};
use crate::tenants::{STORE_LOCK, STORE_PROBE, TenantName};
use blindscore_protocol::ids::KeyId;
use std::{
    ffi::OsStr,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Name of the file that is locked by the processes using the directory.
const LOCK: &str = STORE_LOCK;
/// Name of the object that is written and read back to probe the store.
pub(super) const PROBE: &str = STORE_PROBE;

/// Operations that only a directory offers: setting file times, and checking for other processes.
#[derive(Debug)]
pub(super) struct Directory {
    root: PathBuf,
    /// Locked while the process lives: exclusively at first if no other process uses the directory,
    /// then shared with later ones.
    lock: File,
    alone: bool,
}

impl Directory {
    /// Creates the directory if needed, and finds out whether another process uses it.
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
                // The first process admits others as soon as it has swept.
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

    /// Checks that the directory is still the one that was opened, not an empty mount point or
    /// another disk in its place.
    pub(super) fn is_there(&self) -> bool {
        let (Ok(opened), Ok(found)) = (self.lock.metadata(), fs::symlink_metadata(self.root.join(LOCK)))
        else {
            return false;
        };
        same_file(&opened, &found)
    }

    /// Removes files left by uploads that never finished, and returns their number.
    ///
    /// At the `start`, before this process has uploads of its own, removes every staging file if no
    /// other process uses the directory. Otherwise removes those too old for an upload in progress.
    /// Only touches names that the store itself could have created.
    pub(super) fn sweep_staging_files(&self, start: bool) -> io::Result<usize> {
        let swept = if start && self.alone {
            Swept::All
        } else {
            Swept::Abandoned
        };
        let mut removed = sweep(&self.root, swept, is_object)?;
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() && is_tenant(&entry.file_name()) {
                removed += sweep(&entry.path(), swept, is_object)?;
            }
        }
        if swept == Swept::All {
            // Later processes must see the directory in use while any process that shares it lives,
            // even after this one exits.
            self.lock.lock_shared()?;
        }
        Ok(removed)
    }

    /// Sets a file's modification time to now. Returns false if there is no such file.
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

/// Checks whether the store has objects of this name: keys and the probe.
fn is_object(name: &str) -> bool {
    name.parse::<KeyId>().is_ok() || name == PROBE
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
        // The second process is not alone, and neither is the third after the first has exited.
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
