//! File of token hashes, shared by servers and the `token` command.

use super::{
    TokensError,
    grants::{Grant, Grants, Role},
};
use crate::tenants::{
    replace::{folder_of, replace},
    tenant::TenantName,
    token::Token,
};
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// File that lists the valid tokens.
///
/// It is replaced atomically: a server that reads it during a change finds the old or the new
/// version.
#[derive(Clone, Debug)]
pub struct TokenFile(PathBuf);

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
    pub fn read(&self) -> Result<Option<Vec<Grant>>, TokensError> {
        let text = match fs::read(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed(error)),
        };
        let grants = Grants::parse(&text, || format!("{:?}", self.0))?;
        Ok(Some(grants.tokens))
    }

    /// Creates a token and stores its hash.
    pub fn create(&self, tenant: TenantName, role: Role) -> Result<(Token, Grant), TokensError> {
        let (token, grant) = Grant::generate(tenant, role)?;
        self.change(|grants| {
            grants.add(&grant);
            Ok(())
        })?;
        Ok((token, grant))
    }

    /// Revokes a token.
    pub fn revoke(&self, id: &str) -> Result<Grant, TokensError> {
        self.change(|grants| {
            grants
                .remove(id)
                .ok_or_else(|| TokensError::Unknown(id.to_owned()))
        })
    }

    fn change<T>(
        &self,
        change: impl FnOnce(&mut Grants) -> Result<T, TokensError>,
    ) -> Result<T, TokensError> {
        fs::create_dir_all(folder_of(&self.0)).map_err(|error| self.failed(error))?;
        // Serializes changes. The lock is a separate file, because this one is replaced.
        let lock = self.lock_file()?;
        lock.lock().map_err(|error| self.failed(error))?;
        let mut grants = Grants {
            tokens: self.read()?.unwrap_or_default(),
        };
        let result = change(&mut grants)?;
        let text = grants.text().map_err(|error| self.failed(error.into()))?;
        replace(&self.0, &text, |new| keep_owner(&self.0, new)).map_err(|error| self.failed(error))?;
        Ok(result)
    }

    /// Opens `NAME.lock` beside the file, without following or changing anything else at that path.
    fn lock_file(&self) -> Result<File, TokensError> {
        let mut path = self.0.clone().into_os_string();
        path.push(".lock");
        let path = PathBuf::from(path);
        if fs::symlink_metadata(&path).is_ok_and(|found| !found.is_file()) {
            return Err(TokensError::Lock(path));
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
                keep_owner(&self.0, &lock).map_err(|error| self.failed(error))?;
                Ok(lock)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => options.open(&path),
            Err(error) => Err(error),
        };
        lock.map_err(|source| TokensError::Io { path, source })
    }

    fn failed(&self, source: io::Error) -> TokensError {
        TokensError::Io {
            path: self.0.clone(),
            source,
        }
    }
}

/// Uses the file on a thread that may wait for the disk.
pub(super) async fn blocking<T: Send + 'static>(
    file: &TokenFile,
    used: impl FnOnce(&TokenFile) -> Result<T, TokensError> + Send + 'static,
) -> Result<T, TokensError> {
    let (path, file) = (file.0.clone(), file.clone());
    match tokio::task::spawn_blocking(move || used(&file)).await {
        Ok(result) => result,
        Err(error) => Err(TokensError::Io {
            path,
            source: io::Error::other(error),
        }),
    }
}

/// Gives a new file the owner and mode of the file that it replaces, or the folder's owner. The
/// server may run as another user than the one who manages tokens, and must still be able to read
/// it.
#[cfg(unix)]
fn keep_owner(old: &Path, new: &File) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
    let (like, mode) = match fs::metadata(old) {
        Ok(found) => {
            let mode = found.permissions().mode();
            (found, Some(mode))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => (fs::metadata(folder_of(old))?, None),
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

#[cfg(not(unix))]
fn keep_owner(_: &Path, _: &File) -> io::Result<()> {
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
        let (_, grant) = file.create("clinic".parse().unwrap(), Role::Client).unwrap();
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
        file.create("a".parse().unwrap(), Role::Client).unwrap();
        file.create("b".parse().unwrap(), Role::Client).unwrap();
        assert_eq!(file.read().unwrap().unwrap().len(), 2);
        let victim = folder.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, folder.path().join("y.lock")).unwrap();
        let refused = TokenFile::at(&folder.path().join("y")).create("a".parse().unwrap(), Role::Client);
        assert!(matches!(refused, Err(TokensError::Lock(_))));
        assert_eq!(fs::read_to_string(victim).unwrap(), "precious");
    }

    #[test]
    fn tenants_that_could_store_nothing_get_no_token() {
        let folder = tempfile::tempdir().unwrap();
        let file = TokenFile::at(&folder.path().join("tokens.json"));
        for name in ["probe", "lock"] {
            let refused = file.create(name.parse().unwrap(), Role::Client);
            assert!(matches!(refused, Err(TokensError::Reserved(_))));
        }
    }

    #[test]
    fn tokens_are_kept_as_hashes_until_they_are_revoked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/tokens.json");
        let file = TokenFile::at(&path);
        assert_eq!(file.read().unwrap(), None);
        let (token, one) = file.create("clinic".parse().unwrap(), Role::Client).unwrap();
        let (_, two) = file.create("lab".parse().unwrap(), Role::Operator).unwrap();
        assert_eq!(file.read().unwrap().unwrap(), [one.clone(), two.clone()]);
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains(token.reveal()) && !text.contains("bsk_"));
        assert_eq!(file.revoke(&one.id).unwrap(), one);
        assert!(matches!(file.revoke(&one.id), Err(TokensError::Unknown(_))));
        assert_eq!(file.read().unwrap().unwrap(), [two]);
    }

    #[test]
    fn many_at_once_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = TokenFile::at(&folder.path().join("tokens.json"));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| file.create("a".parse().unwrap(), Role::Client).unwrap());
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
                Err(TokensError::Malformed { .. })
            ));
        }
    }
}
