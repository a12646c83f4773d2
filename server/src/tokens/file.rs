use super::token::{Token, TokenHash};
use crate::keystore::TenantName;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};
use tempfile::NamedTempFile;

/// The file that says which tokens are valid.
///
/// It is replaced as a whole, so that a server that reads it meanwhile finds the old or the new one.
#[derive(Clone, Debug)]
pub struct TokenFile(PathBuf);

/// One token: whose it is, and what it may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Name of the token, not secret.
    pub id: String,
    /// Whose keys it reaches.
    pub tenant: TenantName,
    /// Whether it may read the metrics, which are of all tenants.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub operator: bool,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// Hash of the token.
    pub sha256: TokenHash,
}

/// A token file that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// The file system failed.
    #[error("{path:?}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The content is not a list of tokens.
    #[error("{path:?} is not a list of tokens: {source}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// No token has this id.
    #[error("no token has the id {0}")]
    Unknown(String),
    /// The platform gives no randomness.
    #[error("no randomness: {0}")]
    Entropy(#[from] getrandom::Error),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    tokens: Vec<Grant>,
}

impl TokenFile {
    /// The file at a path, which need not be there yet.
    pub fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// All grants, or `None` if there is no file: then no one has ever been given a token.
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

    /// Makes a token and keeps its hash.
    pub fn create(&self, tenant: TenantName, operator: bool) -> Result<(Token, Grant), TokenFileError> {
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

    /// Takes a token back.
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
        // One at a time; the lock is another file because this one is replaced.
        let lock = File::create(self.0.with_extension("lock")).map_err(|error| self.failed(error))?;
        lock.lock().map_err(|error| self.failed(error))?;
        let mut tokens = self.read()?.unwrap_or_default();
        let result = change(&mut tokens)?;
        self.replace(folder, &Content { tokens })
            .map_err(|error| self.failed(error))?;
        Ok(result)
    }

    fn replace(&self, folder: &Path, content: &Content) -> io::Result<()> {
        // Readable by its owner only.
        let mut file = NamedTempFile::new_in(folder)?;
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

#[cfg(test)]
mod tests {
    use super::*;

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
