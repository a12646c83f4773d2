//! Whether the store can be written and read.

use super::KeyStore;
use crate::{
    keystore::local::PROBE,
    objects::{StoreError, found},
};
use bytes::Bytes;
use object_store::{ObjectStoreExt, PutPayload, path::Path};
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// Probe size in bytes: a whole block, so that a full disk is noticed.
const PROBE_BYTES: usize = 4096;
/// How long a directory that could be written and read counts as such.
const DIRECTORY: Duration = Duration::from_secs(1);
/// How long an object store that could be read counts as such. Its requests cost money.
const READ: Duration = Duration::from_secs(5);
/// How long an object store that could be written counts as such. All replicas write the same
/// object, and Google Cloud Storage takes one write of an object in a second.
const WRITTEN: Duration = Duration::from_secs(30);

/// What earlier writes and probes have shown.
#[derive(Debug, Default)]
pub(super) struct Probes {
    /// Size of the last write that hit a full store; a smaller probe would wrongly succeed.
    failed_write: AtomicUsize,
    /// When the store was last found to work, unless it has failed since.
    last: Mutex<Option<Works>>,
}

/// When the store was last found to work.
#[derive(Clone, Copy, Debug)]
struct Works {
    read: Instant,
    written: Instant,
}

impl Probes {
    /// Records that a write of `len` bytes hit a full store.
    pub(super) fn store_was_full(&self, len: usize) {
        self.failed_write.fetch_max(len, Ordering::Relaxed);
    }
}

impl KeyStore {
    /// Fails if the store can't be written and read. That a directory can be may be a second old;
    /// that an object store can be read, five seconds, and written, half a minute.
    pub async fn check(&self) -> Result<(), StoreError> {
        let mut last = self.probes.last.lock().await;
        let known = *last;
        let trusted = if self.directory.is_some() { DIRECTORY } else { READ };
        if known.is_some_and(|known| known.read.elapsed() < trusted) {
            return Ok(());
        }
        *last = None;
        let is_full = self.probes.failed_write.load(Ordering::Relaxed) > 0;
        let written = known
            .filter(|known| self.directory.is_none() && !is_full && known.written.elapsed() < WRITTEN)
            .map(|known| known.written);
        let written = match written {
            Some(written) if self.has_probe().await? => written,
            _ => {
                self.probe().await?;
                Instant::now()
            }
        };
        *last = Some(Works {
            read: Instant::now(),
            written,
        });
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
