//! How much each tenant may ask for.

use super::error::ApiError;
use crate::keystore::Tenant;
use governor::{
    DefaultKeyedRateLimiter, Quota,
    clock::{Clock, DefaultClock},
};
use std::num::NonZeroU32;

/// Queries and requests about keys that a tenant may send.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// In the long run.
    pub per_second: NonZeroU32,
    /// At once, after a pause; at least as many as one request may carry.
    pub burst: NonZeroU32,
}

/// Counts what tenants ask for.
pub(super) struct RateLimit {
    limiter: Option<DefaultKeyedRateLimiter<Tenant>>,
    clock: DefaultClock,
}

impl RateLimit {
    pub(super) fn new(rate: Option<Rate>) -> Self {
        let limiter = rate.map(|rate| {
            let quota = Quota::per_second(rate.per_second).allow_burst(rate.burst);
            DefaultKeyedRateLimiter::keyed(quota)
        });
        Self {
            limiter,
            clock: DefaultClock::default(),
        }
    }

    /// Counts `units` (queries, or a request about a key as one), or says from when on there is room for them.
    pub(super) fn check(&self, tenant: &Tenant, units: usize) -> Result<(), ApiError> {
        let (Some(limiter), Some(units)) =
            (&self.limiter, u32::try_from(units).ok().and_then(NonZeroU32::new))
        else {
            return Ok(());
        };
        match limiter.check_key_n(tenant, units) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(not_until)) => Err(ApiError::RateLimited(not_until.wait_time_from(self.clock.now()))),
            Err(capacity) => Err(ApiError::TooMany {
                limit: capacity.0 as usize,
                found: units.get() as usize,
            }),
        }
    }
}
