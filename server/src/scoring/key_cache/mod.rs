//! Cache of evaluation keys in the engine's form, in front of the key store.

use super::{
    estimate::Estimate,
    pool::{NotRun, ScoringPool, Width},
};
use crate::{
    keystore::{KeyName, KeyRecord, KeyStore},
    objects::StoreError,
    telemetry, traces,
};
use blindscore_engine::PreparedKey;
use blindscore_protocol::{
    ids::KeyId,
    params::ParameterSet,
    wire::{EvaluationKey, Header, Kind, WireError},
};
use bytes::Bytes;
use metrics::{counter, histogram};
use moka::future::Cache;
use std::{
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Unit of the memory accounts, in bytes.
const UNIT_BYTES: u64 = 1024;
/// How often a load that waits for memory makes the cache drop evicted keys.
const EVICTION_INTERVAL: Duration = Duration::from_millis(20);
/// Upper bound only; waiting requests enforce their own deadlines.
const PREPARE_TIMEOUT: Duration = Duration::from_secs(3600);

/// Why a key can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrepareError {
    /// The key isn't stored, or has expired.
    #[error("the key is not stored")]
    Absent,
    /// The key store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Preparing the key failed.
    #[error(transparent)]
    NotRun(#[from] NotRun),
}

/// An evaluation key, ready for scoring.
pub(crate) struct ReadyKey {
    /// Key in the engine's form.
    pub(crate) prepared: PreparedKey,
    known: Mutex<Known>,
    /// Lock for the task that asks the store about the key.
    asking: tokio::sync::Mutex<()>,
    _memory: OwnedSemaphorePermit,
}

/// The store's last record of a key, and when it was read.
#[derive(Clone, Copy)]
struct Known {
    record: KeyRecord,
    at: Instant,
}

/// Prepared keys in front of the store, both cached ones and those in use that the cache has no
/// room for. Their total memory is bounded.
pub(crate) struct KeyCache {
    ready: Cache<KeyName, Arc<ReadyKey>>,
    memory: Arc<Semaphore>,
    pieces: usize,
    /// Limits keys that are read and prepared at once, since each also needs memory for its blob.
    preparing: Semaphore,
    /// How long a key is used without asking the store again, where another process may have
    /// removed it.
    trusted: Duration,
    /// Number of removals, so that a load that began before a removal isn't cached after it.
    removals: AtomicU64,
    /// Estimated time of a preparation.
    taking: Estimate,
}

impl KeyCache {
    /// Creates a cache of up to `bytes` bytes, for keys of at most `largest` bytes. At most
    /// `at_once` are prepared at the same time.
    ///
    /// The cache's policy (TinyLFU) lets a new key evict another only if it was requested more
    /// often, so that many keys used once don't evict those in use.
    pub(crate) fn new(bytes: u64, largest: u64, at_once: usize, trusted: Duration) -> Self {
        let in_use = if bytes >= 4 * largest {
            2 * largest
        } else {
            largest
        };
        // In the unit of the memory accounts: a cache that rounded differently could hold so much
        // that no key would ever find room beside it.
        let weight = |_: &KeyName, key: &Arc<ReadyKey>| {
            u32::try_from(units_of(
                PreparedKey::memory_bytes(key.prepared.parameters()) as u64
            ))
            .unwrap_or(u32::MAX)
        };
        let ready = Cache::builder()
            .max_capacity((bytes / UNIT_BYTES).saturating_sub(units_of(in_use)))
            .weigher(weight)
            .build();
        let pieces = usize::try_from(bytes / UNIT_BYTES).unwrap_or(Semaphore::MAX_PERMITS);
        Self {
            ready,
            memory: Arc::new(Semaphore::new(pieces)),
            pieces,
            preparing: Semaphore::new(at_once),
            trusted,
            removals: AtomicU64::new(0),
            taking: Estimate::new(Duration::from_millis(100)),
        }
    }

    /// Returns the bytes of keys in memory.
    pub(crate) fn memory_bytes(&self) -> u64 {
        (self.pieces - self.memory.available_permits()) as u64 * UNIT_BYTES
    }

    /// Returns the pool time needed before the key is ready.
    pub(crate) fn cost(&self, name: &KeyName) -> Duration {
        if self.ready.contains_key(name) {
            Duration::ZERO
        } else {
            self.taking.get()
        }
    }

    /// Returns the key with this name. Concurrent callers share one read and preparation.
    pub(crate) async fn get(
        &self,
        name: &KeyName,
        store: &KeyStore,
        pool: &ScoringPool,
    ) -> Result<Arc<ReadyKey>, Arc<PrepareError>> {
        let removals = self.removals.load(Ordering::Acquire);
        let found = self.ready.contains_key(name);
        counter!(telemetry::KEY_CACHE, "found" => if found { "true" } else { "false" }).increment(1);
        traces::note("blindscore.key.found", || found);
        let ready = self
            .ready
            .try_get_with_by_ref(name, self.load(name, store, pool))
            .await?;
        if self.removals.load(Ordering::Acquire) != removals {
            self.ready.invalidate(name).await;
        }
        if !self.is_stored(name, &ready, store).await? {
            self.ready.invalidate(name).await;
            return Err(Arc::new(PrepareError::Absent));
        }
        Ok(ready)
    }

    /// Drops a key that the caller has removed from the store.
    pub(crate) async fn forget(&self, name: &KeyName) {
        self.removals.fetch_add(1, Ordering::AcqRel);
        self.ready.invalidate(name).await;
    }

    /// Checks whether the key is still stored. Asks the store if its last record is too old, and
    /// renews the key there when due.
    async fn is_stored(
        &self,
        name: &KeyName,
        key: &ReadyKey,
        store: &KeyStore,
    ) -> Result<bool, PrepareError> {
        let fresh = |known: Known| known.at.elapsed() < self.trusted && !known.record.is_due();
        if fresh(key.known()) {
            return Ok(key.known().record.is_live());
        }
        let _alone = key.asking.lock().await;
        if fresh(key.known()) {
            return Ok(key.known().record.is_live());
        }
        let at = Instant::now();
        let Some(mut record) = store.find(name).await? else {
            return Ok(false);
        };
        if record.is_due() {
            match store.renew(name).await {
                Ok(Some(renewed)) => record = renewed,
                Ok(None) => return Ok(false),
                // The next use tries again; the key is still valid.
                Err(error) => tracing::warn!(%error, "a key could not be renewed"),
            }
        }
        *key.known.lock().unwrap_or_else(PoisonError::into_inner) = Known { record, at };
        Ok(true)
    }

    async fn load(
        &self,
        name: &KeyName,
        store: &KeyStore,
        pool: &ScoringPool,
    ) -> Result<Arc<ReadyKey>, PrepareError> {
        let _few = self.preparing.acquire().await.map_err(|_| NotRun::Stopped)?;
        let at = Instant::now();
        let read = traces::span("read key", store.read(name)).await?;
        let (record, blob) = read.ok_or(PrepareError::Absent)?;
        let key = match parameters(&blob) {
            Ok(set) => {
                let memory = self.make_room(PreparedKey::memory_bytes(set) as u64).await?;
                let deadline = Instant::now() + PREPARE_TIMEOUT;
                let done = pool.run(Width::One, deadline, move || prepare(record, &blob));
                let done = traces::span("prepare key", done).await?;
                pool.learn(&self.taking, Width::One, done.ran, 1);
                done.value.map(|prepared| (prepared, memory))
            }
            Err(error) => Err(error),
        };
        match key {
            Ok((prepared, memory)) => {
                histogram!(telemetry::KEY_LOAD_SECONDS).record(at.elapsed());
                Ok(Arc::new(ReadyKey {
                    prepared,
                    known: Mutex::new(Known { record, at }),
                    asking: tokio::sync::Mutex::new(()),
                    _memory: memory,
                }))
            }
            Err(error @ (WireError::UnsupportedVersion(_) | WireError::WrongParameterSet(_))) => {
                // Another version of this program, older or newer, may use the same store, so the
                // key stays there.
                tracing::warn!(%error, "a stored key is not for this version");
                Err(PrepareError::Absent)
            }
            Err(error) => {
                // The key was checked on upload, so the disk has damaged it. Removing it lets the
                // client upload it again.
                tracing::error!(%error, "a stored key is unusable and was removed");
                store.remove(name).await?;
                Err(PrepareError::Absent)
            }
        }
    }

    /// Waits for `bytes` bytes of memory. Keys in use release theirs when they are no longer
    /// needed.
    async fn make_room(&self, bytes: u64) -> Result<OwnedSemaphorePermit, NotRun> {
        let pieces = u32::try_from(units_of(bytes)).map_err(|_| NotRun::TooLarge)?;
        let mut room = pin!(self.memory.clone().acquire_many_owned(pieces));
        loop {
            match tokio::time::timeout(EVICTION_INTERVAL, &mut room).await {
                Ok(room) => return room.map_err(|_| NotRun::Stopped),
                Err(_) => self.ready.run_pending_tasks().await,
            }
        }
    }
}

impl ReadyKey {
    fn known(&self) -> Known {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn units_of(bytes: u64) -> u64 {
    bytes.div_ceil(UNIT_BYTES)
}

fn parameters(blob: &[u8]) -> Result<ParameterSet, WireError> {
    let id = Header::peek(blob, Kind::EvaluationKey)?;
    ParameterSet::by_id(id).ok_or(WireError::WrongParameterSet(id))
}

fn prepare(record: KeyRecord, blob: &Bytes) -> Result<PreparedKey, WireError> {
    let key = EvaluationKey::from_blob(blob)?;
    if KeyId::of(blob) != record.id {
        return Err(WireError::BadChecksum);
    }
    Ok(PreparedKey::new(&key))
}

#[cfg(test)]
mod tests;
