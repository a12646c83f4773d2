//! Rate limits per tenant.

use super::tenant::Tenant;
use governor::{
    DefaultKeyedRateLimiter, Quota,
    clock::{Clock, DefaultClock},
};
use std::{num::NonZeroU32, time::Duration};

/// Rate limit of a tenant, in queries and requests about keys.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Sustained rate.
    pub per_second: NonZeroU32,
    /// Largest burst after a pause, at least the number of queries in a request.
    pub burst: NonZeroU32,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RateError {
    /// The tenant exceeded its limit, and should wait this long.
    Exceeded(Duration),
    /// The request has more queries than any burst may have.
    NeverPossible {
        /// Largest burst.
        burst: usize,
        /// Number of queries.
        found: usize,
    },
}

/// Rate limiter shared by all tenants, each with its own count.
pub(crate) struct RateLimit {
    limiter: Option<DefaultKeyedRateLimiter<Tenant>>,
    clock: DefaultClock,
}

impl RateLimit {
    pub(crate) fn new(rate: Option<Rate>) -> Self {
        let limiter = rate.map(|rate| {
            let quota = Quota::per_second(rate.per_second).allow_burst(rate.burst);
            DefaultKeyedRateLimiter::keyed(quota)
        });
        Self {
            limiter,
            clock: DefaultClock::default(),
        }
    }

    /// Charges the tenant `units` (one per query, or one for a request about a key). On failure,
    /// the error says how long to wait.
    pub(crate) fn check(&self, tenant: &Tenant, units: usize) -> Result<(), RateError> {
        let (Some(limiter), Some(units)) =
            (&self.limiter, u32::try_from(units).ok().and_then(NonZeroU32::new))
        else {
            return Ok(());
        };
        match limiter.check_key_n(tenant, units) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(not_until)) => Err(RateError::Exceeded(not_until.wait_time_from(self.clock.now()))),
            Err(capacity) => Err(RateError::NeverPossible {
                burst: capacity.0 as usize,
                found: units.get() as usize,
            }),
        }
    }
}
