//! Scoring threads and the bounded queue in front of them.

use super::estimate::Estimate;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Narrow work items handed out per thread: one runs, one is ready when it ends.
const ITEMS_PER_THREAD: usize = 2;
/// Nice value of scoring threads, so that HTTP threads run first.
#[cfg(target_os = "linux")]
const NICE_VALUE: i32 = 5;

/// Why submitted work produced no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotRun {
    /// The work panicked.
    #[error("a scoring thread panicked")]
    Panicked,
    /// The server is stopping.
    #[error("the scoring threads have stopped")]
    Stopped,
    /// The key needs more memory than can be counted.
    #[error("the key needs more memory than there is")]
    TooLarge,
    /// Its turn didn't come before the deadline.
    #[error("the work waited too long for its turn")]
    Late,
}

/// The queue has no room; there may be some after this time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueFull {
    /// Estimated time until the same work is admitted.
    pub(crate) retry_after: Duration,
}

/// Number of threads that a work item can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    /// One thread; other items run beside it.
    One,
    /// All threads, exclusively: otherwise threads waiting for a part of this item would start
    /// another.
    All,
}

/// Places in the queue and their expected cost, both returned on drop.
#[derive(Debug)]
pub(crate) struct Admission {
    _places: OwnedSemaphorePermit,
    ahead: Arc<AtomicU64>,
    cost: u64,
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.ahead.fetch_sub(self.cost, Ordering::Relaxed);
    }
}

/// Result of a work item, with its timing.
#[derive(Debug)]
pub(crate) struct Done<T> {
    /// Return value of the work.
    pub(crate) value: T,
    /// When it left the queue.
    pub(crate) began: Instant,
    /// Time spent in the queue.
    pub(crate) waited: Duration,
    /// Running time.
    pub(crate) ran: Duration,
}

/// Threads that compute on ciphertexts, separate from the HTTP threads, with a bounded queue.
///
/// Work runs in order of arrival. Work whose caller disconnects before its turn leaves the queue.
#[derive(Debug)]
pub(crate) struct ScoringPool {
    threads: rayon::ThreadPool,
    turns: Arc<Semaphore>,
    places: Arc<Semaphore>,
    queue: usize,
    /// Nanoseconds that the whole pool needs for all admitted work.
    ahead: Arc<AtomicU64>,
    /// Longest expected time that the queue may take.
    longest: Duration,
}

impl ScoringPool {
    /// Creates a pool of `threads` threads, with room for `queue` queries that take at most
    /// `longest` together; both count running ones.
    pub(crate) fn new(
        threads: usize,
        queue: usize,
        longest: Duration,
    ) -> Result<Self, rayon::ThreadPoolBuildError> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("score-{index}"))
            .start_handler(|_| yield_to_others())
            // A panic fails one request; without the handler it would end the process.
            .panic_handler(|_| tracing::error!("a scoring thread panicked"))
            .build()?;
        Ok(Self {
            threads: pool,
            turns: Arc::new(Semaphore::new(threads * ITEMS_PER_THREAD)),
            places: Arc::new(Semaphore::new(queue)),
            queue,
            ahead: Arc::default(),
            longest,
        })
    }

    /// Returns the number of queries admitted and not yet answered.
    pub(crate) fn queued(&self) -> usize {
        self.queue - self.places.available_permits()
    }

    /// Returns the time that all admitted work will take.
    pub(crate) fn ahead(&self) -> Duration {
        Duration::from_nanos(self.ahead.load(Ordering::Relaxed))
    }

    /// Reserves places for all of `queries` queries, which will take the pool `cost`, or fails.
    pub(crate) fn admit(&self, queries: usize, cost: Duration) -> Result<Admission, QueueFull> {
        let ahead = self.ahead();
        // Too long a batch is still accepted by an idle pool.
        if !ahead.is_zero() && ahead + cost > self.longest {
            return Err(QueueFull {
                retry_after: ahead + cost - self.longest,
            });
        }
        let full = QueueFull {
            retry_after: ahead.mul_f64(queries as f64 / self.queue as f64),
        };
        let count = u32::try_from(queries).map_err(|_| full)?;
        let places = self.places.clone().try_acquire_many_owned(count);
        let cost = u64::try_from(cost.as_nanos()).unwrap_or(u64::MAX / 2);
        let admission = places.map_err(|_| full)?;
        self.ahead.fetch_add(cost, Ordering::Relaxed);
        Ok(Admission {
            _places: admission,
            ahead: self.ahead.clone(),
            cost,
        })
    }

    /// Runs `work` when its turn comes, or fails if that is later than `deadline`.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        width: Width,
        deadline: Instant,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Done<T>, NotRun> {
        let queued = Instant::now();
        let turns = match width {
            Width::One => 1,
            Width::All => {
                u32::try_from(self.threads.current_num_threads() * ITEMS_PER_THREAD).unwrap_or(u32::MAX)
            }
        };
        let turn = self.turns.clone().acquire_many_owned(turns);
        let turn = match tokio::time::timeout_at(deadline.into(), turn).await {
            Ok(Ok(turn)) => turn,
            Ok(Err(_)) => return Err(NotRun::Stopped),
            Err(_) => return Err(NotRun::Late),
        };
        let (answer, result) = oneshot::channel();
        self.threads.spawn_fifo(move || {
            let _turn = turn;
            if answer.is_closed() {
                return;
            }
            let began = Instant::now();
            let done = Done {
                value: work(),
                began,
                waited: began - queued,
                ran: began.elapsed(),
            };
            // Fails if the caller disconnected; then nobody needs the result.
            let _ = answer.send(done);
        });
        result.await.map_err(|_| NotRun::Panicked)
    }

    /// Updates `estimate` with the pool time per piece of finished work.
    pub(crate) fn learn(&self, estimate: &Estimate, width: Width, ran: Duration, pieces: usize) {
        let threads = match width {
            Width::One => self.threads.current_num_threads(),
            Width::All => 1,
        };
        let pieces = u32::try_from(pieces.max(1) * threads).unwrap_or(u32::MAX);
        estimate.learn(ran / pieces);
    }
}

/// Lowers the thread's priority, so that refusing a request doesn't wait for a core while all of
/// them score.
fn yield_to_others() {
    #[cfg(target_os = "linux")]
    {
        use rustix::{process::setpriority_process, thread::gettid};
        // Linux has a priority per thread.
        if let Err(error) = setpriority_process(Some(gettid()), NICE_VALUE) {
            tracing::warn!(%error, "the priority of a scoring thread can't be set");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Duration = Duration::ZERO;

    fn pool(threads: usize, queue: usize) -> ScoringPool {
        ScoringPool::new(threads, queue, Duration::from_secs(10)).unwrap()
    }

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(600)
    }

    #[actix_web::test]
    async fn admits_as_many_queries_as_it_holds() {
        let pool = pool(1, 3);
        let two = pool.admit(2, NOTHING).unwrap();
        assert!(pool.admit(2, NOTHING).is_err());
        let one = pool.admit(1, NOTHING).unwrap();
        assert!(pool.admit(1, NOTHING).is_err());
        drop((one, two));
        assert!(pool.admit(3, NOTHING).is_ok());
        assert!(pool.admit(4, NOTHING).is_err());
    }

    #[actix_web::test]
    async fn admits_as_much_work_as_is_done_in_time_and_says_when_there_is_room() {
        let pool = pool(1, 100);
        let long = pool.admit(1, Duration::from_secs(60)).unwrap();
        drop(long);
        let most = pool.admit(1, Duration::from_secs(8)).unwrap();
        let refused = pool.admit(1, Duration::from_secs(5)).unwrap_err();
        assert_eq!(refused.retry_after.as_secs(), 3);
        assert!(pool.admit(1, Duration::from_secs(2)).is_ok());
        drop(most);
        assert_eq!((pool.ahead(), pool.queued()), (NOTHING, 0));
    }

    #[actix_web::test]
    async fn survives_a_panic() {
        let pool = pool(1, 1);
        for width in [Width::One, Width::All] {
            let lost = pool.run(width, later(), || -> () { panic!("as the test wants") });
            assert!(matches!(lost.await, Err(NotRun::Panicked)));
        }
        assert_eq!(pool.run(Width::All, later(), || 7).await.unwrap().value, 7);
    }

    #[actix_web::test]
    async fn skips_work_no_one_waits_for_or_that_is_too_late() {
        let pool = pool(1, 1);
        let (release, blocked) = std::sync::mpsc::channel::<()>();
        let (ran, seen) = std::sync::mpsc::channel();
        let busy = pool.run(Width::All, later(), move || blocked.recv().is_ok());
        let skipped = pool.run(Width::One, later(), {
            let ran = ran.clone();
            move || ran.send(()).is_ok()
        });
        // One poll queues the work; then the caller disconnects.
        let mut busy = Box::pin(busy);
        assert!(futures_util::poll!(&mut busy).is_pending());
        assert!(futures_util::poll!(Box::pin(skipped)).is_pending());
        let late = pool.run(Width::One, Instant::now(), move || ran.send(()).is_ok());
        assert!(matches!(late.await, Err(NotRun::Late)));
        release.send(()).unwrap();
        assert!(busy.await.unwrap().value);
        pool.run(Width::One, later(), || ()).await.unwrap();
        assert!(seen.try_recv().is_err());
    }
}
