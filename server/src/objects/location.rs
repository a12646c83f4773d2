//! Location of a store: a directory, memory, or cloud storage named by a URL.

use super::error::OpenError;
use object_store::{
    ObjectStore, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    gcp::{GoogleCloudStorageBuilder, GoogleConfigKey},
    local::LocalFileSystem,
    memory::InMemory,
    path::Path,
    prefix::PrefixStore,
};
use secrecy::{ExposeSecret, SecretString};
use std::{path::PathBuf, str::FromStr, sync::Arc, time::Duration};
use url::Url;

/// Retries of a failed request to cloud storage.
const RETRIES: usize = 3;

/// Location of keys, models, tokens or counts.
#[derive(Clone, Debug)]
pub enum Location {
    /// A directory on this machine.
    Directory(PathBuf),
    /// Memory of this process, for trials and tests.
    Memory,
    /// Cloud storage: `s3://bucket/prefix`, `az://container/prefix` or `gs://bucket/prefix`.
    Cloud {
        /// URL of the bucket and prefix.
        url: Url,
        /// Settings in addition to those in the environment (`AWS_*`, `AZURE_*`, `GOOGLE_*`).
        options: Vec<StoreOption>,
    },
}

/// Setting of cloud storage, as in `aws_region=eu-central-1`.
#[derive(Clone, Debug)]
pub struct StoreOption {
    name: String,
    /// Secret, since it may be a credential.
    value: SecretString,
}

impl FromStr for StoreOption {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once('=').ok_or("NAME=VALUE is needed")?;
        Ok(Self {
            name: name.trim().to_ascii_lowercase(),
            value: value.into(),
        })
    }
}

impl Location {
    /// Returns the location that a URL names.
    ///
    /// # Errors
    /// Fails if the URL's scheme is unknown, or if there are options for a store that has none.
    pub fn new(url: Url, options: Vec<StoreOption>) -> Result<Self, OpenError> {
        let without_options = |location| match options.first() {
            Some(option) => Err(OpenError::Option(option.name.clone())),
            None => Ok(location),
        };
        match url.scheme() {
            "file" => without_options(Self::Directory(url.to_file_path().map_err(|()| OpenError::Path)?)),
            "memory" => without_options(Self::Memory),
            _ if Self::takes_options(&url) => Ok(Self::Cloud { url, options }),
            other => Err(OpenError::Scheme(other.to_owned())),
        }
    }

    /// Checks whether a URL names cloud storage, which takes options.
    pub(crate) fn takes_options(url: &Url) -> bool {
        matches!(url.scheme(), "s3" | "az" | "gs")
    }

    /// Opens the store. Requests to cloud storage are abandoned after `patience`.
    pub(crate) fn objects(&self, patience: Duration) -> Result<Arc<dyn ObjectStore>, OpenError> {
        let (url, options) = match self {
            Self::Directory(path) => {
                return Ok(Arc::new(LocalFileSystem::new_with_prefix(path)?.with_fsync(true)));
            }
            Self::Memory => return Ok(Arc::new(InMemory::new())),
            Self::Cloud { url, options } => (url, options),
        };
        let retry = RetryConfig {
            max_retries: RETRIES,
            retry_timeout: patience,
            ..Default::default()
        };
        let bucket: Arc<dyn ObjectStore> = match url.scheme() {
            "s3" => {
                let mut builder = AmazonS3Builder::from_env()
                    .with_url(url.as_str())
                    .with_retry(retry);
                for option in options {
                    builder = builder.with_config(option.key::<AmazonS3ConfigKey>()?, option.value());
                }
                Arc::new(builder.build()?)
            }
            "az" => {
                let mut builder = MicrosoftAzureBuilder::from_env()
                    .with_url(url.as_str())
                    .with_retry(retry);
                for option in options {
                    builder = builder.with_config(option.key::<AzureConfigKey>()?, option.value());
                }
                Arc::new(builder.build()?)
            }
            _ => {
                let mut builder = GoogleCloudStorageBuilder::from_env()
                    .with_url(url.as_str())
                    .with_retry(retry);
                for option in options {
                    builder = builder.with_config(option.key::<GoogleConfigKey>()?, option.value());
                }
                Arc::new(builder.build()?)
            }
        };
        let prefix = Path::from_url_path(url.path()).map_err(object_store::Error::from)?;
        Ok(Arc::new(PrefixStore::new(bucket, prefix)))
    }
}

impl StoreOption {
    fn key<K: FromStr>(&self) -> Result<K, OpenError> {
        let key = self.name.parse();
        key.map_err(|_| OpenError::Option(self.name.clone()))
    }

    fn value(&self) -> &str {
        self.value.expose_secret()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(url: &str, options: &[&str]) -> Result<Location, OpenError> {
        let options = options.iter().map(|option| option.parse().unwrap());
        Location::new(url.parse().unwrap(), options.collect())
    }

    fn open(url: &str, options: &[&str]) -> Result<(), OpenError> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        location(url, options)?.objects(Duration::from_secs(1)).map(drop)
    }

    #[test]
    fn urls_name_stores() {
        assert!(matches!(
            location("file:///var/keys", &[]).unwrap(),
            Location::Directory(path) if path == std::path::Path::new("/var/keys")
        ));
        open("memory://", &[]).unwrap();
        open("s3://bucket/keys", &["aws_region=eu-central-1"]).unwrap();
        open("az://container/keys", &["azure_storage_account_name=a"]).unwrap();
        assert!(matches!(open("ftp://host/", &[]), Err(OpenError::Scheme(_))));
        assert!(matches!(
            open("s3://bucket", &["azure_x=1"]),
            Err(OpenError::Option(_))
        ));
        assert!(matches!(
            open("memory://", &["aws_region=x"]),
            Err(OpenError::Option(_))
        ));
    }

    #[test]
    fn options_keep_their_values_to_themselves() {
        let option: StoreOption = "aws_secret_access_key=hunter2".parse().unwrap();
        assert!(!format!("{option:?}").contains("hunter2"));
        assert_eq!(option.value(), "hunter2");
        assert!("no value".parse::<StoreOption>().is_err());
    }
}
