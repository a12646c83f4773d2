use std::time::{Duration, Instant};

/// How long a body of a request or an answer may take, besides what its length takes at `SLOWEST`.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes a second of the slowest connection that is served: a network's key takes three and a half minutes.
const SLOWEST: u64 = 50_000;
/// A body that is slower than `SLOWEST` gives way to others after this.
const GRACE: Duration = Duration::from_secs(5);

/// How fast bytes come from, or go to, a client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    started: Instant,
    bytes: u64,
    /// Until when the bytes so far have paid.
    paid: Instant,
}

impl Pace {
    /// From now on.
    pub(super) fn start() -> Self {
        let started = Instant::now();
        Self {
            started,
            bytes: 0,
            paid: started,
        }
    }

    /// Some bytes have come or gone.
    pub(super) fn moved(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        // However many come at once: a burst must not pay for minutes of silence.
        self.paid = (self.paid + time_of(bytes as u64)).min(Instant::now() + GRACE);
    }

    /// How long it has been.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Until when the client is waited for, if nothing more comes or goes.
    pub(super) fn end(&self) -> Instant {
        self.started + PATIENCE + time_of(self.bytes)
    }

    /// How long the client is waited for, if nothing more comes or goes.
    pub(super) fn left(&self) -> Duration {
        self.end().saturating_duration_since(Instant::now())
    }

    /// Whether it is so slow that others come before it.
    pub(super) fn is_slow(&self) -> bool {
        Instant::now() > self.paid + GRACE
    }
}

/// What bytes take at `SLOWEST`.
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
        // Another upload that is as old but has sent all of it long ago.
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
