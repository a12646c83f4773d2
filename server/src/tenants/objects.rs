//! Small objects that several servers share: reads of bounded length, conditional writes and
//! listings, each with a timeout.

use crate::objects::{Location, OpenError};
use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;
use object_store::{
    GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, UpdateVersion,
    path::Path,
};
use std::{fs, sync::Arc, time::Duration};

/// Size limit of an object in bytes: room for more than 100,000 tenants.
pub(super) const LONGEST: u64 = 16 << 20;

/// Store of small objects, opened.
#[derive(Debug)]
pub(super) struct Objects {
    store: Arc<dyn ObjectStore>,
    patience: Duration,
}

/// Why an object can't be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectError {
    /// The store can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The operation timed out.
    #[error("the store did not answer within {} s", .0.as_secs_f64())]
    Slow(Duration),
    /// The object is longer than any valid one.
    #[error("it has more than {LONGEST} bytes")]
    TooLong,
    /// The object isn't the one that was read before.
    #[error("another process has changed it")]
    Raced,
    /// Another operation failed.
    #[error(transparent)]
    Store(object_store::Error),
}

/// Result of reading an object.
#[derive(Debug)]
pub(super) enum Read {
    /// There is no such object.
    Absent,
    /// It is the version that the caller knows.
    Unchanged,
    /// Content and version of the object.
    Found(Bytes, UpdateVersion),
}

impl Objects {
    /// Opens the store, and creates it if it is a directory.
    pub(super) fn open(location: &Location, patience: Duration) -> Result<Self, OpenError> {
        if let Location::Directory(path) = location {
            fs::create_dir_all(path).map_err(|source| OpenError::Directory {
                path: path.clone(),
                source,
            })?;
        }
        Ok(Self::on(location.objects(patience)?, patience))
    }

    /// Uses a store that is open.
    pub(super) fn on(store: Arc<dyn ObjectStore>, patience: Duration) -> Self {
        Self { store, patience }
    }

    /// Reads an object, unless it still has the entity tag `known`.
    pub(super) async fn read(&self, path: &Path, known: Option<String>) -> Result<Read, ObjectError> {
        let read = async {
            let options = GetOptions::new().with_if_none_match(known);
            let object = match self.store.get_opts(path, options).await {
                Ok(object) => object,
                Err(object_store::Error::NotFound { .. }) => return Ok(Read::Absent),
                Err(object_store::Error::NotModified { .. }) => return Ok(Read::Unchanged),
                Err(error) => return Err(ObjectError::Store(error)),
            };
            let version = UpdateVersion {
                e_tag: object.meta.e_tag.clone(),
                version: object.meta.version.clone(),
            };
            let mut content = BytesMut::new();
            let mut pieces = object.into_stream();
            while let Some(piece) = pieces.try_next().await.map_err(ObjectError::Store)? {
                if (content.len() + piece.len()) as u64 > LONGEST {
                    return Err(ObjectError::TooLong);
                }
                content.extend_from_slice(&piece);
            }
            Ok(Read::Found(content.freeze(), version))
        };
        self.bounded(read).await
    }

    /// Writes an object. Fails with [`ObjectError::Raced`] if the mode's condition isn't met.
    pub(super) async fn put(&self, path: &Path, content: Vec<u8>, mode: PutMode) -> Result<(), ObjectError> {
        let put = async {
            let payload = PutPayload::from(content);
            match self.store.put_opts(path, payload, PutOptions::from(mode)).await {
                Ok(_) => Ok(()),
                Err(object_store::Error::Precondition { .. } | object_store::Error::AlreadyExists { .. }) => {
                    Err(ObjectError::Raced)
                }
                Err(error) => Err(ObjectError::Store(error)),
            }
        };
        self.bounded(put).await
    }

    /// Lists the objects at the top of the store, which doesn't include folders.
    pub(super) async fn list(&self) -> Result<Vec<ObjectMeta>, ObjectError> {
        let list = async {
            let listed = self.store.list_with_delimiter(None).await;
            Ok(listed.map_err(ObjectError::Store)?.objects)
        };
        self.bounded(list).await
    }

    /// Removes an object, which needn't be there.
    pub(super) async fn remove(&self, path: &Path) -> Result<(), ObjectError> {
        let remove = async {
            match self.store.delete(path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(ObjectError::Store(error)),
            }
        };
        self.bounded(remove).await
    }

    async fn bounded<T>(
        &self,
        operation: impl Future<Output = Result<T, ObjectError>>,
    ) -> Result<T, ObjectError> {
        match tokio::time::timeout(self.patience, operation).await {
            Ok(result) => result,
            Err(_) => Err(ObjectError::Slow(self.patience)),
        }
    }
}
