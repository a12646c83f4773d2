//! Lists of token hashes: a file, or an object in an object store.

mod file;
mod grants;
mod object;

use super::{tenant::TenantName, token::Token};
use crate::objects::{Location, ObjectError, Objects};
pub use file::TokenFile;
use file::blocking;
pub use grants::{Grant, Role};
pub(crate) use object::TokenObject;
use object_store::path::Path;
use std::{io, path::PathBuf, time::Duration};
use url::Url;

/// Location of the list of tokens.
#[derive(Clone, Debug)]
pub(crate) enum TokensAt {
    /// A file.
    File(TokenFile),
    /// An object in an object store.
    Object {
        /// Folder of the object.
        folder: Location,
        /// Name of the object in it.
        name: Path,
        /// URL of the object, without user name, password and query.
        url: String,
    },
}

/// List of tokens, opened.
#[derive(Debug)]
pub(crate) enum Tokens {
    /// In a file.
    File(TokenFile),
    /// In an object store.
    Object(TokenObject),
}

/// Why tokens can't be read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokensError {
    /// The file system failed.
    #[error("{path:?}: {source}")]
    Io {
        /// Path of the file.
        path: PathBuf,
        /// Error from the system.
        source: io::Error,
    },
    /// The object store failed.
    #[error("{url}: {source}")]
    Object {
        /// URL of the object.
        url: String,
        /// Error from the store.
        source: ObjectError,
    },
    /// The content isn't a list of tokens.
    #[error("{location} is not a list of tokens: {source}")]
    Malformed {
        /// Path or URL of the list.
        location: String,
        /// Position and cause of the error.
        source: serde_json::Error,
    },
    /// The list existed earlier and is gone now.
    #[error("{0} is gone: no token is accepted without it")]
    Gone(String),
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

/// Why a URL can't be the location of tokens.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadTokensUrl {
    /// Memory is lost with the process.
    #[error("memory:// is lost when a process ends, so it can't hold tokens")]
    Memory,
    /// The URL ends with a folder.
    #[error("the URL has to end with the name of an object, as in s3://BUCKET/PREFIX/tokens.json")]
    NoName,
    /// The name of the object isn't a valid one.
    #[error("the name of the object: {0}")]
    Name(#[from] object_store::path::Error),
}

impl TokensAt {
    /// Names the location at `url`. `at` turns a URL into the location of a store.
    ///
    /// # Errors
    /// Fails if the URL doesn't name an object, or `at` fails.
    pub(crate) fn url<E>(mut url: Url, at: impl FnOnce(Url) -> Result<Location, E>) -> Result<Self, E>
    where
        E: From<BadTokensUrl>,
    {
        match url.scheme() {
            "memory" => return Err(BadTokensUrl::Memory.into()),
            _ if Location::takes_options(&url) => {}
            // A file, or a scheme that `at` refuses.
            _ => {
                return match at(url)? {
                    Location::Directory(path) => Ok(Self::File(TokenFile::at(&path))),
                    _ => Err(BadTokensUrl::NoName.into()),
                };
            }
        }
        let shown = format!(
            "{}://{}{}",
            url.scheme(),
            url.host_str().unwrap_or_default(),
            url.path()
        );
        let path = url.path().to_owned();
        let (folder, name) = path.rsplit_once('/').unwrap_or_default();
        if name.is_empty() {
            return Err(BadTokensUrl::NoName.into());
        }
        let name = Path::from_url_path(name).map_err(BadTokensUrl::Name)?;
        url.set_path(folder);
        Ok(Self::Object {
            folder: at(url)?,
            name,
            url: shown,
        })
    }

    /// Opens the list. Requests to an object store are abandoned after `patience`.
    ///
    /// # Errors
    /// Fails if the store's settings are invalid.
    pub(crate) fn open(&self, patience: Duration) -> Result<Tokens, TokensError> {
        Ok(match self {
            Self::File(file) => Tokens::File(file.clone()),
            Self::Object { folder, name, url } => {
                let objects = Objects::open(folder, patience).map_err(|error| TokensError::Object {
                    url: url.clone(),
                    source: error.into(),
                })?;
                Tokens::Object(TokenObject::new(objects, name.clone(), url.clone()))
            }
        })
    }
}

impl Tokens {
    /// Returns all grants, or `None` if there is no list, which means that no token was ever
    /// created.
    ///
    /// # Errors
    /// Fails if the list can't be read, or is none.
    pub(crate) async fn read(&self) -> Result<Option<Vec<Grant>>, TokensError> {
        match self {
            Self::File(file) => blocking(file, TokenFile::read).await,
            Self::Object(object) => object.read().await,
        }
    }

    /// Creates a token and stores its hash.
    ///
    /// # Errors
    /// Fails if the list can't be changed, or the tenant may have no token.
    pub(crate) async fn create(&self, tenant: TenantName, role: Role) -> Result<(Token, Grant), TokensError> {
        match self {
            Self::File(file) => blocking(file, move |file| file.create(tenant, role)).await,
            Self::Object(object) => object.create(tenant, role).await,
        }
    }

    /// Revokes a token.
    ///
    /// # Errors
    /// Fails if the list can't be changed, or no token has the id.
    pub(crate) async fn revoke(&self, id: &str) -> Result<Grant, TokensError> {
        match self {
            Self::File(file) => {
                let id = id.to_owned();
                blocking(file, move |file| file.revoke(&id)).await
            }
            Self::Object(object) => object.revoke(id).await,
        }
    }

    /// Returns how often a server reads the list: a revoked token is accepted for at most this long
    /// plus the time of a read.
    pub(crate) fn interval(&self) -> Duration {
        match self {
            Self::File(_) => Duration::from_secs(2),
            Self::Object(_) => Duration::from_secs(5),
        }
    }

    /// Returns the path or URL.
    pub(crate) fn location(&self) -> String {
        match self {
            Self::File(file) => format!("{:?}", file.path()),
            Self::Object(object) => object.url().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::OpenError;

    #[derive(Debug, thiserror::Error)]
    enum Error {
        #[error(transparent)]
        Url(#[from] BadTokensUrl),
        #[error(transparent)]
        Open(#[from] OpenError),
    }

    #[test]
    fn urls_name_an_object_or_a_file() {
        let at = |url: &str| {
            let location = |url| Location::new(url, Vec::new()).map_err(Error::from);
            TokensAt::url(url.parse().unwrap(), location)
        };
        let Ok(TokensAt::Object { folder, name, url }) = at("s3://user:secret@bucket/a/b/tokens%20x.json?y")
        else {
            panic!("an object");
        };
        assert!(matches!(folder, Location::Cloud { url, .. } if url.path() == "/a/b"));
        assert_eq!(name.as_ref(), "tokens x.json");
        assert_eq!(url, "s3://bucket/a/b/tokens%20x.json");
        let Ok(TokensAt::Object { folder, .. }) = at("gs://bucket/tokens.json") else {
            panic!("an object");
        };
        assert!(matches!(folder, Location::Cloud { url, .. } if ["", "/"].contains(&url.path())));
        assert!(
            matches!(at("file:///a/tokens.json"), Ok(TokensAt::File(file)) if file.path().ends_with("a/tokens.json"))
        );
        for nameless in ["s3://bucket", "s3://bucket/", "az://container/a/"] {
            assert!(
                matches!(at(nameless), Err(Error::Url(BadTokensUrl::NoName))),
                "{nameless}"
            );
        }
        assert!(matches!(at("memory://"), Err(Error::Url(BadTokensUrl::Memory))));
        assert!(matches!(
            at("ftp://host/tokens.json"),
            Err(Error::Open(OpenError::Scheme(_)))
        ));
    }
}
