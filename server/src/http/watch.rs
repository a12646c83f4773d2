//! What is known of a connection: whether its client reads, and what of its requests may be read.

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

/// Bytes of a body that are read ahead of its handler: a whole record of TLS, so that something comes of them.
const AHEAD: usize = (16 << 10) + 512;

/// Whether a connection's client reads what it is sent, and what the server wants to read of it.
///
/// The stream, the requests of the connection and the rooms where these hold places share it.
pub(super) struct Watch {
    started: Instant,
    /// Milliseconds after `started` at which there was no more room to write, plus one; 0 while there is.
    blocked: AtomicU64,
    given_up: AtomicBool,
    /// Wakes the one task that reads, answers and writes.
    waker: AtomicWaker,
    /// Requests whose heads have arrived.
    begun: AtomicU64,
    /// Requests that are answered now.
    busy: AtomicUsize,
    /// Milliseconds after `started` at which the last of them was answered.
    idle: AtomicU64,
    /// Bytes of the request's body that may be read now, since its handler asked for more.
    wanted: AtomicUsize,
    /// Whether the last request has a body whose end hasn't been read.
    unread: AtomicBool,
    /// Bytes of that body that are still to come, at most. 0 if its length isn't known.
    to_come: AtomicUsize,
}

/// The body of a request, as far as its head tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// There is none.
    Nothing,
    /// So many bytes.
    Bytes(usize),
    /// Any number of bytes.
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

    /// For how long the client hasn't read what there is for it. `None` if it has.
    pub(super) fn blocked_for(&self) -> Option<Duration> {
        let since = self.blocked.load(Ordering::Relaxed).checked_sub(1)?;
        Some(
            self.started
                .elapsed()
                .saturating_sub(Duration::from_millis(since)),
        )
    }

    /// Closes the connection, whatever it was about to send.
    pub(super) fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
        self.waker.wake();
    }

    /// Whether [`Self::give_up`] was called. The task with this waker will hear of it, and of what may be read.
    pub(super) fn has_given_up(&self, waker: &Waker) -> bool {
        self.waker.register(waker);
        self.given_up.load(Ordering::Relaxed)
    }

    /// Requests whose heads have arrived so far.
    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// Since when no request is answered; `None` while one is.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        if self.busy.load(Ordering::Relaxed) > 0 {
            return None;
        }
        Some(self.started + Duration::from_millis(self.idle.load(Ordering::Relaxed)))
    }

    /// Whether bytes that arrive are wanted: those of a head, or of a body whose handler waits for them, but nothing from a client that
    /// doesn't read its answers.
    pub(super) fn wants_bytes(&self) -> bool {
        let wanted = self.busy.load(Ordering::Relaxed) == 0 || self.wanted.load(Ordering::Relaxed) > 0;
        wanted && self.blocked.load(Ordering::Relaxed) == 0
    }

    /// Notes that bytes were read.
    pub(super) fn read(&self, bytes: usize) {
        let less = |count: usize| Some(count.saturating_sub(bytes));
        for counted in [&self.wanted, &self.to_come] {
            let _ = counted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        }
    }

    /// Bytes that don't belong to another request, but for as many as came with the head of this one.
    pub(super) fn body_to_come(&self) -> usize {
        self.to_come.load(Ordering::Relaxed)
    }

    /// A handler waits for more of its request's body.
    pub(super) fn want_more(&self) {
        // Whoever waits for the network already needs no waking.
        if self.wanted.swap(AHEAD, Ordering::Relaxed) == 0 {
            self.waker.wake();
        }
    }

    /// The handler has read all of its request's body.
    pub(super) fn has_read_all(&self) {
        self.wanted.store(0, Ordering::Relaxed);
        self.to_come.store(0, Ordering::Relaxed);
        self.unread.store(false, Ordering::Relaxed);
    }

    /// Whether what arrives belongs to the body of a request that was answered without reading it all.
    pub(super) fn is_discarding(&self) -> bool {
        self.unread.load(Ordering::Relaxed) && self.busy.load(Ordering::Relaxed) == 0
    }

    /// There is no room to write, since now if there was until now.
    pub(super) fn block(&self) {
        let now = self.milliseconds() + 1;
        // Only the first time counts.
        let _ = self
            .blocked
            .compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The client has read something, but there is more for it.
    pub(super) fn moved(&self) {
        self.blocked.store(self.milliseconds() + 1, Ordering::Relaxed);
    }

    /// The client has read all there was.
    pub(super) fn unblock(&self) {
        self.blocked.store(0, Ordering::Relaxed);
    }

    fn milliseconds(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }
}

/// A request that is being answered, until its answer has been written.
pub(super) struct InProgress(Arc<Watch>);

impl InProgress {
    /// From now on, with such a body.
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

    /// The connection.
    pub(super) fn watch(&self) -> &Watch {
        &self.0
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.idle.store(self.0.milliseconds(), Ordering::Relaxed);
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
        // Another head may be read now.
        self.0.waker.wake();
    }
}

/// Connections that hold memory for clients that don't go on: they don't read what was written, or stop in the middle of a long head.
///
/// There may be so many; for one more, whoever has held on longest is let go.
pub(super) struct Stalled {
    most: usize,
    held: Mutex<Tickets>,
}

#[derive(Default)]
struct Tickets {
    next: u64,
    by_age: BTreeMap<u64, Arc<Watch>>,
}

/// A connection among the [`Stalled`] ones, until dropped.
pub(super) struct Ticket {
    stalled: Arc<Stalled>,
    number: u64,
}

impl Stalled {
    /// Room for `most` connections.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            held: Mutex::default(),
        })
    }

    /// Enters a connection as the youngest, in exchange for the ticket it has.
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
        // It has moved, and is the youngest now.
        let first = stalled.enter(&all[0], Some(first));
        let third = stalled.enter(&all[2], None);
        assert_eq!(
            all.each_ref().map(|one| given_up(one)),
            [false, true, false, false]
        );
        // Its ticket is worth nothing any more.
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
