//! Whether the store can be written and read.

use super::KeyStore;
use crate::{
    keystore::local::PROBE,
    objects::{StoreError, found},
};
use bytes::Bytes;
use object_store::{ObjectStoreExt, PutPayload, path::Path};
use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// Probe size in bytes: a whole block, so that a full disk is noticed.
const PROBE_BYTES: usize = 4096;
/// How long the result of a probe of a directory is trusted.
const DIRECTORY: Duration = Duration::from_secs(1);
/// How long an object store that could be read counts as such, and one that couldn't be written as
/// that. Requests cost money.
const TRUSTED: Duration = Duration::from_secs(5);
/// How long an object store that could be written counts as such. All replicas write the same
/// object, and Google Cloud Storage takes one write of an object in a second: enough for 30.
const WRITTEN: Duration = Duration::from_secs(30);

/// What earlier writes and probes have shown.
#[derive(Debug, Default)]
pub(super) struct Probes {
    /// Size of the last write that hit a full store; a smaller probe would wrongly succeed.
    failed_write: AtomicUsize,
    /// Whether a write has failed since the last probe.
    has_failed: AtomicBool,
    /// Results of the last probes.
    last: Mutex<Last>,
}

/// Times of the last probes.
#[derive(Clone, Copy, Debug, Default)]
struct Last {
    /// Last reading, if it succeeded.
    read: Option<Instant>,
    /// Last writing, if it succeeded.
    written: Option<Instant>,
    /// Last writing, if it failed.
    failed: Option<Instant>,
}

fn within(time: Option<Instant>, limit: Duration) -> bool {
    time.is_some_and(|time| time.elapsed() < limit)
}

impl Probes {
    /// Records that a write of `len` bytes hit a full store.
    pub(super) fn store_was_full(&self, len: usize) {
        self.failed_write.fetch_max(len, Ordering::Relaxed);
    }

    /// Forgets that the store could be read.
    #[cfg(test)]
    pub(super) async fn forget_reading(&self) {
        self.last.lock().await.read = None;
    }

    /// Records that a write failed, so that the next check writes.
    pub(super) fn write_failed(&self) {
        self.has_failed.store(true, Ordering::Relaxed);
    }
}

impl KeyStore {
    /// Fails if the store can't be written and read. The result for a directory may be a second
    /// old. An object store is read every five seconds and written every half a minute, and at once
    /// after another write to it has failed.
    pub async fn check(&self) -> Result<(), StoreError> {
        let mut last = self.probes.last.lock().await;
        let in_cloud = self.directory.is_none();
        let trusted = if in_cloud { TRUSTED } else { DIRECTORY };
        let has_failed = self.probes.has_failed.load(Ordering::Relaxed)
            || self.probes.failed_write.load(Ordering::Relaxed) > 0;
        if !has_failed && within(last.read, trusted) {
            return Ok(());
        }
        if in_cloud && within(last.failed, trusted) {
            return Err(StoreError::Wrong("it couldn't be written a moment ago"));
        }
        last.read = None;
        let is_written = in_cloud && !has_failed && within(last.written, WRITTEN);
        if !is_written || !self.has_probe().await? {
            (last.written, last.failed) = (None, Some(Instant::now()));
            self.probe().await?;
            self.probes.has_failed.store(false, Ordering::Relaxed);
            (last.written, last.failed) = (Some(Instant::now()), None);
        }
        last.read = Some(Instant::now());
        Ok(())
    }

    /// Reads the object that was written last, and checks whether it is there.
    async fn has_probe(&self) -> Result<bool, StoreError> {
        let read = async { self.objects.get(&Path::from(PROBE)).await?.bytes().await };
        Ok(found(self.bounded(read).await)?.is_some())
    }

    /// Writes and reads an object.
    pub(super) async fn probe(&self) -> Result<(), StoreError> {
        self.ensure_there().await?;
        let failed = self.probes.failed_write.load(Ordering::Relaxed);
        if failed > PROBE_BYTES {
            self.probe_roundtrip(failed).await?;
            self.probes.failed_write.store(0, Ordering::Relaxed);
        }
        // Last, so that the large probe object is overwritten.
        self.probe_roundtrip(PROBE_BYTES).await
    }

    async fn probe_roundtrip(&self, len: usize) -> Result<(), StoreError> {
        let path = Path::from(PROBE);
        let content = Bytes::from(vec![b'p'; len]);
        let read = async {
            let payload = PutPayload::from_bytes(content.clone());
            self.objects.put(&path, payload).await?;
            self.objects.get(&path).await?.bytes().await
        };
        if self.bounded(read).await? == content {
            Ok(())
        } else {
            Err(StoreError::Wrong("it returns other bytes than were written"))
        }
    }
}
