//! State of a connection: whether its client reads, and how much may be read from it.

use futures_util::task::AtomicWaker;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::Waker,
    time::{Duration, Instant},
};

/// Bytes of a body to read ahead of its handler: a whole TLS record, since a part of one can't be
/// decrypted.
const AHEAD: usize = (16 << 10) + 512;

/// State of a connection: whether its client reads, and how much the server wants to read from it.
///
/// Shared by the stream, the requests on the connection, and the rooms where those hold places.
pub(super) struct Watch {
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
    /// Whether the end of the last request's body is still unread.
    unread: AtomicBool,
    /// Upper bound on the bytes of that body still to come; 0 if its length isn't known.
    to_come: AtomicUsize,
}

/// Length of a request's body, from its headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// The request has no body.
    Nothing,
    /// The body has this many bytes.
    Bytes(usize),
    /// The length isn't known.
    Unknown,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self {
            started: Instant::now(),
            blocked: AtomicU64::new(0),
            given_up: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            begun: AtomicU64::new(0),
            busy: AtomicUsize::new(0),
            idle: AtomicU64::new(0),
            wanted: AtomicUsize::new(0),
            unread: AtomicBool::new(false),
            to_come: AtomicUsize::new(0),
        }
    }

    /// Returns how long the client hasn't read the data waiting for it, or `None` if none is
    /// waiting.
    pub(super) fn blocked_for(&self) -> Option<Duration> {
        let since = self.blocked.load(Ordering::Relaxed).checked_sub(1)?;
        Some(
            self.started
                .elapsed()
                .saturating_sub(Duration::from_millis(since)),
        )
    }

    /// Closes the connection, whatever it still has to send.
    pub(super) fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
        self.waker.wake();
    }

    /// Returns whether [`Self::give_up`] was called. Registers `waker` for changes to that, and to
    /// what may be read.
    pub(super) fn has_given_up(&self, waker: &Waker) -> bool {
        self.waker.register(waker);
        self.given_up.load(Ordering::Relaxed)
    }

    /// Returns the number of requests whose headers have arrived.
    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// Returns since when no request has been in progress, or `None` while one is.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        if self.busy.load(Ordering::Relaxed) > 0 {
            return None;
        }
        Some(self.started + Duration::from_millis(self.idle.load(Ordering::Relaxed)))
    }

    /// Checks whether arriving bytes are wanted. Request headers are, and a body whose handler
    /// waits for it, but nothing from a client that doesn't read its responses.
    pub(super) fn wants_bytes(&self) -> bool {
        let wanted = self.busy.load(Ordering::Relaxed) == 0 || self.wanted.load(Ordering::Relaxed) > 0;
        wanted && self.blocked.load(Ordering::Relaxed) == 0
    }

    /// Records bytes that were read.
    pub(super) fn read(&self, bytes: usize) {
        let less = |count: usize| Some(count.saturating_sub(bytes));
        for counted in [&self.wanted, &self.to_come] {
            let _ = counted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        }
    }

    /// Returns the bytes still to come that can't belong to another request, except for as many as
    /// came with the headers of this one.
    pub(super) fn body_to_come(&self) -> usize {
        self.to_come.load(Ordering::Relaxed)
    }

    /// Records that a handler waits for more of its request's body.
    pub(super) fn want_more(&self) {
        // A task that already waits for the network needs no waking.
        if self.wanted.swap(AHEAD, Ordering::Relaxed) == 0 {
            self.waker.wake();
        }
    }

    /// Records that the handler has read all of its request's body.
    pub(super) fn has_read_all(&self) {
        self.wanted.store(0, Ordering::Relaxed);
        self.to_come.store(0, Ordering::Relaxed);
        self.unread.store(false, Ordering::Relaxed);
    }

    /// Returns whether arriving bytes belong to the body of a request that was answered before it
    /// was read to the end.
    pub(super) fn is_discarding(&self) -> bool {
        self.unread.load(Ordering::Relaxed) && self.busy.load(Ordering::Relaxed) == 0
    }

    /// Records that writing blocks.
    pub(super) fn block(&self) {
        let now = self.milliseconds() + 1;
        // Only the first call counts.
        let _ = self
            .blocked
            .compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Records that the client has read something, but not all.
    pub(super) fn moved(&self) {
        self.blocked.store(self.milliseconds() + 1, Ordering::Relaxed);
    }

    /// Records that the client has read everything.
    pub(super) fn unblock(&self) {
        self.blocked.store(0, Ordering::Relaxed);
    }

    fn milliseconds(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }
}

/// A request in progress, until its response has been written.
pub(super) struct InProgress(Arc<Watch>);

impl InProgress {
    /// Begins a request with a body of the expected length.
    pub(super) fn begin(watch: &Arc<Watch>, body: Expected) -> Self {
        watch.wanted.store(0, Ordering::Relaxed);
        watch.unread.store(body != Expected::Nothing, Ordering::Relaxed);
        let to_come = match body {
            Expected::Bytes(count) => count,
            Expected::Nothing | Expected::Unknown => 0,
        };
        watch.to_come.store(to_come, Ordering::Relaxed);
        watch.begun.fetch_add(1, Ordering::Relaxed);
        watch.busy.fetch_add(1, Ordering::Relaxed);
        Self(watch.clone())
    }

    /// Returns the state of the request's connection.
    pub(super) fn watch(&self) -> &Watch {
        &self.0
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.idle.store(self.0.milliseconds(), Ordering::Relaxed);
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
        // The next request's headers may be read now.
        self.0.waker.wake();
    }
}

/// Connections that hold memory for clients that have stalled: they don't read what was written, or
/// stopped in the middle of long headers.
///
/// Their number is limited; one more makes the connection that stalled longest close.
pub(super) struct Stalled {
    most: usize,
    held: Mutex<Tickets>,
}

#[derive(Default)]
struct Tickets {
    next: u64,
    by_age: BTreeMap<u64, Arc<Watch>>,
}

/// A connection's place among the [`Stalled`] ones, until dropped.
pub(super) struct Ticket {
    stalled: Arc<Stalled>,
    number: u64,
}

impl Stalled {
    /// Allows up to `most` connections.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            held: Mutex::default(),
        })
    }

    /// Adds a connection as the youngest, replacing its former ticket.
    pub(super) fn enter(self: &Arc<Self>, watch: &Arc<Watch>, former: Option<Ticket>) -> Ticket {
        drop(former);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.by_age.len() >= self.most
            && let Some((_, oldest)) = held.by_age.pop_first()
        {
            oldest.give_up();
        }
        let number = held.next;
        held.next += 1;
        held.by_age.insert(number, watch.clone());
        Ticket {
            stalled: self.clone(),
            number,
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut held = self.stalled.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.by_age.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch() -> Arc<Watch> {
        Arc::new(Watch::new())
    }

    #[test]
    fn what_is_read_of_a_body_is_what_its_handler_wants() {
        let watch = watch();
        assert!(watch.wants_bytes());
        let request = InProgress::begin(&watch, Expected::Bytes(50_000));
        assert!(!watch.wants_bytes());
        watch.want_more();
        watch.read(AHEAD - 1);
        assert!(watch.wants_bytes());
        watch.read(100);
        assert!(!watch.wants_bytes());
        assert_eq!(watch.body_to_come(), 50_000 - AHEAD - 99);
        watch.want_more();
        watch.has_read_all();
        assert!(!watch.wants_bytes());
        drop(request);
        assert!(watch.wants_bytes() && !watch.is_discarding());
        watch.block();
        assert!(!watch.wants_bytes());
        watch.moved();
        assert!(!watch.wants_bytes());
        watch.unblock();
        assert!(watch.wants_bytes());
        drop(InProgress::begin(&watch, Expected::Unknown));
        assert!(watch.wants_bytes() && watch.is_discarding());
        drop(InProgress::begin(&watch, Expected::Nothing));
        assert!(!watch.is_discarding());
        assert_eq!(watch.begun(), 3);
    }

    #[test]
    fn the_oldest_of_too_many_stalled_connections_is_let_go() {
        let stalled = Stalled::new(2);
        let given_up = |watch: &Watch| watch.has_given_up(Waker::noop());
        let all = [watch(), watch(), watch(), watch()];
        let first = stalled.enter(&all[0], None);
        let second = stalled.enter(&all[1], None);
        // The first connection has moved, and is the youngest now.
        let first = stalled.enter(&all[0], Some(first));
        let third = stalled.enter(&all[2], None);
        assert_eq!(
            all.each_ref().map(|one| given_up(one)),
            [false, true, false, false]
        );
        // This ticket was already void.
        drop(second);
        drop(third);
        let _fourth = stalled.enter(&all[3], None);
        assert_eq!(
            all.each_ref().map(|one| given_up(one)),
            [false, true, false, false]
        );
        drop(first);
    }
}
