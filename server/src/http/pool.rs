use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// The work was dropped before it gave a result: it panicked.
#[derive(Debug, thiserror::Error)]
#[error("a scoring thread panicked")]
pub(super) struct Lost;

/// Every place in the queue is taken.
#[derive(Debug, thiserror::Error)]
#[error("the scoring queue is full")]
pub(super) struct QueueFull;

/// Places in the queue; given back on drop.
#[derive(Debug)]
pub(super) struct Admission(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

/// A result and the time it took.
#[derive(Debug)]
pub(super) struct Done<T> {
    /// What the work returned.
    pub(super) value: T,
    /// Time until a thread took it up.
    pub(super) waited: Duration,
    /// Time it ran.
    pub(super) ran: Duration,
}

/// The threads that compute on ciphertexts, apart from those that serve HTTP, and the bounded queue before them.
#[derive(Debug)]
pub(super) struct ScoringPool {
    threads: rayon::ThreadPool,
    places: Arc<Semaphore>,
}

impl ScoringPool {
    /// A pool of `threads` threads and room for `queue` queries, running ones included.
    pub(super) fn new(threads: usize, queue: usize) -> Result<Self, rayon::ThreadPoolBuildError> {
        let threads = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("score-{index}"))
            // Without this a panic would end the process; with it only the one request fails.
            .panic_handler(|_| tracing::error!("a scoring thread panicked"))
            .build()?;
        Ok(Self {
            threads,
            places: Arc::new(Semaphore::new(queue)),
        })
    }

    /// Takes places for `queries` queries, or none at all.
    pub(super) fn admit(&self, queries: usize) -> Result<Admission, QueueFull> {
        let count = u32::try_from(queries).map_err(|_| QueueFull)?;
        let permit = self.places.clone().try_acquire_many_owned(count);
        permit.map(Admission).map_err(|_| QueueFull)
    }

    /// Runs `work` on the pool, in order of arrival. If the caller has gone before a thread is free, it is skipped.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Done<T>, Lost> {
        let (answer, result) = oneshot::channel();
        let queued = Instant::now();
        self.threads.spawn_fifo(move || {
            if answer.is_closed() {
                return;
            }
            let started = Instant::now();
            let done = Done {
                value: work(),
                waited: started - queued,
                ran: started.elapsed(),
            };
            // Fails if the caller went away meanwhile; then no one needs the result.
            let _ = answer.send(done);
        });
        result.await.map_err(|_| Lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn admits_as_much_as_it_holds() {
        let pool = ScoringPool::new(1, 3).unwrap();
        let two = pool.admit(2).unwrap();
        assert!(pool.admit(2).is_err());
        let one = pool.admit(1).unwrap();
        assert!(pool.admit(1).is_err());
        drop((one, two));
        assert!(pool.admit(3).is_ok());
        assert!(pool.admit(4).is_err());
    }

    #[actix_web::test]
    async fn survives_a_panic() {
        let pool = ScoringPool::new(1, 1).unwrap();
        assert!(
            pool.run(|| panic!("as the test wants"))
                .await
                .map(|done: Done<()>| done.value)
                .is_err()
        );
        assert_eq!(pool.run(|| 7).await.unwrap().value, 7);
    }

    #[actix_web::test]
    async fn skips_work_no_one_waits_for() {
        let pool = ScoringPool::new(1, 1).unwrap();
        let (release, blocked) = std::sync::mpsc::channel::<()>();
        let (ran, seen) = std::sync::mpsc::channel();
        let busy = pool.run(move || blocked.recv().is_ok());
        let skipped = pool.run(move || ran.send(()).is_ok());
        // One poll queues the work, then the caller goes away.
        let mut busy = Box::pin(busy);
        assert!(futures_util::poll!(&mut busy).is_pending());
        assert!(futures_util::poll!(Box::pin(skipped)).is_pending());
        release.send(()).unwrap();
        assert!(busy.await.unwrap().value);
        pool.run(|| ()).await.unwrap();
        assert!(seen.try_recv().is_err());
    }
}
