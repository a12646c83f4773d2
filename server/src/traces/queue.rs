//! The queue in front of the collector, which is bounded: a request never waits for its traces.

use super::losses::{Loss, Losses};
use opentelemetry::Context;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

/// Spans that may wait. One has about a kilobyte.
const QUEUE_SPANS: usize = 4096;
/// Approximate number of spans in a batch.
const BATCH_SPANS: usize = 512;
/// Longest wait for a batch to fill.
const DELAY: Duration = Duration::from_secs(2);

/// Account of the spans that wait or are being sent.
#[derive(Debug, Default)]
pub(super) struct Queue {
    len: AtomicUsize,
    closed: AtomicBool,
}

impl Queue {
    /// Returns the number of spans that wait or are being sent.
    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Makes room where `spans` spans were.
    pub(super) fn leave(&self, spans: usize) {
        self.len.fetch_sub(spans, Ordering::Relaxed);
    }

    /// Marks the process as stopping: failed sends are no longer retried.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// Checks whether the process is stopping.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Returns whether there was room for one more span.
    fn enter(&self) -> bool {
        let room = self
            .len
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |len| {
                (len < QUEUE_SPANS).then_some(len + 1)
            });
        room.is_ok()
    }
}

/// Passes ended spans on to the thread that sends them, as long as there is room. The library's
/// processor would drop the others, too, but it counts them for itself only.
#[derive(Debug)]
struct Bounded<P> {
    next: P,
    queue: Arc<Queue>,
    losses: Arc<Losses>,
}

/// Returns a processor that passes ended spans to `exporter`, which tells `queue` what has left.
pub(super) fn bounded(
    exporter: impl SpanExporter + 'static,
    queue: Arc<Queue>,
    losses: Arc<Losses>,
) -> impl SpanProcessor + 'static {
    let config = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE_SPANS)
        .with_max_export_batch_size(BATCH_SPANS)
        .with_scheduled_delay(DELAY)
        .build();
    Bounded {
        next: BatchSpanProcessor::new(exporter, config),
        queue,
        losses,
    }
}

impl<P: SpanProcessor> SpanProcessor for Bounded<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.next.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.queue.enter() {
            self.next.on_end(span);
        } else {
            self.losses.add(1, &Loss::QueueFull);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.next.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.next.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.next.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_takes_no_more_until_some_have_left() {
        let queue = Queue::default();
        assert_eq!(
            (0..QUEUE_SPANS + 10).filter(|_| queue.enter()).count(),
            QUEUE_SPANS
        );
        assert_eq!(queue.len(), QUEUE_SPANS);
        queue.leave(3);
        assert_eq!((0..10).filter(|_| queue.enter()).count(), 3);
    }
}
