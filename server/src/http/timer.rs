//! Timer that a stream can poll.

use std::{
    future::Future,
    pin::Pin,
    task::Context,
    time::{Duration, Instant},
};
use tokio::time::Sleep;

/// Wakes a task at a time that may change between polls.
pub(super) struct Timer(Pin<Box<Sleep>>);

impl Timer {
    pub(super) fn new() -> Self {
        Self(Box::pin(tokio::time::sleep(Duration::ZERO)))
    }

    /// Checks whether a time has come; if not, the task will be woken then.
    pub(super) fn has_come(&mut self, time: Instant, context: &mut Context<'_>) -> bool {
        let time = tokio::time::Instant::from_std(time);
        if self.0.deadline() != time {
            self.0.as_mut().reset(time);
        }
        self.0.as_mut().poll(context).is_ready()
    }
}
