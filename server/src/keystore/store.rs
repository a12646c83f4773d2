use blindscore_protocol::ids::KeyId;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::TryStreamExt;
use object_store::{
    ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, local::LocalFileSystem,
    path::Path,
};
use std::{error::Error, io, path::PathBuf, sync::Arc, time::SystemTime};
use tokio::sync::Mutex;

/// Written when a store is opened; reading it back shows that the store still answers.
const PROBE: &str = "probe";

/// The store failed or can't be reached.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory can't be made.
    #[error("cannot create {path:?}: {source}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An operation failed.
    #[error(transparent)]
    Object(#[from] object_store::Error),
}

impl StoreError {
    /// Whether there is no room left: no space on the device, or a quota is used up.
    pub fn is_full(&self) -> bool {
        let mut cause: Option<&(dyn Error + 'static)> = Some(self);
        while let Some(error) = cause {
            if let Some(io) = error.downcast_ref::<io::Error>() {
                return matches!(
                    io.kind(),
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
                );
            }
            cause = error.source();
        }
        false
    }
}

/// What is known of a stored key besides its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// Its id.
    pub id: KeyId,
    /// Length of its blob.
    pub bytes: u64,
    /// When it was uploaded.
    pub created_at: DateTime<Utc>,
    /// From when on it counts as never uploaded.
    pub expires_at: DateTime<Utc>,
}

impl KeyRecord {
    /// Whether the key still counts.
    pub fn is_live(&self) -> bool {
        now() < self.expires_at
    }
}

/// What an upload did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// The key is new.
    New(KeyRecord),
    /// The same bytes were there.
    Already(KeyRecord),
}

/// Public keys in an object store, one object each, named by the key's id.
///
/// Objects are never changed: the name is a hash of the content. An expired object counts as absent, whether
/// the sweep has come by or not.
#[derive(Debug)]
pub struct KeyStore {
    objects: Arc<dyn ObjectStore>,
    ttl: TimeDelta,
    /// Held where an expired object is replaced or swept, so that a sweep can't take a key just renewed.
    expired: Mutex<()>,
}

impl KeyStore {
    /// Opens (and creates) a store in a local directory.
    ///
    /// Writes are atomic and durable: object_store writes a staging file, syncs it, links it into place and
    /// syncs the directory before it returns. A removal is synced too.
    pub async fn open_directory(path: PathBuf, ttl: TimeDelta) -> Result<Self, StoreError> {
        std::fs::create_dir_all(&path).map_err(|source| StoreError::Directory {
            path: path.clone(),
            source,
        })?;
        let objects = LocalFileSystem::new_with_prefix(path)?.with_fsync(true);
        Self::open(Arc::new(objects), ttl).await
    }

    /// Opens a store; fails if it can't be written.
    pub async fn open(objects: Arc<dyn ObjectStore>, ttl: TimeDelta) -> Result<Self, StoreError> {
        objects.put(&Path::from(PROBE), PutPayload::new()).await?;
        Ok(Self {
            objects,
            ttl,
            expired: Mutex::new(()),
        })
    }

    /// Keeps a key's blob, which the caller has checked. When this returns, the key is on disk.
    pub async fn put(&self, id: KeyId, blob: Bytes) -> Result<Stored, StoreError> {
        let present = self.metadata(id).await?;
        if let Some(record) = present.filter(KeyRecord::is_live) {
            return Ok(Stored::Already(record));
        }
        let (mode, _sweep_waits) = match present {
            Some(_expired) => (PutMode::Overwrite, Some(self.expired.lock().await)),
            None => (PutMode::Create, None),
        };
        let created = self
            .objects
            .put_opts(&path(id), PutPayload::from_bytes(blob), PutOptions::from(mode))
            .await;
        let lost_race = match created {
            Ok(_) => false,
            Err(object_store::Error::AlreadyExists { .. }) => true,
            Err(error) => return Err(error.into()),
        };
        let meta = self.objects.head(&path(id)).await?;
        let record = self.record(id, &meta);
        Ok(if lost_race {
            Stored::Already(record)
        } else {
            Stored::New(record)
        })
    }

    /// What is known of a key, if it is there and has not expired.
    pub async fn find(&self, id: KeyId) -> Result<Option<KeyRecord>, StoreError> {
        Ok(self.metadata(id).await?.filter(KeyRecord::is_live))
    }

    /// A key's blob, if it is there and has not expired.
    pub async fn read(&self, id: KeyId) -> Result<Option<(KeyRecord, Bytes)>, StoreError> {
        let Some(object) = found(self.objects.get(&path(id)).await)? else {
            return Ok(None);
        };
        let record = self.record(id, &object.meta);
        if !record.is_live() {
            return Ok(None);
        }
        Ok(Some((record, object.bytes().await?)))
    }

    /// Removes a key; one that isn't there counts as removed.
    pub async fn remove(&self, id: KeyId) -> Result<(), StoreError> {
        found(self.objects.delete(&path(id)).await)?;
        Ok(())
    }

    /// Removes every expired key and returns how many there were.
    pub async fn sweep(&self) -> Result<usize, StoreError> {
        let mut removed = 0;
        let mut listing = self.objects.list(None);
        while let Some(listed) = listing.try_next().await? {
            let Some(id) = listed.location.filename().and_then(|name| name.parse().ok()) else {
                continue;
            };
            if self.record(id, &listed).is_live() {
                continue;
            }
            let _uploads_wait = self.expired.lock().await;
            // Looked up again: an upload may have renewed it since it was listed.
            if self.metadata(id).await?.is_some_and(|record| !record.is_live()) {
                self.remove(id).await?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Fails if the store does not answer.
    pub async fn check(&self) -> Result<(), StoreError> {
        self.objects.head(&Path::from(PROBE)).await?;
        Ok(())
    }

    async fn metadata(&self, id: KeyId) -> Result<Option<KeyRecord>, StoreError> {
        let meta = found(self.objects.head(&path(id)).await)?;
        Ok(meta.map(|meta| self.record(id, &meta)))
    }

    fn record(&self, id: KeyId, meta: &ObjectMeta) -> KeyRecord {
        let expires_at = meta.last_modified.checked_add_signed(self.ttl);
        KeyRecord {
            id,
            bytes: meta.size,
            created_at: meta.last_modified,
            expires_at: expires_at.unwrap_or(DateTime::<Utc>::MAX_UTC),
        }
    }
}

fn path(id: KeyId) -> Path {
    Path::from(id.to_string())
}

fn now() -> DateTime<Utc> {
    SystemTime::now().into()
}

/// Turns "not found" into `None`.
fn found<T>(result: object_store::Result<T>) -> Result<Option<T>, StoreError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::memory::InMemory;

    async fn store(ttl: TimeDelta) -> KeyStore {
        KeyStore::open(Arc::new(InMemory::new()), ttl).await.unwrap()
    }

    #[actix_web::test]
    async fn keeps_and_removes() {
        let keys = store(TimeDelta::days(1)).await;
        let (blob, id) = (Bytes::from_static(b"key"), KeyId::of(b"key"));
        assert_eq!(keys.find(id).await.unwrap(), None);
        assert!(matches!(
            keys.put(id, blob.clone()).await.unwrap(),
            Stored::New(_)
        ));
        assert!(matches!(
            keys.put(id, blob.clone()).await.unwrap(),
            Stored::Already(_)
        ));
        let (record, read) = keys.read(id).await.unwrap().unwrap();
        assert_eq!((record.bytes, read), (3, blob));
        assert_eq!(keys.sweep().await.unwrap(), 0);
        keys.remove(id).await.unwrap();
        keys.remove(id).await.unwrap();
        assert!(keys.read(id).await.unwrap().is_none());
        keys.check().await.unwrap();
    }

    #[actix_web::test]
    async fn expired_keys_are_absent_replaced_and_swept() {
        let keys = store(TimeDelta::zero()).await;
        let (blob, id) = (Bytes::from_static(b"key"), KeyId::of(b"key"));
        assert!(matches!(
            keys.put(id, blob.clone()).await.unwrap(),
            Stored::New(_)
        ));
        assert_eq!(keys.find(id).await.unwrap(), None);
        assert!(keys.read(id).await.unwrap().is_none());
        assert!(matches!(keys.put(id, blob).await.unwrap(), Stored::New(_)));
        assert_eq!(keys.sweep().await.unwrap(), 1);
        assert_eq!(keys.sweep().await.unwrap(), 0);
        keys.check().await.unwrap();
    }
}
