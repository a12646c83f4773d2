//! Spans that never reach the collector: counted, and mentioned in the log now and then.

use crate::telemetry;
use metrics::counter;
use reqwest::StatusCode;
use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Shortest time between two lines of the log.
const SILENCE: Duration = Duration::from_secs(60);

/// Why spans are lost.
#[derive(Debug, thiserror::Error)]
pub(super) enum Loss {
    /// More spans end than are sent.
    #[error("the queue is full: spans end faster than the collector takes them")]
    QueueFull,
    /// The collector gave no answer in time.
    #[error("the collector doesn't answer")]
    Silent,
    /// There was no connection, or it broke.
    #[error("the collector can't be reached: {0}")]
    Unreachable(String),
    /// The collector answered with an error.
    #[error("the collector answers {0}")]
    Refused(StatusCode),
    /// The collector took some spans only, and said why.
    #[error("the collector rejected some spans: {0}")]
    Rejected(String),
    /// The process ends.
    #[error("the server stopped before the collector had taken them")]
    Stopped,
}

impl Loss {
    /// Value of the metric's label `kind`.
    fn kind(&self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Silent | Self::Unreachable(_) => "unreachable",
            Self::Refused(_) | Self::Rejected(_) => "refused",
            Self::Stopped => "stopped",
        }
    }
}

/// Account of lost spans.
#[derive(Debug, Default)]
pub(super) struct Losses(Mutex<Unsaid>);

/// What the log hasn't mentioned yet.
#[derive(Debug, Default)]
struct Unsaid {
    spans: usize,
    cause: String,
    said: Option<Instant>,
}

impl Losses {
    /// Counts lost spans. Writes to the log unless it has done so just before.
    pub(super) fn add(&self, spans: usize, loss: &Loss) {
        if spans == 0 {
            return;
        }
        counter!(telemetry::LOST_SPANS, "kind" => loss.kind()).increment(spans as u64);
        let line = self.with(|unsaid| unsaid.add(spans, loss, Instant::now()));
        say(line);
    }

    /// Writes to the log what it hasn't mentioned yet.
    pub(super) fn report(&self) {
        say(self.with(Unsaid::take));
    }

    fn with<T>(&self, change: impl FnOnce(&mut Unsaid) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Unsaid {
    /// Returns the number to mention and the last cause, if it is time to.
    fn add(&mut self, spans: usize, loss: &Loss, now: Instant) -> Option<(usize, String)> {
        self.spans += spans;
        let due = self.said.is_none_or(|said| now.duration_since(said) >= SILENCE);
        // Formatted only when something else happens: a full queue loses many spans, one by one.
        if due || self.spans == spans || !matches!(loss, Loss::QueueFull) {
            self.cause = loss.to_string();
        }
        if !due {
            return None;
        }
        self.said = Some(now);
        self.take()
    }

    fn take(&mut self) -> Option<(usize, String)> {
        let spans = std::mem::take(&mut self.spans);
        (spans > 0).then(|| (spans, std::mem::take(&mut self.cause)))
    }
}

fn say(line: Option<(usize, String)>) {
    if let Some((spans, cause)) = line {
        tracing::warn!(spans, cause, "spans of traces were lost");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_mentions_losses_once_a_minute_and_forgets_none() {
        let mut unsaid = Unsaid::default();
        let begin = Instant::now();
        let later = |seconds| begin + Duration::from_secs(seconds);
        let first = unsaid.add(3, &Loss::Silent, begin);
        assert_eq!(first, Some((3, Loss::Silent.to_string())));
        assert_eq!(unsaid.add(1, &Loss::QueueFull, later(1)), None);
        assert_eq!(unsaid.add(4, &Loss::Silent, later(59)), None);
        let next = unsaid.add(1, &Loss::Refused(StatusCode::BAD_REQUEST), later(60));
        assert_eq!(
            next,
            Some((6, "the collector answers 400 Bad Request".to_owned()))
        );
        assert_eq!(unsaid.add(2, &Loss::QueueFull, later(61)), None);
        assert_eq!(unsaid.take(), Some((2, Loss::QueueFull.to_string())));
        assert_eq!(unsaid.take(), None);
    }
}
