//! Giving up before the end.

use crate::HttpError;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Longest time until a pause notices that it was cancelled.
const NOTICED: Duration = Duration::from_millis(100);

/// Tells a request in another thread to give up. Clones share the state.
///
/// A try that is under way ends by itself, within its time limit; no other follows.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Cancels.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Returns whether [`Cancel::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Sleeps.
    ///
    /// # Errors
    /// If it is cancelled before the time is over.
    pub(crate) fn sleep(&self, time: Duration) -> Result<(), HttpError> {
        let started = Instant::now();
        loop {
            if self.is_cancelled() {
                return Err(HttpError::of("cancelled".into()));
            }
            match time.saturating_sub(started.elapsed()) {
                Duration::ZERO => return Ok(()),
                left => thread::sleep(left.min(NOTICED)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_ends_in_time_or_when_it_is_cancelled() {
        let cancel = Cancel::default();
        let started = Instant::now();
        cancel.sleep(Duration::from_millis(20)).unwrap();
        assert!(started.elapsed() >= Duration::from_millis(20));
        let other = cancel.clone();
        let canceller = thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            other.cancel();
        });
        let error = cancel.sleep(Duration::from_secs(3600)).unwrap_err();
        assert_eq!(error.to_string(), "cancelled");
        canceller.join().unwrap();
    }
}
