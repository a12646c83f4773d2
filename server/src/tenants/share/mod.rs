//! Counts that servers share: each writes an object with its own, and reads the others'.
//!
//! A server writes only its own object, so that no two ever write the same one. A query is reserved
//! in the server's object before it is scored, so that a killed server loses no count.

mod object;
mod others;

pub(super) use self::object::Queries;
pub(crate) use self::others::Elsewhere;
use self::{
    object::{BadObject, Counted, FORMAT, ServerName},
    others::{Growth, Others, Version},
};
use super::tenant::{Account, Tenant, TenantName};
use crate::{
    objects::{
        LONGEST, Location, ObjectError, Objects, OpenError, Read,
        staging::{self, Swept},
    },
    telemetry,
    time::days_elsewhere,
};
use bytes::Bytes;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use futures_util::{StreamExt, TryStreamExt, stream};
use metrics::counter;
use object::Units;
use object_store::PutMode;
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Mutex, PoisonError, RwLock},
    time::Duration,
};
use tokio::time::Instant;

/// Age from which shared counts aren't trusted. A server whose object hasn't changed for this long
/// counts as ended, and one that couldn't write its own and read the others' for this long scores
/// no query that a budget limits.
pub(super) const STALE_AFTER: Duration = Duration::from_secs(60);
/// A server writes its object at least this often, so that others see it live.
const BEAT: Duration = Duration::from_secs(20);
/// Size limit of all objects together in bytes.
const MOST_BYTES: u64 = 4 * LONGEST;
/// Largest difference between the clocks of a server and of the store.
const MOST_SKEW: TimeDelta = TimeDelta::hours(1);
/// Number of objects read at a time.
const AT_A_TIME: usize = 8;
/// How often a failure that lasts is logged.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// Another server's object.
type Listed = (ServerName, Version);

/// Counts of this server and others.
pub(crate) struct Share {
    objects: Objects,
    name: ServerName,
    every: Duration,
    /// Units charged to each tenant's rate since the start.
    units: Mutex<BTreeMap<Option<TenantName>, u64>>,
    written: tokio::sync::Mutex<Written>,
    others: RwLock<Others>,
    exchanges: Mutex<Exchanges>,
}

/// The last write.
#[derive(Default)]
struct Written {
    /// Content and time of the last write, unless it failed.
    last: Option<(Counted, Instant)>,
    beat: u64,
    /// Whether the counts have been closed, after which none is added.
    closed: bool,
}

/// Exchanges of counts so far.
struct Exchanges {
    /// Time of the last one that succeeded.
    succeeded: Instant,
    /// Time at which a failure was last logged, since the last success.
    logged: Option<Instant>,
}

/// Why counts can't be shared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShareError {
    /// The store can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Memory can't be shared.
    #[error("memory:// exists in one process only, so counts can't be shared through it")]
    Memory,
    /// The store failed.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The counts have no JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// An object would be longer than others read.
    #[error("this server's counts take {0} bytes, and others read {LONGEST} at most")]
    Long(usize),
    /// The other servers' objects are more than can be read.
    #[error(
        "the objects have more than {MOST_BYTES} bytes together: remove those of servers that have ended"
    )]
    TooMany,
    /// The clocks of this server and of the store don't agree.
    #[error("this server's clock is more than an hour off the store's, which says {store}: set the clock")]
    Clock {
        /// Time of the store.
        store: DateTime<Utc>,
    },
    /// The server's own object has disappeared.
    #[error("this server's own counts are gone: was the location emptied, or replaced by another?")]
    Gone,
    /// The server is stopping.
    #[error("the server is stopping")]
    Closed,
    /// The platform provides no randomness.
    #[error("no randomness: {0}")]
    Entropy(#[from] getrandom::Error),
}

impl Share {
    /// Opens the location, reads what others have counted and writes an object of its own. Requests
    /// to an object store are abandoned after `patience`.
    pub(crate) async fn open(
        location: &Location,
        every: Duration,
        patience: Duration,
    ) -> Result<Self, ShareError> {
        if let Location::Memory = location {
            return Err(ShareError::Memory);
        }
        let objects = Objects::open(location, patience)?;
        if let Location::Directory(path) = location {
            remove_leftovers(path);
        }
        Self::on(objects, every).await
    }

    async fn on(objects: Objects, every: Duration) -> Result<Self, ShareError> {
        let share = Self {
            objects,
            name: ServerName::random()?,
            every,
            units: Mutex::default(),
            written: tokio::sync::Mutex::default(),
            others: RwLock::default(),
            exchanges: Mutex::new(Exchanges {
                succeeded: Instant::now(),
                logged: None,
            }),
        };
        // Written first, so that its time shows whether the clocks agree.
        share.put(Utc::now().date_naive(), Vec::new()).await?;
        if let Err(error) = share.read().await {
            // It holds no counts, and with a wrong clock others would complain about it.
            if let Err(error) = share.objects.remove(&share.name.object()).await {
                tracing::warn!(%error, object = %share.name.object(), "an object without counts is left");
            }
            return Err(error);
        }
        Ok(share)
    }

    /// Returns how often counts should be exchanged.
    pub(crate) fn every(&self) -> Duration {
        self.every
    }

    /// Counts units that a tenant's rate was charged, for other servers.
    pub(super) fn count_units(&self, tenant: &Tenant, units: u64) {
        let mut counts = self.units.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(tenant.name()).or_default();
        *count = count.saturating_add(units);
    }

    /// Returns the queries that other servers have charged an account on a day, or `None` if that
    /// isn't known.
    pub(super) fn elsewhere(&self, day: NaiveDate, account: &Account) -> Option<Elsewhere> {
        let now = Instant::now();
        let others = self.others.read().unwrap_or_else(PoisonError::into_inner);
        (self.is_fresh(now) && others.bad(day) == 0).then(|| others.queries(day, account, now))
    }

    /// Checks whether counts have been exchanged lately.
    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        let exchanges = self.exchanges.lock().unwrap_or_else(PoisonError::into_inner);
        now.duration_since(exchanges.succeeded) <= STALE_AFTER
    }

    /// Writes this server's object if it would change, or to show that the server lives.
    pub(super) async fn put(&self, day: NaiveDate, queries: Vec<Queries>) -> Result<(), ShareError> {
        let mut written = self.written.lock().await;
        if written.closed {
            return Err(ShareError::Closed);
        }
        let mut counted = Counted {
            format: FORMAT,
            beat: written.beat,
            day,
            queries,
            units: self.units(),
        };
        if let Some((last, at)) = &written.last
            && at.elapsed() + self.every < BEAT
            && *last == counted
        {
            return Ok(());
        }
        // A write that fails may arrive all the same, so no two have the same number.
        written.beat += 1;
        counted.beat = written.beat;
        written.last = None;
        let content = serde_json::to_vec(&counted)?;
        if content.len() as u64 > LONGEST {
            return Err(ShareError::Long(content.len()));
        }
        let path = self.name.object();
        self.objects.put(&path, content, PutMode::Overwrite).await?;
        written.last = Some((counted, Instant::now()));
        Ok(())
    }

    /// Writes the last counts when the server stops. An object without any is removed.
    pub(super) async fn close(&self, day: NaiveDate, queries: Vec<Queries>) -> Result<(), ShareError> {
        if queries.is_empty() && self.units().is_empty() {
            self.written.lock().await.closed = true;
            return Ok(self.objects.remove(&self.name.object()).await?);
        }
        self.put(day, queries).await?;
        self.written.lock().await.closed = true;
        Ok(())
    }

    /// Writes the last counts of a server without daily budgets when it stops.
    pub(crate) async fn end(&self) -> Result<(), ShareError> {
        self.close(Utc::now().date_naive(), Vec::new()).await
    }

    /// Records, counts and logs the result of an exchange: when a successful one began.
    pub(super) fn report(&self, result: Result<Instant, (&'static str, String)>) {
        let (now, bad) = (Instant::now(), self.lock_others().bad(Utc::now().date_naive()));
        if bad > 0 {
            counter!(telemetry::SHARE_ERRORS, "kind" => "object").increment(bad as u64);
        }
        let mut exchanges = self.exchanges.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(started) => {
                exchanges.succeeded = started;
                if exchanges.logged.take().is_some() {
                    tracing::info!("counts are shared again");
                }
            }
            Err((kind, error)) => {
                counter!(telemetry::SHARE_ERRORS, "kind" => kind).increment(1);
                if exchanges
                    .logged
                    .is_none_or(|at| now.duration_since(at) >= LOG_EVERY)
                {
                    exchanges.logged = Some(now);
                    tracing::error!(
                        error,
                        kind,
                        "counts can't be shared; after a minute, queries that a daily budget limits are refused"
                    );
                }
            }
        }
    }

    /// Reads the objects that have changed, and returns the units that others have charged since.
    /// Removes objects of past days.
    pub(super) async fn read(&self) -> Result<Vec<Growth>, ShareError> {
        let today = Utc::now().date_naive();
        let (listed, own) = self.list().await?;
        // With a wrong clock, others' counts of today would seem to be of another day. The object
        // is never much older than a beat.
        if let Some(store) = own
            && (Utc::now() - store).abs() > MOST_SKEW
        {
            return Err(ShareError::Clock { store });
        }
        let (changed, too_long) = self.changed(&listed)?;
        for object in too_long {
            self.refuse(object, &BadObject::TooLong);
        }
        let contents: Vec<_> = stream::iter(changed)
            .map(|object| self.content(object))
            .buffer_unordered(AT_A_TIME)
            .try_collect()
            .await?;
        let mut growth = Vec::new();
        for (object, content) in contents.into_iter().flatten() {
            match content.and_then(|content| Counted::parse(&content, today)) {
                Ok(counted) => {
                    growth.extend(self.lock_others().learn(object, counted, Instant::now()));
                }
                Err(error) => self.refuse(object, &error),
            }
        }
        let names = listed.into_iter().map(|(name, _)| name).collect();
        let past = self.lock_others().settle(&names, *days_elsewhere(today).start());
        // What can't be removed now, or would take long, is offered again by the next exchange.
        for name in past.into_iter().take(AT_A_TIME) {
            let object = name.object();
            if let Err(error) = self.objects.remove(&object).await {
                tracing::warn!(%object, %error, "counts of a past day can't be removed");
                break;
            }
        }
        let mut written = self.written.lock().await;
        if own.is_none() && written.last.is_some() && !written.closed {
            written.last = None;
            return Err(ShareError::Gone);
        }
        Ok(growth)
    }

    /// Lists the other servers' objects, and returns when this server's own was written by the
    /// store's clock, if it is there.
    async fn list(&self) -> Result<(Vec<Listed>, Option<DateTime<Utc>>), ShareError> {
        let listed = self.objects.list().await?;
        let (mut own, mut others) = (None, Vec::new());
        for object in &listed {
            match object.location.filename().and_then(ServerName::of_object) {
                Some(name) if name == self.name => own = Some(object.last_modified),
                Some(name) => others.push((name, Version::from(object))),
                None => {}
            }
        }
        Ok((others, own))
    }

    /// Returns the objects that have to be read, and those that are too long.
    fn changed(&self, listed: &[Listed]) -> Result<(Vec<Listed>, Vec<Listed>), ShareError> {
        let others = self.lock_others();
        let is_long = |version: &Version| version.bytes() > LONGEST;
        let sizes = listed.iter().filter(|(_, version)| !is_long(version));
        let total = sizes.fold(0u64, |total, (_, version)| total.saturating_add(version.bytes()));
        // Without some of them, budgets would be exceeded.
        if total > MOST_BYTES {
            return Err(ShareError::TooMany);
        }
        let unknown = listed
            .iter()
            .filter(|(name, version)| !others.knows(name, version));
        let (too_long, changed) = unknown.cloned().partition(|(_, version)| is_long(version));
        Ok((changed, too_long))
    }

    /// Reads an object, which may have been removed since it was listed.
    async fn content(
        &self,
        object: Listed,
    ) -> Result<Option<(Listed, Result<Bytes, BadObject>)>, ShareError> {
        let content = match self.objects.read(&object.0.object(), None).await {
            Ok(Read::Found(content, _)) => Ok(content),
            Ok(Read::Absent | Read::Unchanged) => return Ok(None),
            Err(ObjectError::TooLong) => Err(BadObject::TooLong),
            Err(error) => return Err(error.into()),
        };
        Ok(Some((object, content)))
    }

    fn refuse(&self, object: Listed, error: &BadObject) {
        let name = object.0.object();
        let mut others = self.lock_others();
        let before = others.bad(Utc::now().date_naive());
        others.refuse(object, error);
        if others.bad(Utc::now().date_naive()) > before {
            tracing::error!(object = %name, %error, "another server's counts can't be read; until the object is repaired or removed, queries that a daily budget limits are refused");
        } else {
            tracing::warn!(object = %name, %error, "an object isn't counted");
        }
    }

    fn lock_others(&self) -> std::sync::RwLockWriteGuard<'_, Others> {
        self.others.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn units(&self) -> Vec<Units> {
        let counts = self.units.lock().unwrap_or_else(PoisonError::into_inner);
        let units = counts.iter().map(|(tenant, units)| Units {
            tenant: tenant.clone(),
            units: *units,
        });
        units.collect()
    }
}

/// Checks whether servers can read an object of shared counts today. For fuzzing, which would have
/// to start a server for each input otherwise.
pub fn are_shared_counts(content: &[u8]) -> bool {
    Counted::parse(content, Utc::now().date_naive()).is_ok()
}

/// Removes files that killed servers left in the midst of a write, and that are an hour old.
fn remove_leftovers(folder: &Path) {
    let is_object = |name: &str| ServerName::of_object(name).is_some();
    if let Err(error) = staging::sweep(folder, Swept::Abandoned, is_object) {
        tracing::warn!(%error, folder = %folder.display(), "files of unfinished writes can't be removed");
    }
}

#[cfg(test)]
mod tests;
