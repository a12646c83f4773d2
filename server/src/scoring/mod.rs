//! The scoring service: keys in use, scoring threads, and admission by expected time. It knows
//! nothing of HTTP.

mod costs;
mod estimate;
mod key_cache;
mod pool;

pub(crate) use estimate::Estimate;
pub(crate) use key_cache::{KeyCache, PrepareError};
pub(crate) use pool::{NotRun, QueueFull, ScoringPool};

use crate::{
    keystore::{KeyName, KeyStore},
    objects::StoreError,
    telemetry, traces,
};
use blindscore_engine::{
    ScoreError,
    model::{Model, Registry},
};
use blindscore_protocol::{ids::KeyId, params::ParameterSetId, wire::Query};
use costs::Costs;
use key_cache::ReadyKey;
use metrics::{counter, histogram};
use pool::{Admission, Width};
use rayon::prelude::*;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Scores queries with the keys of a store. A request goes through three steps, which its caller
/// may stop between: [`Scorer::admit`], [`Admitted::load_key`], [`Ready::score`].
pub(crate) struct Scorer {
    keys: KeyStore,
    cache: KeyCache,
    pool: ScoringPool,
    costs: Costs,
    /// Longest time from a request's arrival to its answer.
    deadline: Duration,
}

/// Why queries were not scored.
#[derive(Debug)]
pub(crate) enum NotScored {
    /// The queue has no room.
    QueueFull(QueueFull),
    /// The queue turned out longer than estimated on arrival; it will be shorter after this time.
    Late(Duration),
    /// The key was never uploaded, was removed or has expired.
    NoKey(KeyId),
    /// The key has this parameter set, and the model another one.
    OtherParameters(ParameterSetId),
    /// The key could not be loaded. Shared, since several requests may have waited for it.
    Key(Arc<PrepareError>),
    /// The scoring threads gave no result.
    NotRun(NotRun),
    /// The engine failed.
    Engine(ScoreError),
}

/// Queries that have places in the queue.
pub(crate) struct Admitted<'a> {
    scorer: &'a Scorer,
    model: Arc<Model>,
    key: KeyName,
    count: usize,
    /// Places in the queue.
    admission: Admission,
    /// Expected pool time, with that of preparing the key.
    expected: Duration,
    arrived: Instant,
}

/// Queries that have places in the queue, and their key.
pub(crate) struct Ready<'a> {
    admitted: Admitted<'a>,
    key: Arc<ReadyKey>,
    /// Time from arrival until the key was ready.
    waited_for_key: Duration,
}

/// Response blobs and their timing.
pub(crate) struct Scored {
    /// Response blobs, in the order of the queries.
    pub(crate) blobs: Vec<Vec<u8>>,
    /// Time spent in the queue.
    pub(crate) queue: Duration,
    /// Time until the key was ready.
    pub(crate) key: Duration,
    /// Time of the scoring itself.
    pub(crate) score: Duration,
}

impl Scorer {
    /// Creates a scorer whose requests take at most `deadline`.
    pub(crate) fn new(keys: KeyStore, cache: KeyCache, pool: ScoringPool, deadline: Duration) -> Self {
        Self {
            keys,
            cache,
            pool,
            costs: Costs::default(),
            deadline,
        }
    }

    /// Returns the store of uploaded keys.
    pub(crate) fn keys(&self) -> &KeyStore {
        &self.keys
    }

    /// Removes a key from the store and from memory. Returns whether it was stored.
    pub(crate) async fn remove_key(&self, key: &KeyName) -> Result<bool, StoreError> {
        let present = self.keys.remove(key).await?;
        self.cache.forget(key).await;
        Ok(present)
    }

    /// Forgets the costs of models that are no longer served.
    pub(crate) fn keep_costs(&self, registry: &Registry) {
        self.costs.keep(registry);
    }

    /// Returns the number of queries admitted and not yet answered.
    pub(crate) fn queued(&self) -> usize {
        self.pool.queued()
    }

    /// Returns the time that all admitted work will take.
    pub(crate) fn ahead(&self) -> Duration {
        self.pool.ahead()
    }

    /// Returns the bytes of keys in memory.
    pub(crate) fn key_bytes(&self) -> u64 {
        self.cache.memory_bytes()
    }

    /// Reserves places in the queue for `count` queries, if they are expected to be scored in time.
    pub(crate) fn admit(
        &self,
        model: &Arc<Model>,
        key: KeyName,
        count: usize,
    ) -> Result<Admitted<'_>, NotScored> {
        let arrived = Instant::now();
        let cost = self.costs.of(model).get();
        let expected = cost * u32::try_from(count).unwrap_or(u32::MAX) + self.cache.cost(&key);
        let admission = self.pool.admit(count, expected).map_err(NotScored::QueueFull)?;
        Ok(Admitted {
            scorer: self,
            model: model.clone(),
            key,
            count,
            admission,
            expected,
            arrived,
        })
    }

    fn late(&self) -> NotScored {
        NotScored::Late(self.ahead())
    }
}

impl<'a> Admitted<'a> {
    /// Waits until the key is ready for scoring.
    pub(crate) async fn load_key(self) -> Result<Ready<'a>, NotScored> {
        let scorer = self.scorer;
        let deadline = self.arrived + scorer.deadline;
        let key = scorer.cache.get(&self.key, &scorer.keys, &scorer.pool);
        let key = traces::span("load key", key);
        let key = match tokio::time::timeout_at(deadline.into(), key).await {
            Ok(Ok(key)) => key,
            Ok(Err(error)) if matches!(*error, PrepareError::Absent) => {
                return Err(NotScored::NoKey(self.key.id));
            }
            Ok(Err(error)) => return Err(NotScored::Key(error)),
            Err(_) => return Err(scorer.late()),
        };
        let parameters = key.prepared.parameters().id();
        if parameters != self.model.parameters().id() {
            return Err(NotScored::OtherParameters(parameters));
        }
        Ok(Ready {
            waited_for_key: self.arrived.elapsed(),
            admitted: self,
            key,
        })
    }
}

impl Ready<'_> {
    /// Scores the queries, which were parsed for the model, when their turn comes.
    pub(crate) async fn score(self, queries: Vec<Query>) -> Result<Scored, NotScored> {
        let Self {
            admitted,
            key,
            waited_for_key,
        } = self;
        let Admitted {
            scorer,
            model,
            count,
            admission,
            expected,
            arrived,
            ..
        } = admitted;
        let width = if model.engine().uses_all_threads() || count > 1 {
            Width::All
        } else {
            Width::One
        };
        // Work that has begun must also end before the deadline.
        let begun_by = (arrived + scorer.deadline)
            .checked_sub(expected)
            .unwrap_or(arrived);
        let begun_by = begun_by.max(arrived + scorer.deadline / 2);
        let done = scorer.pool.run(width, begun_by, {
            let model = model.clone();
            move || {
                let _place = admission;
                let engine = model.engine();
                queries
                    .par_iter()
                    .map(|query| Ok(engine.score(query, &key.prepared)?.to_blob()))
                    .collect::<Result<Vec<_>, ScoreError>>()
            }
        });
        let queued = Instant::now();
        let done = match done.await {
            Ok(done) => done,
            Err(NotRun::Late) => {
                traces::past("wait for turn", queued, queued.elapsed());
                return Err(scorer.late());
            }
            Err(error) => return Err(NotScored::NotRun(error)),
        };
        traces::past("wait for turn", done.began - done.waited, done.waited);
        traces::past("score", done.began, done.ran);
        let cost = scorer.costs.of(&model);
        scorer.pool.learn(&cost, width, done.ran, count);
        let name = model.descriptor().name.clone();
        histogram!(telemetry::QUEUE_SECONDS).record(done.waited);
        histogram!(telemetry::SCORE_SECONDS, "model" => name.clone()).record(done.ran);
        counter!(telemetry::QUERIES, "model" => name).increment(count as u64);
        Ok(Scored {
            blobs: done.value.map_err(NotScored::Engine)?,
            queue: done.waited,
            key: waited_for_key,
            score: done.ran,
        })
    }
}
