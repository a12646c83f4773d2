//! Transfer speed of one body, and how long a slow client is waited for.

use std::time::{Duration, Instant};

/// Time that the body of a request or a response may take, on top of its length at `SLOWEST`.
const PATIENCE: Duration = Duration::from_secs(30);
/// Slowest accepted connection, in bytes per second: a network's key takes three and a half
/// minutes.
const SLOWEST: u64 = 50_000;
/// A body that falls this far behind `SLOWEST` gives way to others.
const GRACE: Duration = Duration::from_secs(5);

/// Speed at which a client sends or reads bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    started: Instant,
    bytes: u64,
    /// Time until which the bytes so far count as fast enough, at `SLOWEST`.
    paid: Instant,
}

impl Pace {
    /// Starts to measure now.
    pub(super) fn start() -> Self {
        let started = Instant::now();
        Self {
            started,
            bytes: 0,
            paid: started,
        }
    }

    /// Records bytes that were sent or received.
    pub(super) fn moved(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        // Capped: a burst must not pay for minutes of silence.
        self.paid = (self.paid + time_of(bytes as u64)).min(Instant::now() + GRACE);
    }

    /// Returns the time since the start.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Returns when patience ends if no more bytes move.
    pub(super) fn end(&self) -> Instant {
        self.started + PATIENCE + time_of(self.bytes)
    }

    /// Returns the time left until [`Self::end`].
    pub(super) fn left(&self) -> Duration {
        self.end().saturating_duration_since(Instant::now())
    }

    /// Checks whether the client is so slow that others take precedence.
    pub(super) fn is_slow(&self) -> bool {
        Instant::now() > self.paid + GRACE
    }
}

/// Returns the time that `bytes` take at `SLOWEST`.
fn time_of(bytes: u64) -> Duration {
    Duration::from_micros(bytes.saturating_mul(1_000_000) / SLOWEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_pays_for_moments_only() {
        let mut pace = Pace::start();
        pace.moved(10_000_000);
        assert!(!pace.is_slow());
        // Another upload of the same age, which sent all its bytes long ago.
        let ago = Duration::from_secs(20);
        pace.started -= ago;
        pace.paid -= ago;
        assert!(pace.is_slow() && !pace.left().is_zero());
        pace.moved(1);
        assert!(pace.is_slow(), "a byte pays for nothing");
        pace.moved(SLOWEST as usize * 30);
        assert!(!pace.is_slow());
    }
}
