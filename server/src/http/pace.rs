//! Transfer speed of one body, and how long a slow client is waited for.

use blindscore_protocol::policy::transfer_time;
use std::time::{Duration, Instant};

/// Time that the body of a request or a response may take, on top of that on the slowest
/// connection.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// A body that falls this far behind the slowest connection gives way to others.
const MAX_LAG: Duration = Duration::from_secs(5);

/// Speed at which a client sends or reads bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    started: Instant,
    bytes: u64,
    /// Time until which the bytes so far count as fast enough.
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
        self.paid = (self.paid + transfer_time(bytes as u64)).min(Instant::now() + MAX_LAG);
    }

    /// Returns the time since the start.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Returns when the body is too late if no more bytes move.
    pub(super) fn end(&self) -> Instant {
        self.started + BODY_TIMEOUT + transfer_time(self.bytes)
    }

    /// Returns the time left until [`Self::end`].
    pub(super) fn left(&self) -> Duration {
        self.end().saturating_duration_since(Instant::now())
    }

    /// Checks whether the client is so slow that others take precedence.
    pub(super) fn is_slow(&self) -> bool {
        Instant::now() > self.paid + MAX_LAG
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use blindscore_protocol::policy::SLOWEST_BYTES_PER_SECOND;

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
        pace.moved(SLOWEST_BYTES_PER_SECOND as usize * 30);
        assert!(!pace.is_slow());
    }
}
