//! File of the secret key: only its owner can read it, and it is complete or absent.

use crate::{Connection, RemoteError};
use blindscore_client::ClientKey;
use blindscore_protocol::{
    params::ParameterSet,
    wire::{HEADER_BYTES, Header, Kind},
};
use etcetera::{BaseStrategy, choose_base_strategy};
use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read, Write},
    path::{Path, PathBuf},
};
use tempfile::{NamedTempFile, PersistError};
use zeroize::Zeroizing;

/// Maximum size of a key file, in bytes; exported keys are a few hundred bytes.
const LIMIT: u64 = 1 << 16;

/// Where a secret key is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPlace {
    /// A file for each server and parameter set, in the user's data directory.
    Default,
    /// This file.
    File(PathBuf),
}

impl KeyPlace {
    /// Returns the path of the key for a model of this set.
    ///
    /// # Errors
    /// If the user has no data directory.
    pub fn path(&self, connection: &Connection, set: &ParameterSet) -> Result<PathBuf, RemoteError> {
        if let Self::File(path) = self {
            return Ok(path.clone());
        }
        let base = choose_base_strategy().map_err(|_| {
            let setting = connection.naming.setting("key");
            RemoteError::Setting(format!("there is no home directory: pass {setting}"))
        })?;
        Ok(base
            .data_dir()
            .join("blindscore")
            .join(folder(connection.url.as_str()))
            .join(format!("{}.key", set.name())))
    }
}

/// Removes keys of earlier versions: the one at `path`, and those of retired parameter sets beside
/// it. They can't be used any more, and a network's key protected inputs less well than it should
/// have (SECURITY.md). Returns the removed paths.
pub(crate) fn remove_outdated(path: &Path) -> Result<Vec<PathBuf>, RemoteError> {
    let retired = ParameterSet::RETIRED.map(|name| path.with_file_name(format!("{name}.key")));
    let mut removed = Vec::new();
    for path in retired.into_iter().chain([path.to_owned()]) {
        if is_outdated(&path)? {
            remove(&path)?;
            removed.push(path);
        }
    }
    Ok(removed)
}

/// Returns whether a file is a secret key of an earlier format.
fn is_outdated(path: &Path) -> Result<bool, RemoteError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        file => file.map_err(failed("read", path))?,
    };
    if !file.metadata().map_err(failed("read", path))?.is_file() {
        return Ok(false);
    }
    let mut head = Zeroizing::new(Vec::with_capacity(HEADER_BYTES));
    let length = HEADER_BYTES as u64;
    file.take(length)
        .read_to_end(&mut head)
        .map_err(failed("read", path))?;
    Ok(Header::is_of_earlier_format(&head) && Header::kind_of(&head) == Some(Kind::SecretKey))
}

/// Converts a server's address to the name of a folder.
pub(crate) fn folder(url: &str) -> String {
    let address = url.split_once("://").map_or(url, |(_, address)| address);
    let kept = |c: char| {
        if c.is_ascii_alphanumeric() || c == '.' {
            c
        } else {
            '-'
        }
    };
    address.to_ascii_lowercase().chars().map(kept).collect()
}

/// Reads the key, if the file exists.
pub(crate) fn read(path: &Path) -> Result<Option<ClientKey>, RemoteError> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.map_err(failed("read", path))?.take(LIMIT),
    };
    let mode = mode_for_others(file.get_ref()).map_err(failed("read", path))?;
    // Reserved up front: growing would leave copies of the secret behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LIMIT as usize + 1));
    file.read_to_end(&mut bytes).map_err(failed("read", path))?;
    let path = path.to_owned();
    match (ClientKey::from_bytes(&bytes), mode) {
        (Ok(key), None) => Ok(Some(key)),
        (Ok(_), Some(mode)) => Err(RemoteError::OpenToOthers { path, mode }),
        (Err(cause), _) => Err(RemoteError::NotAKey { path, cause }),
    }
}

/// Returns the permissions of a file if it is this user's and others have any. Files of somebody
/// else are left to whoever made them: a service may get its key from an administrator who lets its
/// group read it, and can't change that. OpenSSH has the same rule for its keys.
#[cfg(unix)]
fn mode_for_others(file: &File) -> io::Result<Option<u32>> {
    use std::os::unix::fs::MetadataExt;

    let found = file.metadata()?;
    let ours = found.uid() == rustix::process::getuid().as_raw();
    let mode = found.mode() & 0o7777;
    Ok((ours && mode & 0o077 != 0).then_some(mode))
}

/// Elsewhere, the folder of the user decides who can read it.
#[cfg(not(unix))]
fn mode_for_others(_: &File) -> io::Result<Option<u32>> {
    Ok(None)
}

/// Writes a new key unless there is one already; returns whether it did.
pub(crate) fn create(path: &Path, key: &ClientKey) -> Result<bool, RemoteError> {
    store(path, key, |file| match file.persist_noclobber(path) {
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Ok(false),
        done => done.map(|_| true),
    })
}

/// Writes a key in place of an existing one.
pub(crate) fn replace(path: &Path, key: &ClientKey) -> Result<(), RemoteError> {
    store(path, key, |file| file.persist(path).map(drop))
}

fn store<T>(
    path: &Path,
    key: &ClientKey,
    persist: impl FnOnce(NamedTempFile) -> Result<T, PersistError>,
) -> Result<T, RemoteError> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let stored = || -> io::Result<T> {
        fs::create_dir_all(folder)?;
        // On Unix, readable only by its owner from the start.
        let mut file = NamedTempFile::new_in(folder)?;
        file.write_all(&key.to_bytes())?;
        file.as_file().sync_all()?;
        let done = persist(file)?;
        if cfg!(unix) {
            File::open(folder)?.sync_all()?;
        }
        Ok(done)
    };
    stored().map_err(failed("write", path))
}

/// Removes the key file.
pub(crate) fn remove(path: &Path) -> Result<(), RemoteError> {
    fs::remove_file(path).map_err(failed("remove", path))
}

/// Names what was tried in an error of the operating system.
fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RemoteError {
    move |cause| RemoteError::File {
        action,
        path: path.to_owned(),
        cause,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use blindscore_protocol::params::LinearParams;

    #[test]
    fn what_is_written_is_read_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/folder/a.key");
        assert!(read(&path).unwrap().is_none());
        let set = ParameterSet::Linear(LinearParams::N2048);
        let (first, _) = ClientKey::generate(set).unwrap();
        assert!(create(&path, &first).unwrap());
        assert!(!create(&path, &ClientKey::generate(set).unwrap().0).unwrap());
        let (second, _) = ClientKey::generate(set).unwrap();
        for key in [first, second] {
            replace(&path, &key).unwrap();
            let found = read(&path).unwrap().unwrap();
            assert_eq!(*found.to_bytes(), *key.to_bytes());
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        remove(&path).unwrap();
        assert!(read(&path).unwrap().is_none());
    }

    #[test]
    fn keys_of_earlier_versions_are_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let set = ParameterSet::Linear(LinearParams::N2048);
        let present = ClientKey::generate(set).unwrap().0.to_bytes();
        let mut earlier = present.to_vec();
        earlier[4] = 2;
        let mut public = earlier.clone();
        public[6] = Kind::EvaluationKey as u8;
        for (name, content) in [
            ("mine.key", &earlier[..]),
            ("network-n704-k4.key", &earlier[..]),
            ("linear-n2048.key", &public[..]),
            ("linear-n2048-fine.key", b"notes"),
            ("other.key", &earlier[..]),
            ("now.key", &present[..]),
        ] {
            fs::write(dir.path().join(name), content).unwrap();
        }
        let removed = remove_outdated(&dir.path().join("mine.key")).unwrap();
        assert_eq!(
            removed,
            ["network-n704-k4.key", "mine.key"].map(|name| dir.path().join(name))
        );
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4);
        assert!(remove_outdated(&dir.path().join("now.key")).unwrap().is_empty());
        assert!(remove_outdated(dir.path()).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_key_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.key");
        for bytes in [vec![], b"not a key".to_vec(), vec![0; 1 << 20]] {
            fs::write(&path, bytes).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains("a.key is not a secret key"), "{error}");
        }
        assert!(read(dir.path()).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_can_read_is_refused_with_what_to_run() {
        use std::os::unix::fs::PermissionsExt;

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.key");
        let set = ParameterSet::Linear(LinearParams::N2048);
        create(&path, &ClientKey::generate(set).unwrap().0).unwrap();
        for (mode, refused) in [
            (0o644, true),
            (0o640, true),
            (0o604, true),
            (0o620, true),
            (0o600, false),
            (0o400, false),
        ] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            match read(&path) {
                Ok(key) => assert!(key.is_some() && !refused, "{mode:o}"),
                Err(error) => {
                    let error = error.to_string();
                    assert!(refused, "{mode:o}: {error}");
                    assert!(error.contains(&format!("(mode {mode:04o})")), "{error}");
                    assert!(
                        error.contains(&format!("run `chmod 600 '{}'`", path.display())),
                        "{error}"
                    );
                }
            }
        }
    }

    #[test]
    fn servers_have_folders_of_their_own() {
        assert_eq!(folder("http://127.0.0.1:8080"), "127.0.0.1-8080");
        assert_eq!(folder("https://Scores.example/a"), "scores.example-a");
        assert_eq!(folder("http://[::1]:80"), "---1--80");
    }
}
