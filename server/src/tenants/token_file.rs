//! File of token hashes, shared by servers and the `token` command.

use super::{
    tenant::TenantName,
    token::{Token, TokenHash},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};
use tempfile::NamedTempFile;

/// File that lists the valid tokens.
///
/// It is replaced atomically: a server that reads it during a change finds the old or the new
/// version.
#[derive(Clone, Debug)]
pub struct TokenFile(PathBuf);

/// A token's tenant and permissions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Public id of the token.
    pub id: String,
    /// Tenant whose keys the token gives access to.
    pub tenant: TenantName,
    /// Whether the token may read the metrics, which cover all tenants.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub operator: bool,
    /// Creation time, RFC 3339.
    pub created_at: String,
    /// SHA-256 of the token.
    pub sha256: TokenHash,
}

/// Why a token file can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenFileError {
    /// The file system failed.
    #[error("{path:?}: {source}")]
    Io {
        /// Path of the file.
        path: PathBuf,
        /// Error from the system.
        source: io::Error,
    },
    /// The content isn't a list of tokens.
    #[error("{path:?} is not a list of tokens: {source}")]
    Malformed {
        /// Path of the file.
        path: PathBuf,
        /// Position and cause of the error.
        source: serde_json::Error,
    },
    /// The file existed earlier and is gone now.
    #[error("{0:?} is gone: no token is accepted without it")]
    Gone(PathBuf),
    /// No token has this id.
    #[error("no token has the id {0}")]
    Unknown(String),
    /// The name is reserved: the tenant's folder would take the place of a file of the key store.
    #[error("a tenant can't be called {0}: the key store has a file of that name")]
    Reserved(TenantName),
    /// The path of the lock holds something other than a plain file.
    #[error("{0:?} is not a plain file, so it can't be the lock of the tokens; remove it")]
    Lock(PathBuf),
    /// The platform provides no randomness.
    #[error("no randomness: {0}")]
    Entropy(#[from] getrandom::Error),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    tokens: Vec<Grant>,
}

impl TokenFile {
    /// Names the file at a path, which need not exist yet.
    pub fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Returns all grants, or `None` if there is no file, which means that no token was ever
    /// created.
    pub fn read(&self) -> Result<Option<Vec<Grant>>, TokenFileError> {
        let text = match fs::read(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed(error)),
        };
        let content: Content = serde_json::from_slice(&text).map_err(|source| TokenFileError::Malformed {
            path: self.0.clone(),
            source,
        })?;
        Ok(Some(content.tokens))
    }

    /// Creates a token and stores its hash.
    pub fn create(&self, tenant: TenantName, operator: bool) -> Result<(Token, Grant), TokenFileError> {
        if tenant.is_reserved() {
            return Err(TokenFileError::Reserved(tenant));
        }
        let token = Token::generate()?;
        let sha256 = TokenHash::of(token.reveal());
        let grant = Grant {
            id: sha256.short(),
            tenant,
            operator,
            created_at: DateTime::<Utc>::from(SystemTime::now())
                .to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            sha256,
        };
        let added = grant.clone();
        self.change(|grants| {
            grants.push(added);
            Ok(())
        })?;
        Ok((token, grant))
    }

    /// Revokes a token.
    pub fn revoke(&self, id: &str) -> Result<Grant, TokenFileError> {
        self.change(|grants| {
            let found = grants.iter().position(|grant| grant.id == id);
            let index = found.ok_or_else(|| TokenFileError::Unknown(id.to_owned()))?;
            Ok(grants.remove(index))
        })
    }

    fn change<T>(
        &self,
        change: impl FnOnce(&mut Vec<Grant>) -> Result<T, TokenFileError>,
    ) -> Result<T, TokenFileError> {
        let folder = match self.0.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        fs::create_dir_all(folder).map_err(|error| self.failed(error))?;
        // Serializes changes. The lock is a separate file, because this one is replaced.
        let lock = self.lock_file()?;
        lock.lock().map_err(|error| self.failed(error))?;
        let mut tokens = self.read()?.unwrap_or_default();
        let result = change(&mut tokens)?;
        self.replace(folder, &Content { tokens })
            .map_err(|error| self.failed(error))?;
        Ok(result)
    }

    /// Opens `NAME.lock` beside the file, without following or changing anything else at that path.
    fn lock_file(&self) -> Result<File, TokenFileError> {
        let mut path = self.0.clone().into_os_string();
        path.push(".lock");
        let path = PathBuf::from(path);
        if fs::symlink_metadata(&path).is_ok_and(|found| !found.is_file()) {
            return Err(TokenFileError::Lock(path));
        }
        let mut options = File::options();
        options.write(true).create(true).truncate(false);
        #[cfg(target_os = "linux")]
        {
            use std::os::unix::fs::OpenOptionsExt;
            let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
            options.mode(0o600).custom_flags(flags.bits() as i32);
        }
        let made = options.clone().create_new(true).open(&path);
        let lock = match made {
            Ok(lock) => {
                // Owner as for the file itself: whoever runs the server may change tokens too. Only
                // for a new lock; the owner of an existing one stays.
                #[cfg(unix)]
                if let Some(folder) = path.parent() {
                    let folder = if folder == Path::new("") {
                        Path::new(".")
                    } else {
                        folder
                    };
                    keep_owner(&self.0, folder, &lock).map_err(|error| self.failed(error))?;
                }
                Ok(lock)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => options.open(&path),
            Err(error) => Err(error),
        };
        lock.map_err(|source| TokenFileError::Io { path, source })
    }

    fn replace(&self, folder: &Path, content: &Content) -> io::Result<()> {
        // Temporary files are readable by their owner only.
        let mut file = NamedTempFile::new_in(folder)?;
        #[cfg(unix)]
        keep_owner(&self.0, folder, file.as_file())?;
        serde_json::to_writer_pretty(&mut file, content)?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        file.persist(&self.0)?;
        #[cfg(unix)]
        File::open(folder)?.sync_all()?;
        Ok(())
    }

    fn failed(&self, source: io::Error) -> TokenFileError {
        TokenFileError::Io {
            path: self.0.clone(),
            source,
        }
    }
}

/// Gives a new file the owner and mode of the file that it replaces, or the folder's owner. The
/// server may run as another user than the one who manages tokens, and must still be able to read
/// it.
#[cfg(unix)]
fn keep_owner(old: &Path, folder: &Path, new: &File) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
    let (like, mode) = match fs::metadata(old) {
        Ok(found) => {
            let mode = found.permissions().mode();
            (found, Some(mode))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => (fs::metadata(folder)?, None),
        Err(error) => return Err(error),
    };
    let mine = new.metadata()?;
    if (mine.uid(), mine.gid()) != (like.uid(), like.gid()) {
        match fchown(new, Some(like.uid()), Some(like.gid())) {
            // Only root may change a file's owner. If the group has no access anyway, a wrong group
            // doesn't matter.
            Err(error)
                if error.kind() == io::ErrorKind::PermissionDenied
                    && mine.uid() == like.uid()
                    && mode.is_none_or(|mode| mode & 0o070 == 0) => {}
            // The file is new, and its creator may write to the folder without owning it.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && mode.is_none() => {}
            result => result?,
        }
    }
    if let Some(mode) = mode {
        new.set_permissions(fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn mode_and_owner_stay_when_tokens_change() {
        use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.json");
        let file = TokenFile::at(&path);
        let (_, grant) = file.create("clinic".parse().unwrap(), false).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        // Only root may change the owner; without root, the test only checks the mode.
        let given = chown(&path, Some(65534), Some(65534)).is_ok();
        file.revoke(&grant.id).unwrap();
        let now = fs::metadata(&path).unwrap();
        assert_eq!(now.permissions().mode() & 0o777, 0o640);
        assert!(!given || (now.uid(), now.gid()) == (65534, 65534));
    }

    #[cfg(unix)]
    #[test]
    fn what_lies_where_the_lock_should_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        // A token file whose own name ends in `.lock`.
        let path = folder.path().join("x.lock");
        let file = TokenFile::at(&path);
        file.create("a".parse().unwrap(), false).unwrap();
        file.create("b".parse().unwrap(), false).unwrap();
        assert_eq!(file.read().unwrap().unwrap().len(), 2);
        let victim = folder.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, folder.path().join("y.lock")).unwrap();
        let refused = TokenFile::at(&folder.path().join("y")).create("a".parse().unwrap(), false);
        assert!(matches!(refused, Err(TokenFileError::Lock(_))));
        assert_eq!(fs::read_to_string(victim).unwrap(), "precious");
    }

    #[test]
    fn tenants_that_could_store_nothing_get_no_token() {
        let folder = tempfile::tempdir().unwrap();
        let file = TokenFile::at(&folder.path().join("tokens.json"));
        for name in ["probe", "lock"] {
            let refused = file.create(name.parse().unwrap(), false);
            assert!(matches!(refused, Err(TokenFileError::Reserved(_))));
        }
    }

    #[test]
    fn tokens_are_kept_as_hashes_until_they_are_revoked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/tokens.json");
        let file = TokenFile::at(&path);
        assert_eq!(file.read().unwrap(), None);
        let (token, one) = file.create("clinic".parse().unwrap(), false).unwrap();
        let (_, two) = file.create("lab".parse().unwrap(), true).unwrap();
        assert_eq!(file.read().unwrap().unwrap(), [one.clone(), two.clone()]);
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains(token.reveal()) && !text.contains("bsk_"));
        assert_eq!(file.revoke(&one.id).unwrap(), one);
        assert!(matches!(file.revoke(&one.id), Err(TokenFileError::Unknown(_))));
        assert_eq!(file.read().unwrap().unwrap(), [two]);
    }

    #[test]
    fn many_at_once_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = TokenFile::at(&folder.path().join("tokens.json"));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| file.create("a".parse().unwrap(), false).unwrap());
            }
        });
        assert_eq!(file.read().unwrap().unwrap().len(), 8);
    }

    #[test]
    fn a_damaged_file_is_an_error_and_not_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.json");
        for text in [
            "",
            "{}",
            "{\"tokens\":[{\"id\":\"x\"}]}",
            "{\"tokens\":[],\"more\":1}",
        ] {
            fs::write(&path, text).unwrap();
            assert!(matches!(
                TokenFile::at(&path).read(),
                Err(TokenFileError::Malformed { .. })
            ));
        }
    }
}
