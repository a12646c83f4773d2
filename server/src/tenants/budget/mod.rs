//! Daily query budget of each tenant and model. Scores reveal the model: with enough of them it can
//! be reconstructed.

mod location;

pub(crate) use self::location::CountsError;
use self::location::{CountsAt, Line, Snapshot};
use super::{
    share::Share,
    tenant::{Account, Tenant},
};
use crate::time::rfc3339;
use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use std::{
    collections::HashMap,
    num::NonZeroU64,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Counts are kept ahead of use, in steps of 1/`STEPS` of the budget, so that few queries wait for
/// the disk or the object store. After a crash, the rest of a step counts as sent.
const STEPS: u64 = 32;

/// Query budget whose counts survive a restart.
pub(crate) struct DailyBudget {
    limit: NonZeroU64,
    counts: Mutex<Counts>,
    location: CountsAt,
    /// Locked while counts are written. Has the start of the last write if it failed.
    failed: tokio::sync::Mutex<Option<Instant>>,
}

/// Why queries may not be scored.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(crate) enum BudgetError {
    /// The tenant has used up its queries for this model and day.
    #[error(
        "a tenant may send {limit} queries per day to this model; {left} are left, more from {} on",
        rfc3339(*again)
    )]
    Spent {
        /// Queries per day.
        limit: u64,
        /// Queries left today.
        left: u64,
        /// Start of the next day.
        again: DateTime<Utc>,
        /// Time until then.
        wait: Duration,
    },
    /// Queries can't be counted, so none may be scored.
    #[error("the server can't count queries at the moment")]
    Uncounted,
}

/// Queries of one day.
struct Counts {
    day: NaiveDate,
    accounts: HashMap<Account, Count>,
}

#[derive(Clone, Copy, Default)]
struct Count {
    /// Queries that were scored or are being scored.
    used: u64,
    /// Count that is kept, at least `used` whenever a query is scored.
    kept: u64,
}

impl DailyBudget {
    /// Loads the counts in `folder`, which is created if it doesn't exist.
    ///
    /// # Errors
    /// Fails if the file of counts exists but can't be read.
    pub(crate) fn open(limit: NonZeroU64, folder: &Path) -> anyhow::Result<Self> {
        let (location, counts) = CountsAt::file(folder, Utc::now().date_naive())?;
        Ok(Self::new(limit, location, counts))
    }

    /// Counts together with other servers.
    pub(crate) fn shared(limit: NonZeroU64, share: Arc<Share>) -> Self {
        let counts = Counts::new(Utc::now().date_naive());
        Self::new(limit, CountsAt::Share(share), counts)
    }

    fn new(limit: NonZeroU64, location: CountsAt, counts: Counts) -> Self {
        Self {
            limit,
            counts: Mutex::new(counts),
            location,
            failed: tokio::sync::Mutex::default(),
        }
    }

    /// Fails while other servers' counts can't be read at all, and no query is scored. Another
    /// replica may be able to. An object that can't be read stops all of them, so it is no reason
    /// to take this one out of service.
    pub(crate) fn check(&self) -> Result<(), BudgetError> {
        match &self.location {
            CountsAt::Share(share) if !share.is_fresh(Instant::now()) => Err(BudgetError::Uncounted),
            _ => Ok(()),
        }
    }

    /// Counts queries that are about to be scored. Once this returns, they stay counted even if the
    /// process crashes; dropping the value unspent gives them back.
    pub(crate) async fn take(
        self: &Arc<Self>,
        tenant: &Tenant,
        model: &str,
        queries: usize,
    ) -> Result<Taken, BudgetError> {
        self.take_at(Utc::now(), tenant, model, queries).await
    }

    async fn take_at(
        self: &Arc<Self>,
        now: DateTime<Utc>,
        tenant: &Tenant,
        model: &str,
        queries: usize,
    ) -> Result<Taken, BudgetError> {
        let queries = queries as u64;
        // All versions share a budget: a model hardly changes from one version to the next.
        let model = model.split('@').next().unwrap_or(model).to_owned();
        let account = (tenant.name(), model);
        let day = {
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            counts.turn_to(now.date_naive());
            let day = counts.day;
            let elsewhere = self.location.elsewhere(day, &account)?;
            let count = counts.accounts.entry(account.clone()).or_default();
            // `used` may exceed the limit if the limit was lowered.
            let used = count.used.saturating_add(elsewhere.sure);
            if used.saturating_add(queries) > self.limit.get() {
                return Err(BudgetError::Spent {
                    limit: self.limit.get(),
                    left: self.limit.get().saturating_sub(used),
                    again: midnight_after(day),
                    wait: (midnight_after(day) - now).to_std().unwrap_or_default(),
                });
            }
            // Soon it will be known whether the other server has ended.
            let possible = count.used.saturating_add(elsewhere.possible);
            if possible.saturating_add(queries) > self.limit.get() {
                return Err(BudgetError::Uncounted);
            }
            count.used += queries;
            day
        };
        let taken = Taken {
            budget: self.clone(),
            account,
            day,
            queries,
        };
        self.keep(&taken.account).await.map_err(|cause| {
            // One line for each attempt is enough.
            if !matches!(cause, CountsError::Waited) {
                tracing::error!(%cause, "the counts of queries can't be written");
            }
            BudgetError::Uncounted
        })?;
        Ok(taken)
    }

    /// Makes sure that the kept count is at least the queries used.
    async fn keep(&self, account: &Account) -> Result<(), CountsError> {
        if self.is_kept(account) {
            return Ok(());
        }
        let asked = Instant::now();
        let mut failed = self.failed.lock().await;
        // The previous holder of the lock may have written this count too.
        if self.is_kept(account) {
            return Ok(());
        }
        // If that write failed, fail too: a retry by every waiter would keep the last one waiting
        // very long.
        if failed.is_some_and(|started| started >= asked) {
            return Err(CountsError::Waited);
        }
        self.write(&mut failed).await
    }

    /// Shows other servers the counts as they are.
    pub(super) async fn publish(&self) -> Result<(), CountsError> {
        let mut failed = self.failed.lock().await;
        let today = Utc::now().date_naive();
        self.counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .turn_to(today);
        self.write(&mut failed).await
    }

    async fn write(&self, failed: &mut Option<Instant>) -> Result<(), CountsError> {
        let started = Instant::now();
        let ahead = self.ahead();
        let written = self.location.write(ahead.clone()).await;
        *failed = written.is_err().then_some(started);
        written?;
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.day == ahead.day {
            for Line { account, kept, .. } in ahead.lines {
                counts.accounts.entry(account).or_default().kept = kept;
            }
        }
        Ok(())
    }

    fn is_kept(&self, account: &Account) -> bool {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts
            .accounts
            .get(account)
            .is_none_or(|count| count.used <= count.kept)
    }

    /// Returns the counts to write now, with the kept ones rounded up to whole steps.
    fn ahead(&self) -> Snapshot {
        let limit = self.limit.get();
        let step = limit.div_ceil(STEPS);
        self.snapshot(|count| {
            let rounded = count.used.div_ceil(step).saturating_mul(step);
            rounded.min(limit).max(count.kept).max(count.used)
        })
    }

    fn snapshot(&self, kept: impl Fn(&Count) -> u64) -> Snapshot {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = counts.accounts.iter().map(|(account, count)| Line {
            account: account.clone(),
            used: count.used,
            kept: kept(count),
        });
        let mut lines: Vec<Line> = lines.filter(|line| line.kept > 0).collect();
        // Sorted, so that equal counts serialise to equal bytes and aren't written again.
        lines.sort_unstable_by(|one, other| one.account.cmp(&other.account));
        Snapshot {
            day: counts.day,
            lines,
        }
    }

    /// Writes the exact counts when the server stops.
    pub(crate) async fn close(&self) -> Result<(), CountsError> {
        let _one_at_a_time = self.failed.lock().await;
        self.location.close(self.snapshot(|count| count.used)).await
    }

    fn give_back(&self, taken: &Taken) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.day == taken.day
            && let Some(count) = counts.accounts.get_mut(&taken.account)
        {
            count.used = count.used.saturating_sub(taken.queries);
        }
    }
}

/// Queries that have been counted. They are given back on drop unless they were
/// [`spent`](Taken::spend).
pub(crate) struct Taken {
    budget: Arc<DailyBudget>,
    account: Account,
    day: NaiveDate,
    queries: u64,
}

impl Taken {
    /// Keeps the queries counted, since they were scored.
    pub(crate) fn spend(mut self) {
        self.queries = 0;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if self.queries > 0 {
            self.budget.give_back(self);
        }
    }
}

impl Counts {
    fn new(day: NaiveDate) -> Self {
        Self {
            day,
            accounts: HashMap::new(),
        }
    }

    /// Starts a new day. Does nothing if the clock was set back.
    fn turn_to(&mut self, day: NaiveDate) {
        if day > self.day {
            self.day = day;
            self.accounts.clear();
        }
    }
}

fn midnight_after(day: NaiveDate) -> DateTime<Utc> {
    let next = day.checked_add_days(Days::new(1)).unwrap_or(day);
    next.and_time(NaiveTime::MIN).and_utc()
}

#[cfg(test)]
mod tests;
