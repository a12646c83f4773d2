//! Exchange of counts with other servers.

use super::{
    budget::{CountsError, DailyBudget},
    rate::RateLimit,
    share::Share,
    tenant::Tenant,
};
use chrono::Utc;
use governor::clock::Clock;
use tokio::time::Instant;

/// Writes this server's counts, reads the others', and charges their units to the rates.
pub(crate) async fn exchange<C: Clock + Clone>(
    share: &Share,
    budget: Option<&DailyBudget>,
    rate: &RateLimit<C>,
) {
    let started = Instant::now();
    let put = match budget {
        Some(budget) => budget.publish().await,
        None => {
            let put = share.put(Utc::now().date_naive(), Vec::new()).await;
            put.map_err(CountsError::from)
        }
    };
    let read = share.read().await;
    for growth in read.as_deref().unwrap_or_default() {
        rate.charge(&Tenant::from(growth.tenant.clone()), growth.units);
    }
    share.report(match (put, read) {
        (Err(error), _) => Err(("write", error.to_string())),
        (_, Err(error)) => Err(("read", error.to_string())),
        (Ok(()), Ok(_)) => Ok(started),
    });
}
