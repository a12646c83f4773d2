use super::pool::{Lost, ScoringPool};
use crate::{
    engine::PreparedKey,
    keystore::{KeyRecord, KeyStore, StoreError},
};
use blindscore_protocol::{
    ids::KeyId,
    wire::{PublicKey, WireError},
};
use bytes::Bytes;
use moka::future::Cache;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// How long a key is used without asking the store again: another process may have removed it there.
const TRUSTED: Duration = Duration::from_secs(300);

/// Why a key can't be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum PrepareError {
    /// It isn't stored, or has expired.
    #[error("the key is not stored")]
    Absent,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Preparing it failed.
    #[error(transparent)]
    Lost(#[from] Lost),
}

/// A public key, ready to score with.
pub(super) struct ReadyKey {
    /// In the engine's form.
    pub(super) prepared: PreparedKey,
    record: KeyRecord,
}

/// A cache of prepared keys in front of the store, bounded by memory.
pub(super) struct PreparedKeys {
    ready: Cache<KeyId, Arc<ReadyKey>>,
    /// Counts removals, so that a load that began before one doesn't outlive it in the cache.
    removals: AtomicU64,
}

impl PreparedKeys {
    /// A cache that holds up to about `bytes` bytes of keys.
    pub(super) fn new(bytes: u64) -> Self {
        let weight =
            |_: &KeyId, key: &Arc<ReadyKey>| u32::try_from(key.prepared.memory_bytes()).unwrap_or(u32::MAX);
        let ready = Cache::builder()
            .max_capacity(bytes)
            .weigher(weight)
            .time_to_live(TRUSTED)
            .build();
        Self {
            ready,
            removals: AtomicU64::new(0),
        }
    }

    /// The key with this id. However many ask at once, it is read and prepared only once.
    pub(super) async fn get(
        &self,
        id: KeyId,
        store: &KeyStore,
        pool: &ScoringPool,
    ) -> Result<Arc<ReadyKey>, Arc<PrepareError>> {
        let removals = self.removals.load(Ordering::Acquire);
        let ready = self.ready.try_get_with(id, load(id, store, pool)).await?;
        if self.removals.load(Ordering::Acquire) != removals || !ready.record.is_live() {
            self.ready.invalidate(&id).await;
        }
        if !ready.record.is_live() {
            return Err(Arc::new(PrepareError::Absent));
        }
        Ok(ready)
    }

    /// Forgets a key that the caller has removed from the store.
    pub(super) async fn forget(&self, id: KeyId) {
        self.removals.fetch_add(1, Ordering::AcqRel);
        self.ready.invalidate(&id).await;
    }
}

async fn load(id: KeyId, store: &KeyStore, pool: &ScoringPool) -> Result<Arc<ReadyKey>, PrepareError> {
    let (record, blob) = store.read(id).await?.ok_or(PrepareError::Absent)?;
    match pool.run(move || prepare(record, &blob)).await?.value {
        Ok(ready) => Ok(Arc::new(ready)),
        Err(error) => {
            // What was stored had been checked: the disk has damaged it, or the format is older than this
            // program. The client can upload it again, once it is out of the way.
            tracing::error!(key = %id, %error, "a stored key is unusable and was removed");
            store.remove(id).await?;
            Err(PrepareError::Absent)
        }
    }
}

fn prepare(record: KeyRecord, blob: &Bytes) -> Result<ReadyKey, WireError> {
    let key = PublicKey::from_blob(blob)?;
    if KeyId::of(blob) != record.id {
        return Err(WireError::BadChecksum);
    }
    Ok(ReadyKey {
        prepared: PreparedKey::new(&key),
        record,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use blindscore_client::ClientKey;
    use blindscore_protocol::params::{LinearParams, ParameterSet};
    use chrono::TimeDelta;

    #[actix_web::test]
    async fn many_who_ask_for_a_cold_key_share_one_preparation() {
        let folder = tempfile::tempdir().unwrap();
        let store = KeyStore::open_directory(folder.path().to_owned(), TimeDelta::days(1))
            .await
            .unwrap();
        let pool = ScoringPool::new(2, 64).unwrap();
        let (_, public) = ClientKey::generate(ParameterSet::Linear(LinearParams::N2048)).unwrap();
        let (blob, id) = public.to_blob();
        store.put(id, blob.into()).await.unwrap();

        let keys = PreparedKeys::new(1 << 30);
        let asked = (0..16).map(|_| keys.get(id, &store, &pool));
        let found = futures_util::future::join_all(asked).await;
        let first = found[0].as_ref().unwrap();
        assert!(found.iter().all(|key| Arc::ptr_eq(key.as_ref().unwrap(), first)));
        keys.forget(id).await;
        let later = keys.get(id, &store, &pool).await.unwrap();
        assert!(!Arc::ptr_eq(&later, first), "a forgotten key is prepared again");
    }
}
