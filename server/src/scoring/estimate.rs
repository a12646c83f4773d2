//! Running estimate of a duration.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Weight of a new measurement against the earlier ones.
const WEIGHT: f64 = 1.0 / 8.0;

/// Exponential moving average of measured durations.
#[derive(Debug)]
pub(crate) struct Estimate(AtomicU64);

impl Estimate {
    /// Creates an estimate from an initial guess.
    pub(crate) fn new(guess: Duration) -> Self {
        Self(AtomicU64::new(guess.as_secs_f64().to_bits()))
    }

    /// Returns the expected duration.
    pub(crate) fn get(&self) -> Duration {
        Duration::from_secs_f64(self.seconds())
    }

    /// Adds a measurement. Of two concurrent ones, one may be lost.
    pub(crate) fn learn(&self, took: Duration) {
        let mean = self.seconds();
        let mean = mean + WEIGHT * (took.as_secs_f64() - mean);
        self.0.store(mean.to_bits(), Ordering::Relaxed);
    }

    fn seconds(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measurements_replace_the_guess() {
        let estimate = Estimate::new(Duration::from_secs(1));
        for _ in 0..100 {
            estimate.learn(Duration::from_millis(10));
        }
        assert!(estimate.get() > Duration::from_millis(9));
        assert!(estimate.get() < Duration::from_millis(11));
    }
}
