//! Small objects that several servers share: reads of bounded length, conditional writes and
//! listings, each with a timeout.

use super::{Location, OpenError, StoreError, bounded, found};
use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;
use object_store::{
    GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, UpdateVersion,
    path::Path,
};
use std::{fs, sync::Arc, time::Duration};

/// Size limit of a small object in bytes: room for the tokens or counts of more than 100,000
/// tenants.
pub(crate) const LONGEST: u64 = 16 << 20;

/// Store of small objects, opened.
#[derive(Debug)]
pub(crate) struct Objects {
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
    /// The object is longer than any valid one.
    #[error("it has more than {LONGEST} bytes")]
    TooLong,
    /// The object isn't the one that was read before.
    #[error("another process has changed it")]
    Raced,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Result of reading an object.
#[derive(Debug)]
pub(crate) enum Read {
    /// There is no such object.
    Absent,
    /// It is the version that the caller knows.
    Unchanged,
    /// Content and version of the object.
    Found(Bytes, UpdateVersion),
}

impl Objects {
    /// Opens the store, and creates it if it is a directory.
    pub(crate) fn open(location: &Location, patience: Duration) -> Result<Self, OpenError> {
        if let Location::Directory(path) = location {
            fs::create_dir_all(path).map_err(|source| OpenError::Directory {
                path: path.clone(),
                source,
            })?;
        }
        Ok(Self::on(location.objects(patience)?, patience))
    }

    /// Uses a store that is open.
    pub(crate) fn on(store: Arc<dyn ObjectStore>, patience: Duration) -> Self {
        Self { store, patience }
    }

    /// Reads an object, unless it still has the entity tag `known`.
    pub(crate) async fn read(&self, path: &Path, known: Option<String>) -> Result<Read, ObjectError> {
        let read = async {
            let options = GetOptions::new().with_if_none_match(known);
            let object = self.store.get_opts(path, options).await?;
            let version = UpdateVersion {
                e_tag: object.meta.e_tag.clone(),
                version: object.meta.version.clone(),
            };
            let mut content = BytesMut::new();
            let mut pieces = object.into_stream();
            while let Some(piece) = pieces.try_next().await? {
                if (content.len() + piece.len()) as u64 > LONGEST {
                    return Ok(None);
                }
                content.extend_from_slice(&piece);
            }
            Ok(Some((content.freeze(), version)))
        };
        match bounded(self.patience, read).await {
            Ok(Some((content, version))) => Ok(Read::Found(content, version)),
            Ok(None) => Err(ObjectError::TooLong),
            Err(StoreError::Object(object_store::Error::NotFound { .. })) => Ok(Read::Absent),
            Err(StoreError::Object(object_store::Error::NotModified { .. })) => Ok(Read::Unchanged),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes an object. Fails with [`ObjectError::Raced`] if the mode's condition isn't met.
    pub(crate) async fn put(&self, path: &Path, content: Vec<u8>, mode: PutMode) -> Result<(), ObjectError> {
        let payload = PutPayload::from(content);
        let put = self.store.put_opts(path, payload, PutOptions::from(mode));
        match bounded(self.patience, put).await {
            Ok(_) => Ok(()),
            Err(StoreError::Object(
                object_store::Error::Precondition { .. } | object_store::Error::AlreadyExists { .. },
            )) => Err(ObjectError::Raced),
            Err(error) => Err(error.into()),
        }
    }

    /// Lists the objects at the top of the store, which doesn't include folders.
    pub(crate) async fn list(&self) -> Result<Vec<ObjectMeta>, ObjectError> {
        let listed = bounded(self.patience, self.store.list_with_delimiter(None)).await?;
        Ok(listed.objects)
    }

    /// Removes an object, which needn't be there.
    pub(crate) async fn remove(&self, path: &Path) -> Result<(), ObjectError> {
        found(bounded(self.patience, self.store.delete(path)).await)?;
        Ok(())
    }
}
