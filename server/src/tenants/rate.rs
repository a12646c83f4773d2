//! Rate limits per tenant.

use super::{
    share::{STALE_AFTER, Share},
    tenant::Tenant,
};
use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock, Reference},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{StateStore, keyed::DefaultKeyedStateStore},
};
use std::{convert::Infallible, num::NonZeroU32, sync::Arc, time::Duration};

/// Highest level in nanoseconds, so that no sum overflows: more than a century.
const HIGHEST: u64 = u64::MAX / 4;

/// Rate limit of a tenant, in queries and requests about keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    /// Sustained rate.
    pub(crate) per_second: NonZeroU32,
    /// Largest burst after a pause, at least the number of queries in a request.
    pub(crate) burst: NonZeroU32,
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
pub(crate) struct RateLimit<C: Clock = DefaultClock> {
    limiter: Option<Limiter<C>>,
    clock: C,
}

struct Limiter<C: Clock> {
    rate: Rate,
    tenants: RateLimiter<Tenant, Levels, C, NoOpMiddleware<C::Instant>>,
    levels: Levels,
    /// Time from which the levels are counted.
    start: C::Instant,
    /// Where admitted units are counted for other servers.
    share: Option<Arc<Share>>,
}

/// Each tenant's level: the time at which it would have used nothing.
#[derive(Clone)]
struct Levels(Arc<DefaultKeyedStateStore<Tenant>>);

impl StateStore for Levels {
    type Key = Tenant;

    fn measure_and_replace<T, F, E>(&self, key: &Tenant, change: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.0.measure_and_replace(key, change)
    }
}

impl RateLimit {
    /// Limits the rate. What is admitted is counted in `share`, for other servers.
    pub(crate) fn new(rate: Option<Rate>, share: Option<Arc<Share>>) -> Self {
        Self::with_clock(rate, share, DefaultClock::default())
    }
}

impl<C: Clock + Clone> RateLimit<C> {
    pub(super) fn with_clock(rate: Option<Rate>, share: Option<Arc<Share>>, clock: C) -> Self {
        let limiter = rate.map(|rate| {
            let quota = Quota::per_second(rate.per_second).allow_burst(rate.burst);
            let levels = Levels(Arc::default());
            Limiter {
                rate,
                start: clock.now(),
                tenants: RateLimiter::new(quota, levels.clone(), clock.clone()),
                levels,
                share,
            }
        });
        Self { limiter, clock }
    }

    /// Charges the tenant `units` (one per query, or one for a request about a key). On failure,
    /// the error says how long to wait.
    pub(crate) fn check(&self, tenant: &Tenant, units: usize) -> Result<(), RateError> {
        let (Some(limiter), Some(units)) =
            (&self.limiter, u32::try_from(units).ok().and_then(NonZeroU32::new))
        else {
            return Ok(());
        };
        match limiter.tenants.check_key_n(tenant, units) {
            Ok(Ok(())) => {
                if let Some(share) = &limiter.share {
                    share.count_units(tenant, units.get().into());
                }
                Ok(())
            }
            Ok(Err(not_until)) => Err(RateError::Exceeded(not_until.wait_time_from(self.clock.now()))),
            Err(capacity) => Err(RateError::NeverPossible {
                burst: capacity.0 as usize,
                found: units.get() as usize,
            }),
        }
    }

    /// Charges the tenant what another server has admitted since it was last asked, also beyond the
    /// burst: the tenant then waits here for what it used there.
    ///
    /// A server admits no more than a burst and its rate for the time since, so more is not
    /// charged: after a long time without news, nobody should wait for all of that time.
    pub(super) fn charge(&self, tenant: &Tenant, units: u64) {
        let Some(limiter) = &self.limiter else {
            return;
        };
        let Rate { per_second, burst } = limiter.rate;
        let most = u64::from(burst.get()) + u64::from(per_second.get()) * STALE_AFTER.as_secs();
        let each = Nanos::from(Quota::per_second(per_second).replenish_interval()).as_u64();
        let charge = each.saturating_mul(units.min(most));
        let now = self.clock.now().duration_since(limiter.start);
        let charged = limiter.levels.measure_and_replace(tenant, |level| {
            let level = level.unwrap_or(now).max(now).as_u64();
            let level = level.saturating_add(charge).min(HIGHEST);
            Ok::<_, Infallible>(((), Nanos::new(level)))
        });
        match charged {
            Ok(()) => {}
        }
    }
}
