//! Timer that a stream can poll.

use std::{
    future::Future,
    pin::Pin,
    task::Context,
    time::{Duration, Instant},
};
use tokio::time::Sleep;

/// Wakes a task at a time that may change between polls.
pub(crate) struct Timer(Pin<Box<Sleep>>);

impl Timer {
    pub(crate) fn new() -> Self {
        Self(Box::pin(tokio::time::sleep(Duration::ZERO)))
    }

    /// Checks whether a time has come; if not, the task will be woken then, or earlier: a time that
    /// is put off, as it is with each request, doesn't cost a new registration.
    pub(crate) fn has_come(&mut self, time: Instant, context: &mut Context<'_>) -> bool {
        let time = tokio::time::Instant::from_std(time);
        if self.0.deadline() > time {
            self.0.as_mut().reset(time);
        }
        while self.0.as_mut().poll(context).is_ready() {
            if self.0.deadline() >= time {
                return true;
            }
            self.0.as_mut().reset(time);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::poll_fn;
    use std::task::Poll;

    /// Waits until a time has come, and returns how long that took and how often it was woken.
    async fn wait(timer: &mut Timer, time: Instant) -> (Duration, usize) {
        let (started, mut polls) = (tokio::time::Instant::now(), 0);
        poll_fn(|context| {
            polls += 1;
            match timer.has_come(time, context) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
        (started.elapsed(), polls)
    }

    #[tokio::test(start_paused = true)]
    async fn a_time_may_be_put_off_or_moved_forward() {
        let now = || tokio::time::Instant::now().into_std();
        let mut timer = Timer::new();
        let second = Duration::from_secs(1);
        assert_eq!(wait(&mut timer, now() + second).await.0, second);
        let mut context = Context::from_waker(std::task::Waker::noop());
        assert!(!timer.has_come(now() + second, &mut context));
        // Woken at the earlier time, and once more.
        assert_eq!(wait(&mut timer, now() + 3 * second).await, (3 * second, 3));
        assert!(!timer.has_come(now() + 9 * second, &mut context));
        assert_eq!(wait(&mut timer, now() + second).await.0, second);
        assert!(timer.has_come(now(), &mut context));
    }
}
