//! Daily query budget of each tenant and model. Scores reveal the model: with enough of them it can
//! be reconstructed.

use super::tenant::{Tenant, TenantName};
use crate::time::rfc3339;
use anyhow::{Context, ensure};
use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, ErrorKind, Write},
    num::NonZeroU64,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Name of the file of counts in the data directory.
const FILE: &str = "query-counts.json";
/// Size limit of that file in bytes: room for more than 100,000 tenants.
const LONGEST: u64 = 16 << 20;
/// Counts are written to disk ahead of use, in steps of 1/`STEPS` of the budget, so that few
/// queries wait for the disk. After a crash, the rest of a step counts as sent.
const STEPS: u64 = 32;

/// Query budget whose counts survive a restart.
pub(crate) struct DailyBudget {
    limit: NonZeroU64,
    counts: Mutex<Counts>,
    /// Path of the file of counts, locked while it is written.
    file: tokio::sync::Mutex<PathBuf>,
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

/// Tenant and model that queries are charged to. All versions of a model share an account.
type Account = (Option<TenantName>, String);

/// Queries of one day.
struct Counts {
    day: NaiveDate,
    accounts: HashMap<Account, Count>,
}

#[derive(Clone, Copy, Default)]
struct Count {
    /// Queries that were scored or are being scored.
    used: u64,
    /// Count in the file, at least `used` whenever a query is scored.
    kept: u64,
}

/// Content of the file of counts.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    day: NaiveDate,
    counts: Vec<KeptCount>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptCount {
    /// `None` on servers without tokens.
    tenant: Option<TenantName>,
    model: String,
    queries: u64,
}

impl DailyBudget {
    /// Loads the counts in `folder`, which is created if it doesn't exist.
    ///
    /// # Errors
    /// Fails if the file of counts exists but can't be read.
    pub(crate) fn open(limit: NonZeroU64, folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        let path = folder.join(FILE);
        let accounts = match read(&path) {
            Ok(Some(kept)) => Some(kept),
            Ok(None) => None,
            Err(error) => {
                let advice = format!(
                    "{} can't be read; remove it to count today's queries from zero",
                    path.display()
                );
                return Err(error.context(advice));
            }
        };
        let today = Utc::now().date_naive();
        let counts = match accounts {
            Some(kept) => {
                // A difference of one day may come from the clocks of two machines.
                ensure!(
                    today
                        .checked_add_days(Days::new(1))
                        .is_none_or(|tomorrow| kept.day <= tomorrow),
                    "{} counts the queries of {}, and today is {today}: set the clock, or remove the file to count from zero",
                    path.display(),
                    kept.day
                );
                Counts::from(kept)
            }
            None => Counts {
                day: today,
                accounts: HashMap::new(),
            },
        };
        Ok(Self {
            limit,
            counts: Mutex::new(counts),
            file: tokio::sync::Mutex::new(path),
        })
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
        let tenant = match tenant {
            Tenant::Anonymous => None,
            Tenant::Named(name) => Some(name.clone()),
        };
        // All versions share a budget: a model hardly changes from one version to the next.
        let model = model.split('@').next().unwrap_or(model).to_owned();
        let account = (tenant, model);
        let day = {
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            counts.turn_to(now.date_naive());
            let day = counts.day;
            let count = counts.accounts.entry(account.clone()).or_default();
            // `used` may exceed the limit if the limit was lowered.
            if count.used.saturating_add(queries) > self.limit.get() {
                return Err(BudgetError::Spent {
                    limit: self.limit.get(),
                    left: self.limit.get().saturating_sub(count.used),
                    again: midnight_after(day),
                    wait: (midnight_after(day) - now).to_std().unwrap_or_default(),
                });
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
            tracing::error!(%cause, "the counts of queries can't be written");
            BudgetError::Uncounted
        })?;
        Ok(taken)
    }

    /// Makes sure that the count in the file is at least the queries used.
    async fn keep(&self, account: &Account) -> io::Result<()> {
        if self.is_kept(account) {
            return Ok(());
        }
        let path = self.file.lock().await;
        // The previous holder of the lock may have written this count too.
        if self.is_kept(account) {
            return Ok(());
        }
        let (kept, ahead) = self.ahead();
        let target = path.clone();
        tokio::task::spawn_blocking(move || write(&target, &kept))
            .await
            .map_err(io::Error::other)??;
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.day == ahead.0 {
            for (account, kept) in ahead.1 {
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

    /// Returns the counts to write now, each rounded up to whole steps.
    fn ahead(&self) -> (Kept, (NaiveDate, Vec<(Account, u64)>)) {
        let step = self.limit.get().div_ceil(STEPS);
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let ahead = counts
            .accounts
            .iter()
            .filter(|(_, count)| count.used > 0 || count.kept > 0);
        let ahead: Vec<(Account, u64)> = ahead
            .map(|(account, count)| {
                let rounded = count.used.div_ceil(step) * step;
                (
                    account.clone(),
                    rounded.min(self.limit.get()).max(count.kept).max(count.used),
                )
            })
            .collect();
        let kept = ahead.iter().map(|((tenant, model), queries)| KeptCount {
            tenant: tenant.clone(),
            model: model.clone(),
            queries: *queries,
        });
        let kept = Kept {
            day: counts.day,
            counts: kept.collect(),
        };
        (kept, (counts.day, ahead))
    }

    /// Writes the exact counts when the server stops.
    pub(crate) async fn close(&self) -> io::Result<()> {
        let path = self.file.lock().await;
        let kept = {
            let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            let exact = counts.accounts.iter().map(|((tenant, model), count)| KeptCount {
                tenant: tenant.clone(),
                model: model.clone(),
                queries: count.used,
            });
            Kept {
                day: counts.day,
                counts: exact.collect(),
            }
        };
        let target = path.clone();
        tokio::task::spawn_blocking(move || write(&target, &kept))
            .await
            .map_err(io::Error::other)?
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
    /// Starts a new day. Does nothing if the clock was set back.
    fn turn_to(&mut self, day: NaiveDate) {
        if day > self.day {
            self.day = day;
            self.accounts.clear();
        }
    }
}

impl From<Kept> for Counts {
    fn from(kept: Kept) -> Self {
        let mut accounts: HashMap<Account, Count> = HashMap::new();
        for count in kept.counts {
            let known = accounts.entry((count.tenant, count.model)).or_default();
            known.used = known.used.max(count.queries);
            known.kept = known.used;
        }
        Self {
            day: kept.day,
            accounts,
        }
    }
}

fn midnight_after(day: NaiveDate) -> DateTime<Utc> {
    let next = day.checked_add_days(Days::new(1)).unwrap_or(day);
    next.and_time(NaiveTime::MIN).and_utc()
}

fn read(path: &Path) -> anyhow::Result<Option<Kept>> {
    let length = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    ensure!(length <= LONGEST, "it has {length} bytes");
    Ok(Some(serde_json::from_slice(&fs::read(path)?)?))
}

/// Replaces the file atomically.
fn write(path: &Path, kept: &Kept) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(&serde_json::to_vec(kept)?)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    Ok(())
}

#[cfg(test)]
mod tests;
