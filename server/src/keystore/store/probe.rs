//! Whether the store can be written and read.

use super::KeyStore;
use crate::{keystore::local::PROBE, objects::StoreError};
use bytes::Bytes;
use object_store::{ObjectStoreExt, PutPayload, path::Path};
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// Probe size in bytes: a whole block, so that a full disk is noticed.
const PROBE_BYTES: usize = 4096;
/// How long the result of a probe is trusted.
const TRUST_PROBE_FOR: Duration = Duration::from_secs(1);

/// What earlier writes and probes have shown.
#[derive(Debug, Default)]
pub(super) struct Probes {
    /// Size of the last write that hit a full store; a smaller probe would wrongly succeed.
    failed_write: AtomicUsize,
    /// Time and result of the last probe.
    last: Mutex<Option<(Instant, bool)>>,
}

impl Probes {
    /// Records that a write of `len` bytes hit a full store.
    pub(super) fn store_was_full(&self, len: usize) {
        self.failed_write.fetch_max(len, Ordering::Relaxed);
    }
}

impl KeyStore {
    /// Fails if the store can't be written and read. The result may be up to a second old.
    pub async fn check(&self) -> Result<(), StoreError> {
        let mut last = self.probes.last.lock().await;
        if let Some((at, true)) = *last
            && at.elapsed() < TRUST_PROBE_FOR
        {
            return Ok(());
        }
        let result = self.probe().await;
        *last = Some((Instant::now(), result.is_ok()));
        result
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
