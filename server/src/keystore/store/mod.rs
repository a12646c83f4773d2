//! Key store on top of `object_store`: upload, lookup, renewal, removal and expiry.

mod probe;

use super::{KeyStoreError, local::Directory, quota::Quota};
use crate::{
    objects::{Location, OpenError, StoreError, bounded, found, holds},
    telemetry,
    tenants::{Tenant, TenantName},
};
use blindscore_protocol::ids::KeyId;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{
    StreamExt, TryFutureExt, TryStreamExt,
    stream::{self, BoxStream},
};
use object_store::{
    ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, UpdateVersion, path::Path,
};
use probe::Probes;
use std::{
    hash::{BuildHasher, RandomState},
    num::NonZeroU64,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::sync::{Mutex, MutexGuard};

/// Number of locks for removals, which limits how many run at once.
const REMOVALS: usize = 256;
/// A key in use is renewed after 1/`RENEWED_AFTER` of its time to live, so that use rarely costs a
/// write.
const RENEWED_AFTER: i32 = 8;

/// Retention, timeout and quota of stored keys.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Time to live of a key after its upload or last renewal.
    pub ttl: TimeDelta,
    /// Timeout of one operation on the store.
    pub patience: Duration,
    /// Most keys that a tenant may store.
    pub max_keys: Option<NonZeroU64>,
}

/// Name of a tenant's key. Ids are not secret: the tenant is part of the name, so no tenant can
/// address another's keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyName {
    /// Owner of the key.
    pub tenant: Tenant,
    /// Id of the key, a hash of its blob.
    pub id: KeyId,
}

/// Metadata of a stored key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// Id of the key.
    pub id: KeyId,
    /// Length of the blob.
    pub bytes: u64,
    /// Time of the upload, or of the last renewal because the key was used.
    pub renewed_at: DateTime<Utc>,
    /// Time from which the key counts as never uploaded.
    pub expires_at: DateTime<Utc>,
}

impl KeyRecord {
    /// Checks that the key hasn't expired.
    pub fn is_live(&self) -> bool {
        now() < self.expires_at
    }

    /// Checks whether the next use should renew the key.
    pub fn is_due(&self) -> bool {
        now() - self.renewed_at >= (self.expires_at - self.renewed_at) / RENEWED_AFTER
    }
}

/// Result of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// The key was new.
    New(KeyRecord),
    /// The same bytes were already stored.
    Already(KeyRecord),
}

/// Evaluation keys in an object store, one object per key: `TENANT/KEY_ID`, or `KEY_ID` for
/// anonymous users.
///
/// Objects never change, since the name is a hash of the content. An expired object counts as
/// absent, even before the sweep has removed it.
#[derive(Debug)]
pub struct KeyStore {
    objects: Arc<dyn ObjectStore>,
    directory: Option<Arc<Directory>>,
    policy: Policy,
    quota: Option<Quota>,
    /// Held while an expired object is replaced or swept, so that a sweep can't delete a key that
    /// was just renewed.
    expired: Mutex<()>,
    /// Held while a key is removed: of concurrent removals of a key, only one finds it.
    removals: (RandomState, Vec<Mutex<()>>),
    probes: Probes,
}

impl KeyStore {
    /// Opens a store, creating it if it is a directory. Fails if the store can't be written.
    ///
    /// Writes are atomic and durable: in a directory, `object_store` writes a staging file, syncs
    /// it, links it into place and syncs the directory before it returns. Removals are synced too.
    /// Staging files left by a killed process are removed.
    pub async fn open(location: &Location, policy: Policy) -> Result<Self, OpenError> {
        let directory = match location {
            Location::Directory(path) => Some(Arc::new(Directory::open(path)?)),
            _ => None,
        };
        let store = Self {
            objects: location.objects(policy.patience)?,
            directory,
            policy,
            quota: policy.max_keys.map(Quota::new),
            expired: Mutex::new(()),
            removals: (
                RandomState::new(),
                std::iter::repeat_with(Mutex::default).take(REMOVALS).collect(),
            ),
            probes: Probes::default(),
        };
        store.probe().await?;
        store.sweep_staging_files(true).await?;
        Ok(store)
    }

    /// Stores a key's blob, which the caller has checked. Once this returns, the key is durable.
    pub async fn put(&self, name: &KeyName, blob: Bytes) -> Result<Stored, KeyStoreError> {
        self.ensure_there().await?;
        let present = self.metadata(name).await?;
        if let Some(record) = present.filter(KeyRecord::is_live)
            && self.holds(name, &record, &blob).await?
        {
            return Ok(Stored::Already(record));
        }
        if let (Some(quota), None) = (&self.quota, present) {
            quota.take(&name.tenant, self.count(&name.tenant)).await?;
        }
        // The key being overwritten must not be removed concurrently: its place would be released
        // although the key is stored.
        let _no_removal = match present {
            Some(_) => Some(self.removal(name).await),
            None => None,
        };
        let stored = self.write(name, blob, present.is_some()).await;
        if let (Some(quota), None, Ok(Stored::Already(_)) | Err(_)) = (&self.quota, present, &stored) {
            quota.give_back(&name.tenant).await;
        }
        Ok(stored?)
    }

    /// Checks whether the stored object equals this blob, undamaged by the disk.
    async fn holds(&self, name: &KeyName, record: &KeyRecord, blob: &Bytes) -> Result<bool, StoreError> {
        if record.bytes != blob.len() as u64 {
            return Ok(false);
        }
        let path = path(name);
        let compared = holds(&*self.objects, &path, blob);
        Ok(found(self.bounded(compared).await)?.unwrap_or(false))
    }

    async fn write(&self, name: &KeyName, blob: Bytes, expired: bool) -> Result<Stored, StoreError> {
        let (mode, _sweep_waits) = if expired {
            (PutMode::Overwrite, Some(self.expired.lock().await))
        } else {
            (PutMode::Create, None)
        };
        let path = path(name);
        let len = blob.len();
        let put = self
            .objects
            .put_opts(&path, PutPayload::from_bytes(blob), PutOptions::from(mode));
        let lost_race = match self.bounded(put).await {
            Ok(_) => false,
            Err(StoreError::Object(object_store::Error::AlreadyExists { .. })) => true,
            Err(StoreError::Full(error)) => {
                self.probes.store_was_full(len);
                return Err(StoreError::Full(error));
            }
            Err(error) => {
                self.probes.write_failed();
                return Err(error);
            }
        };
        let meta = self.bounded(self.objects.head(&path)).await?;
        let record = self.record(name.id, &meta);
        Ok(if lost_race {
            Stored::Already(record)
        } else {
            Stored::New(record)
        })
    }

    /// Returns a key's metadata if it is stored and hasn't expired.
    pub async fn find(&self, name: &KeyName) -> Result<Option<KeyRecord>, StoreError> {
        Ok(self.metadata(name).await?.filter(KeyRecord::is_live))
    }

    /// Returns a key's metadata and blob if it is stored and hasn't expired.
    pub async fn read(&self, name: &KeyName) -> Result<Option<(KeyRecord, Bytes)>, StoreError> {
        let path = path(name);
        let whole = async {
            let object = self.objects.get(&path).await?;
            Ok((object.meta.clone(), object.bytes().await?))
        };
        let Some((meta, blob)) = found(self.bounded(whole).await)? else {
            return Ok(None);
        };
        let record = self.record(name.id, &meta);
        Ok(record.is_live().then_some((record, blob)))
    }

    /// Restarts the time to live of a key in use. Returns `None` if it is gone.
    ///
    /// Never restores a key that was removed concurrently: in a directory only the file's time is
    /// set; elsewhere the object is rewritten on the condition that it is still the one that was
    /// read.
    pub async fn renew(&self, name: &KeyName) -> Result<Option<KeyRecord>, StoreError> {
        let path = path(name);
        if let Some(directory) = self.directory.clone() {
            let touch = async {
                let touched = tokio::task::spawn_blocking({
                    let path = path.clone();
                    move || directory.touch(&path)
                });
                touched.await?.map_err(io_error)
            };
            if !self.bounded(touch).await? {
                return Ok(None);
            }
        } else {
            let rewrite = async {
                let object = self.objects.get(&path).await?;
                let version = UpdateVersion {
                    e_tag: object.meta.e_tag.clone(),
                    version: object.meta.version.clone(),
                };
                let blob = PutPayload::from_bytes(object.bytes().await?);
                let mode = PutOptions::from(PutMode::Update(version));
                self.objects.put_opts(&path, blob, mode).await
            };
            match self.bounded(rewrite).await {
                // On a failed precondition, another process has renewed or removed the key.
                Ok(_) | Err(StoreError::Object(object_store::Error::Precondition { .. })) => {}
                Err(StoreError::Object(object_store::Error::NotFound { .. })) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        self.find(name).await
    }

    /// Removes a key. Returns whether it was stored and hadn't expired.
    pub async fn remove(&self, name: &KeyName) -> Result<bool, StoreError> {
        // Removing an absent key usually needn't wait for other removals.
        if self.metadata(name).await?.is_none() {
            return Ok(false);
        }
        let _one_at_a_time = self.removal(name).await;
        let present = self.metadata(name).await?;
        let removed = found(self.bounded(self.objects.delete(&path(name))).await)?;
        let (Some(record), Some(())) = (present, removed) else {
            return Ok(false);
        };
        if let Some(quota) = &self.quota {
            quota.give_back(&name.tenant).await;
        }
        Ok(record.is_live())
    }

    /// Waits for concurrent removals of this key, and occasionally of another that shares its lock.
    async fn removal(&self, name: &KeyName) -> MutexGuard<'_, ()> {
        let (state, locks) = &self.removals;
        let index = state.hash_one(name) % locks.len() as u64;
        locks[index as usize].lock().await
    }

    /// Removes every expired key and abandoned staging files, and returns the number of keys
    /// removed.
    pub async fn sweep(&self) -> Result<usize, StoreError> {
        self.sweep_staging_files(false).await?;
        let mut removed = 0;
        let mut listing = self.list();
        while let Some((id, listed)) = self.bounded(listing.try_next()).await? {
            if self.record(id, &listed).is_live() {
                continue;
            }
            let _uploads_wait = self.expired.lock().await;
            // Looked up again, since an upload may have renewed it after it was listed.
            let meta = found(self.bounded(self.objects.head(&listed.location)).await)?;
            if meta.is_some_and(|meta| !self.record(id, &meta).is_live()) {
                found(self.bounded(self.objects.delete(&listed.location)).await)?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Removes keys that `useless` rejects by the first `length` bytes of their blobs, and returns
    /// their number.
    pub async fn remove_useless(
        &self,
        length: usize,
        useless: impl Fn(&[u8]) -> bool,
    ) -> Result<u64, StoreError> {
        let mut removed = 0;
        let mut listing = self.list();
        while let Some((_, listed)) = self.bounded(listing.try_next()).await? {
            let range = 0..listed.size.min(length as u64);
            let head = self
                .bounded(self.objects.get_range(&listed.location, range))
                .await;
            if found(head)?.is_some_and(|head| useless(&head)) {
                found(self.bounded(self.objects.delete(&listed.location)).await)?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Fails if another directory has replaced the one that was opened.
    async fn ensure_there(&self) -> Result<(), StoreError> {
        if let Some(directory) = self.directory.clone() {
            let asked = tokio::task::spawn_blocking(move || directory.is_there());
            if !self.bounded(async { Ok(asked.await?) }).await? {
                return Err(StoreError::Wrong("its lock file is gone"));
            }
        }
        Ok(())
    }

    async fn sweep_staging_files(&self, start: bool) -> Result<(), StoreError> {
        let Some(directory) = self.directory.clone() else {
            return Ok(());
        };
        let sweep = tokio::task::spawn_blocking(move || directory.sweep_staging_files(start));
        let removed = sweep
            .await
            .map_err(object_store::Error::from)?
            .map_err(io_error)?;
        if removed > 0 {
            tracing::info!(removed, "files of unfinished uploads removed");
        }
        Ok(())
    }

    /// Lists all keys. Skips folders that belong to no tenant, such as `lost+found`.
    fn list(&self) -> BoxStream<'_, object_store::Result<(KeyId, ObjectMeta)>> {
        let top = self.objects.list_with_delimiter(None).map_ok(|top| {
            let tenants = top.common_prefixes.into_iter().filter(|prefix| {
                let name = prefix.filename();
                name.is_some_and(|name| name.parse::<TenantName>().is_ok())
            });
            let of_tenants = stream::iter(tenants).flat_map(|tenant| self.objects.list(Some(&tenant)));
            stream::iter(top.objects.into_iter().map(Ok)).chain(of_tenants)
        });
        top.try_flatten_stream()
            .try_filter_map(async |listed| Ok(key_id(&listed).map(|id| (id, listed))))
            .boxed()
    }

    /// Counts a tenant's stored keys, including expired ones that haven't been swept.
    async fn count(&self, tenant: &Tenant) -> Result<u64, StoreError> {
        let prefix = match tenant {
            Tenant::Anonymous => None,
            Tenant::Named(name) => Some(Path::from(name.as_str())),
        };
        let listing = self
            .bounded(self.objects.list_with_delimiter(prefix.as_ref()))
            .await?;
        Ok(listing.objects.iter().filter_map(key_id).count() as u64)
    }

    async fn metadata(&self, name: &KeyName) -> Result<Option<KeyRecord>, StoreError> {
        let path = path(name);
        let meta = found(self.bounded(self.objects.head(&path)).await)?;
        Ok(meta.map(|meta| self.record(name.id, &meta)))
    }

    fn record(&self, id: KeyId, meta: &ObjectMeta) -> KeyRecord {
        let expires_at = meta.last_modified.checked_add_signed(self.policy.ttl);
        KeyRecord {
            id,
            bytes: meta.size,
            renewed_at: meta.last_modified,
            expires_at: expires_at.unwrap_or(DateTime::<Utc>::MAX_UTC),
        }
    }

    /// Waits for an operation with the policy's timeout.
    async fn bounded<T>(
        &self,
        operation: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, StoreError> {
        let done = bounded(self.policy.patience, operation).await;
        if let Some(kind) = done.as_ref().err().and_then(StoreError::failure) {
            metrics::counter!(telemetry::STORE_ERRORS, "kind" => kind).increment(1);
        }
        done
    }
}

fn path(name: &KeyName) -> Path {
    let id = name.id.to_string();
    match &name.tenant {
        Tenant::Anonymous => Path::from(id),
        Tenant::Named(tenant) => Path::from_iter([tenant.as_str(), &id]),
    }
}

/// Returns the id of the key that an object holds, if any.
fn key_id(object: &ObjectMeta) -> Option<KeyId> {
    object.location.filename()?.parse().ok()
}

fn now() -> DateTime<Utc> {
    SystemTime::now().into()
}

fn io_error(source: std::io::Error) -> object_store::Error {
    object_store::Error::Generic {
        store: "directory",
        source: Box::new(source),
    }
}

#[cfg(test)]
mod tests;
