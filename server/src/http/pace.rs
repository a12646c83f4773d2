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
}

impl Pace {
    /// From now on.
    pub(super) fn start() -> Self {
        Self {
            started: Instant::now(),
            bytes: 0,
        }
    }

    /// Some bytes have come or gone.
    pub(super) fn moved(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// How long it has been.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// How long the client is waited for, if nothing more comes or goes.
    pub(super) fn left(&self) -> Duration {
        (PATIENCE + self.due()).saturating_sub(self.elapsed())
    }

    /// Whether it is so slow that others come before it.
    pub(super) fn is_slow(&self) -> bool {
        self.elapsed() > GRACE + self.due()
    }

    /// What the bytes so far would have taken at `SLOWEST`.
    fn due(&self) -> Duration {
        Duration::from_millis(self.bytes * 1000 / SLOWEST)
    }
}
