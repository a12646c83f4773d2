//! Daily query budget of each tenant and model. Scores reveal the model: with enough of them it can
//! be reconstructed.

use super::error::ApiError;
use crate::keystore::{Tenant, TenantName};
use anyhow::{Context, ensure};
use chrono::{DateTime, Days, NaiveDate, NaiveTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, ErrorKind, Write},
    num::NonZeroU64,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// Name of the file of counts in the data directory.
const FILE: &str = "query-counts.json";
/// Size limit of that file in bytes: room for more than 100,000 tenants.
const LONGEST: u64 = 16 << 20;
/// Counts are written to disk ahead of use, in steps of 1/`STEPS` of the budget, so that few
/// queries wait for the disk. After a crash, the rest of a step counts as sent.
const STEPS: u64 = 32;

/// Query budget whose counts survive a restart.
pub(super) struct DailyBudget {
    limit: NonZeroU64,
    counts: Mutex<Counts>,
    /// Path of the file of counts, locked while it is written.
    file: tokio::sync::Mutex<PathBuf>,
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
    pub(super) fn open(limit: NonZeroU64, folder: &Path) -> anyhow::Result<Self> {
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
    pub(super) async fn take(
        self: &Arc<Self>,
        tenant: &Tenant,
        model: &str,
        queries: usize,
    ) -> Result<Taken, ApiError> {
        self.take_at(Utc::now(), tenant, model, queries).await
    }

    async fn take_at(
        self: &Arc<Self>,
        now: DateTime<Utc>,
        tenant: &Tenant,
        model: &str,
        queries: usize,
    ) -> Result<Taken, ApiError> {
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
                return Err(ApiError::BudgetSpent {
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
            ApiError::CountsUnavailable
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
    pub(super) async fn close(&self) -> io::Result<()> {
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
pub(super) struct Taken {
    budget: Arc<DailyBudget>,
    account: Account,
    day: NaiveDate,
    queries: u64,
}

impl Taken {
    /// Keeps the queries counted, since they were scored.
    pub(super) fn spend(mut self) {
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

/// Formats a time as problem documents show it.
pub(super) fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
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
mod tests {
    use super::*;

    fn budget(folder: &Path, limit: u64) -> anyhow::Result<Arc<DailyBudget>> {
        let limit = NonZeroU64::new(limit).context("a limit")?;
        Ok(Arc::new(DailyBudget::open(limit, folder)?))
    }

    fn tenant(name: &str) -> Tenant {
        Tenant::Named(name.parse().unwrap())
    }

    /// Noon of a day in the distant future.
    fn noon(day: u32) -> DateTime<Utc> {
        let date = NaiveDate::from_ymd_opt(2100, 1, day).unwrap();
        date.and_hms_opt(12, 0, 0).unwrap().and_utc()
    }

    /// Noon of today, for tests that open a file again: `open` rejects files from the future.
    fn today() -> DateTime<Utc> {
        Utc::now().date_naive().and_hms_opt(12, 0, 0).unwrap().and_utc()
    }

    #[actix_web::test]
    async fn a_budget_is_a_tenants_and_a_models_and_ends_with_the_day() {
        let folder = tempfile::tempdir().unwrap();
        let budget = budget(folder.path(), 10).unwrap();
        let (one, two) = (tenant("one"), tenant("two"));
        for _ in 0..2 {
            budget.take_at(noon(1), &one, "churn", 5).await.unwrap().spend();
        }
        let Err(refused) = budget.take_at(noon(1), &one, "churn@2", 1).await else {
            panic!("all versions share a budget");
        };
        assert!(
            matches!(refused, ApiError::BudgetSpent { left: 0, .. }),
            "{refused}"
        );
        assert!(refused.to_string().contains("2100-01-02T00:00:00Z"), "{refused}");
        budget.take_at(noon(1), &one, "price", 10).await.unwrap().spend();
        budget.take_at(noon(1), &two, "churn", 10).await.unwrap().spend();
        budget
            .take_at(noon(1), &Tenant::Anonymous, "churn", 10)
            .await
            .unwrap()
            .spend();
        budget.take_at(noon(2), &one, "churn", 10).await.unwrap().spend();
        // Setting the clock back doesn't give queries back.
        assert!(budget.take_at(noon(1), &one, "churn", 1).await.is_err());
    }

    #[actix_web::test]
    async fn what_was_not_scored_is_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let budget = budget(folder.path(), 4).unwrap();
        let one = tenant("one");
        drop(budget.take_at(noon(1), &one, "churn", 4).await.unwrap());
        budget.take_at(noon(1), &one, "churn", 4).await.unwrap().spend();
        assert!(budget.take_at(noon(1), &one, "churn", 1).await.is_err());
    }

    #[actix_web::test]
    async fn a_kill_never_gives_queries_away_and_a_stop_loses_none() {
        let folder = tempfile::tempdir().unwrap();
        let one = tenant("one");
        let first = budget(folder.path(), 320).unwrap();
        first.take_at(today(), &one, "churn", 12).await.unwrap().spend();
        // After a crash: steps are ten queries, so twenty count as sent.
        let second = budget(folder.path(), 320).unwrap();
        assert!(second.take_at(today(), &one, "churn", 301).await.is_err());
        second.take_at(today(), &one, "churn", 295).await.unwrap().spend();
        second.close().await.unwrap();
        let third = budget(folder.path(), 320).unwrap();
        assert!(third.take_at(today(), &one, "churn", 6).await.is_err());
        third.take_at(today(), &one, "churn", 5).await.unwrap().spend();
    }

    #[actix_web::test]
    async fn many_at_once_never_take_more_than_there_is() {
        let folder = tempfile::tempdir().unwrap();
        let budget = budget(folder.path(), 100).unwrap();
        let one = tenant("one");
        let asked = (0..150).map(|_| budget.take_at(noon(1), &one, "churn", 1));
        let taken = futures_util::future::join_all(asked).await;
        assert_eq!(taken.iter().filter(|taken| taken.is_ok()).count(), 100);
    }

    #[actix_web::test]
    async fn a_lowered_limit_leaves_nothing_and_the_larger_of_two_counts_holds() {
        let folder = tempfile::tempdir().unwrap();
        let day = Utc::now().date_naive();
        let counts =
            r#"[{"tenant":"one","model":"churn","queries":90},{"tenant":"one","model":"churn","queries":0}]"#;
        fs::write(
            folder.path().join(FILE),
            format!(r#"{{"day":"{day}","counts":{counts}}}"#),
        )
        .unwrap();
        let budget = budget(folder.path(), 10).unwrap();
        let refused = budget
            .take_at(today(), &tenant("one"), "churn", 1)
            .await
            .err()
            .unwrap();
        assert!(refused.to_string().contains("0 are left"), "{refused}");
    }

    #[test]
    fn a_file_that_is_none_is_refused_with_words() {
        let folder = tempfile::tempdir().unwrap();
        for content in ["", "{}", r#"{"day":"yesterday","counts":[]}"#] {
            fs::write(folder.path().join(FILE), content).unwrap();
            let error = format!("{:#}", budget(folder.path(), 1).err().unwrap());
            assert!(error.contains("remove it to count"), "{error}");
        }
        fs::write(folder.path().join(FILE), r#"{"day":"2999-01-01","counts":[]}"#).unwrap();
        let error = format!("{:#}", budget(folder.path(), 1).err().unwrap());
        assert!(error.contains("set the clock"), "{error}");
    }
}
