//! Where counts are kept: in a file of this server, or where servers exchange them.

use super::{BudgetError, Counts};
use crate::{
    objects::LONGEST,
    tenants::{
        replace::replace,
        share::{Elsewhere, Queries, Share, ShareError},
        tenant::{Account, TenantName},
    },
    time::days_elsewhere,
};
use anyhow::{Context, ensure};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Name of the file of counts in the data directory.
pub(super) const FILE: &str = "query-counts.json";

/// Where counts are kept.
pub(super) enum CountsAt {
    /// A file of this server.
    File(PathBuf),
    /// An object of this server, beside those of others.
    Share(Arc<Share>),
}

/// Why counts can't be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CountsError {
    /// The file can't be written.
    #[error(transparent)]
    File(#[from] io::Error),
    /// They can't be shared.
    #[error(transparent)]
    Share(#[from] ShareError),
    /// The write that this request waited for has failed.
    #[error("an earlier attempt failed")]
    Waited,
}

/// Counts of a day, to be kept.
#[derive(Clone)]
pub(super) struct Snapshot {
    pub(super) day: NaiveDate,
    pub(super) lines: Vec<Line>,
}

/// Counts of an account.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) account: Account,
    /// Queries that were scored or are being scored.
    pub(super) used: u64,
    /// Queries that count as used after a kill.
    pub(super) kept: u64,
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

impl CountsAt {
    /// Uses the file in `folder`, which is created if it doesn't exist, and returns the counts in
    /// it.
    pub(super) fn file(folder: &Path, today: NaiveDate) -> anyhow::Result<(Self, Counts)> {
        fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        let path = folder.join(FILE);
        let kept = read(&path).with_context(|| {
            format!(
                "{} can't be read; remove it to count today's queries from zero",
                path.display()
            )
        })?;
        let Some(kept) = kept else {
            return Ok((Self::File(path), Counts::new(today)));
        };
        ensure!(
            kept.day <= *days_elsewhere(today).end(),
            "{} counts the queries of {}, and today is {today}: set the clock, or remove the file to count from zero",
            path.display(),
            kept.day
        );
        Ok((Self::File(path), Counts::from(kept)))
    }

    /// Keeps counts: once this returns, they survive a kill.
    pub(super) async fn write(&self, counts: Snapshot) -> Result<(), CountsError> {
        match self {
            Self::File(path) => Ok(write_file(path, counts).await?),
            Self::Share(share) => Ok(share.put(counts.day, counts.shared()).await?),
        }
    }

    /// Keeps the last counts when the server stops.
    pub(super) async fn close(&self, counts: Snapshot) -> Result<(), CountsError> {
        match self {
            Self::File(path) => Ok(write_file(path, counts).await?),
            Self::Share(share) => Ok(share.close(counts.day, counts.shared()).await?),
        }
    }

    /// Returns the queries that other servers have charged an account on a day.
    pub(super) fn elsewhere(&self, day: NaiveDate, account: &Account) -> Result<Elsewhere, BudgetError> {
        match self {
            Self::File(_) => Ok(Elsewhere::default()),
            Self::Share(share) => share.elsewhere(day, account).ok_or(BudgetError::Uncounted),
        }
    }
}

impl Snapshot {
    fn shared(self) -> Vec<Queries> {
        let queries = self.lines.into_iter().map(|line| Queries {
            tenant: line.account.0,
            model: line.account.1,
            used: line.used,
            kept: line.kept,
        });
        queries.collect()
    }
}

impl From<Snapshot> for Kept {
    fn from(counts: Snapshot) -> Self {
        let kept = counts.lines.into_iter().map(|line| KeptCount {
            tenant: line.account.0,
            model: line.account.1,
            queries: line.kept,
        });
        Self {
            day: counts.day,
            counts: kept.collect(),
        }
    }
}

impl From<Kept> for Counts {
    fn from(kept: Kept) -> Self {
        let mut accounts: HashMap<Account, super::Count> = HashMap::new();
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
async fn write_file(path: &Path, counts: Snapshot) -> io::Result<()> {
    let (path, kept) = (path.to_owned(), Kept::from(counts));
    let write = move || replace(&path, &serde_json::to_vec(&kept)?, |_| Ok(()));
    tokio::task::spawn_blocking(write)
        .await
        .map_err(io::Error::other)?
}
