//! State of a connection: whether its client reads, and how much may be read from it.

use super::framing::Expected;
use futures_util::task::AtomicWaker;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::Waker,
    time::{Duration, Instant},
};

/// Bytes of a body to read when its handler asks for more.
const WANTED_BYTES: usize = 16 << 10;

/// State of a connection: whether its client reads, and how much the server wants to read from it.
///
/// Shared by the stream, the requests on the connection, and the rooms where those hold places.
pub(crate) struct Watch {
    started: Instant,
    /// Milliseconds after `started` at which writing blocked, plus one; 0 while it doesn't block.
    blocked: AtomicU64,
    given_up: AtomicBool,
    /// Wakes the one task that reads, handles requests and writes.
    waker: AtomicWaker,
    /// Number of requests whose headers have arrived.
    begun: AtomicU64,
    /// Number of requests being handled.
    busy: AtomicUsize,
    /// Milliseconds after `started` at which the last of them ended.
    idle: AtomicU64,
    /// Bytes of the request's body that may be read now, because its handler asked for more.
    wanted: AtomicUsize,
    /// Length of the body of the request that began last.
    expected: Mutex<Expected>,
    /// Whether reading has stopped although there is something to read, and has to be woken.
    held_back: AtomicBool,
}

impl Watch {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            blocked: AtomicU64::new(0),
            given_up: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            begun: AtomicU64::new(0),
            busy: AtomicUsize::new(0),
            idle: AtomicU64::new(0),
            wanted: AtomicUsize::new(0),
            expected: Mutex::default(),
            held_back: AtomicBool::new(false),
        }
    }

    /// Returns how long the client hasn't read the data waiting for it, or `None` if none is
    /// waiting.
    pub(crate) fn blocked_for(&self) -> Option<Duration> {
        let since = self.blocked.load(Ordering::Relaxed).checked_sub(1)?;
        Some(
            self.started
                .elapsed()
                .saturating_sub(Duration::from_millis(since)),
        )
    }

    /// Closes the connection, whatever it still has to send.
    pub(crate) fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
        self.waker.wake();
    }

    /// Registers the waker of the connection's task, for changes to what the methods of this type
    /// return.
    pub(crate) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Returns whether [`Self::give_up`] was called.
    pub(crate) fn has_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    /// Returns the number of requests whose headers have arrived.
    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// Returns since when no request has been in progress, or `None` while one is.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        if self.busy.load(Ordering::Relaxed) > 0 {
            return None;
        }
        Some(self.started + Duration::from_millis(self.idle.load(Ordering::Relaxed)))
    }

    /// Returns the length of the body of the request that began last.
    pub(crate) fn expected(&self) -> Expected {
        *self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how many bytes of the request's body its handler wants now.
    pub(crate) fn wanted(&self) -> usize {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Records that bytes of the body were handed on.
    pub(crate) fn handed_on(&self, bytes: usize) {
        let less = |count: usize| Some(count.saturating_sub(bytes));
        let _ = self
            .wanted
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Records that a handler waits for more of its request's body.
    pub(crate) fn want_more(&self) {
        self.wanted.store(WANTED_BYTES, Ordering::Relaxed);
        self.resume();
    }

    /// Records that reading stops although there is something to read, or there may be.
    pub(crate) fn hold_back(&self) {
        self.held_back.store(true, Ordering::Relaxed);
    }

    /// Goes on reading, if it was held back: a task that waits for the network needs no waking.
    fn resume(&self) {
        if self.held_back.swap(false, Ordering::Relaxed) {
            self.waker.wake();
        }
    }

    /// Records that writing blocks.
    pub(crate) fn block(&self) {
        let now = self.milliseconds() + 1;
        // Only the first call counts.
        let _ = self
            .blocked
            .compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Records that the client has read something, but not all.
    pub(crate) fn moved(&self) {
        self.blocked.store(self.milliseconds() + 1, Ordering::Relaxed);
    }

    /// Records that the client has read everything.
    pub(crate) fn unblock(&self) {
        self.blocked.store(0, Ordering::Relaxed);
    }

    fn milliseconds(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }
}

/// A request in progress, until the HTTP library has all of its response.
pub(crate) struct InProgress(Arc<Watch>);

impl InProgress {
    /// Begins a request with a body of this length.
    pub(crate) fn begin(watch: &Arc<Watch>, expected: Expected) -> Self {
        watch.wanted.store(0, Ordering::Relaxed);
        *watch.expected.lock().unwrap_or_else(PoisonError::into_inner) = expected;
        watch.begun.fetch_add(1, Ordering::Relaxed);
        watch.busy.fetch_add(1, Ordering::Relaxed);
        watch.resume();
        Self(watch.clone())
    }

    /// Returns the state of the request's connection.
    pub(crate) fn watch(&self) -> &Watch {
        &self.0
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.idle.store(self.0.milliseconds(), Ordering::Relaxed);
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
        // The next request's headers may be read now.
        self.0.resume();
    }
}

/// Connections that hold memory for clients that have stalled: they don't read what was written, or
/// stopped in the middle of long headers.
///
/// Their number is limited; one more makes the connection that stalled longest close.
pub(crate) struct Stalled {
    most: usize,
    held: Mutex<Tickets>,
}

#[derive(Default)]
struct Tickets {
    next: u64,
    by_age: BTreeMap<u64, Arc<Watch>>,
}

/// A connection's place among the [`Stalled`] ones, until dropped.
pub(crate) struct Ticket {
    stalled: Arc<Stalled>,
    number: u64,
}

impl Stalled {
    /// Allows up to `most` connections.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            held: Mutex::default(),
        })
    }

    /// Adds a connection as the youngest.
    pub(crate) fn enter(self: &Arc<Self>, watch: &Arc<Watch>) -> Ticket {
        Ticket {
            number: self.lock().add(self.most, watch),
            stalled: self.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Tickets> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tickets {
    fn add(&mut self, most: usize, watch: &Arc<Watch>) -> u64 {
        if self.by_age.len() >= most
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            oldest.give_up();
        }
        let number = self.next;
        self.next += 1;
        self.by_age.insert(number, watch.clone());
        number
    }
}

impl Ticket {
    /// Makes the connection the youngest again.
    pub(crate) fn renew(&mut self, watch: &Arc<Watch>) {
        let mut held = self.stalled.lock();
        held.by_age.remove(&self.number);
        self.number = held.add(self.stalled.most, watch);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.stalled.lock().by_age.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch() -> Arc<Watch> {
        Arc::new(Watch::new())
    }

    #[test]
    fn a_handler_wants_bytes_of_its_own_request_only() {
        let watch = watch();
        let request = InProgress::begin(&watch, Expected::Bytes(50_000));
        assert_eq!((watch.wanted(), watch.begun()), (0, 1));
        assert!(watch.idle_since().is_none());
        watch.want_more();
        watch.handed_on(WANTED_BYTES - 1);
        assert_eq!(watch.wanted(), 1);
        watch.handed_on(100);
        assert_eq!(watch.wanted(), 0);
        watch.want_more();
        drop(request);
        assert!(watch.idle_since().is_some());
        drop(InProgress::begin(&watch, Expected::Nothing));
        assert_eq!((watch.wanted(), watch.expected()), (0, Expected::Nothing));
    }

    #[test]
    fn the_oldest_of_too_many_stalled_connections_is_let_go() {
        let stalled = Stalled::new(2);
        let all = [watch(), watch(), watch(), watch()];
        let given_up = || all.each_ref().map(|watch| watch.has_given_up());
        let mut first = stalled.enter(&all[0]);
        let second = stalled.enter(&all[1]);
        first.renew(&all[0]);
        let third = stalled.enter(&all[2]);
        assert_eq!(given_up(), [false, true, false, false]);
        // This ticket was already void.
        drop((second, third));
        let _fourth = stalled.enter(&all[3]);
        first.renew(&all[0]);
        assert_eq!(given_up(), [false, true, false, false]);
    }
}
