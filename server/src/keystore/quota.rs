//! Limit on the number of keys per tenant.

use super::KeyStoreError;
use crate::{objects::StoreError, tenants::Tenant};
use std::{
    collections::HashMap,
    num::NonZeroU64,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long a count is trusted; other replicas count for themselves.
const TRUST_COUNT_FOR: Duration = Duration::from_secs(60);

/// Limit on the stored keys of each tenant.
#[derive(Debug)]
pub(super) struct Quota {
    limit: NonZeroU64,
    tenants: Mutex<HashMap<Tenant, Arc<tokio::sync::Mutex<Count>>>>,
}

/// Last count from the store, updated for changes made since.
#[derive(Debug, Default)]
struct Count {
    keys: u64,
    at: Option<Instant>,
}

impl Quota {
    pub(super) fn new(limit: NonZeroU64) -> Self {
        Self {
            limit,
            tenants: Mutex::default(),
        }
    }

    /// Reserves a place for one more key. `count` asks the store for the current number.
    pub(super) async fn take(
        &self,
        tenant: &Tenant,
        count: impl Future<Output = Result<u64, StoreError>>,
    ) -> Result<(), KeyStoreError> {
        let place = self.of(tenant);
        let mut known = place.lock().await;
        if known.at.is_none_or(|at| at.elapsed() > TRUST_COUNT_FOR) {
            known.keys = count.await?;
            known.at = Some(Instant::now());
        }
        if known.keys >= self.limit.get() {
            return Err(KeyStoreError::Quota(self.limit.get()));
        }
        known.keys += 1;
        Ok(())
    }

    /// Releases a place, since the key was removed or wasn't stored after all.
    pub(super) async fn give_back(&self, tenant: &Tenant) {
        let place = self.of(tenant);
        let mut known = place.lock().await;
        known.keys = known.keys.saturating_sub(1);
    }

    fn of(&self, tenant: &Tenant) -> Arc<tokio::sync::Mutex<Count>> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        tenants.entry(tenant.clone()).or_default().clone()
    }
}
