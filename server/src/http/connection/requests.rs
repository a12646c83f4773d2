//! Stream that hands the HTTP library one request at a time.
//!
//! The library parses everything it gets, and queues what it can't handle yet: some kilobytes of
//! memory for a request of twenty bytes. It also keeps what it knows of a request (whether it is a
//! HEAD, whether the connection stays open) in one place for the whole connection, so that parsing
//! the next request early would spoil the response to the one before. So it gets the headers of a
//! request only when the previous one has been answered, and of a body only what its handler asks
//! for. The rest waits in the network, but for a little that is read to see whether the client
//! disconnects.

use super::{
    framing::{Body, Headers},
    timeouts::Timeouts,
    timer::Timer,
    watch::{Stalled, Ticket, Watch},
};
use bytes::{Buf, BytesMut};
use std::{
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Time that the HTTP library has to respond to a late request, before the connection is closed
/// without a response.
const LATE_ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// Bytes read from the connection at a time.
const READ_BYTES: usize = 8 << 10;
/// Bytes read ahead while nobody wants them, to see whether the connection ends behind them.
const AHEAD_BYTES: usize = 4 << 10;
/// Size of unfinished request headers that may be held in memory without a ticket.
const SHORT_HEAD_BYTES: usize = 8 << 10;
/// Size limit of request headers. The HTTP library parses them from the start with every piece, and
/// would hold 128 KiB of them.
const MAX_HEAD_BYTES: usize = 32 << 10;

/// Requests of a connection that are handed on before other connections get their turn: a client
/// can send hundreds of them ahead.
const TURN_REQUESTS: u32 = 8;

/// Stream of requests, one at a time, over a stream of bytes.
pub(crate) struct Requests<T> {
    io: T,
    watch: Arc<Watch>,
    /// Connections with long unfinished headers.
    unfinished: Arc<Stalled>,
    timeouts: Timeouts,
    /// Bytes that were read and not handed on yet.
    ahead: BytesMut,
    /// Whether the client has closed its side.
    ended: bool,
    part: Part,
    /// Requests handed on since other connections last got their turn.
    handed_on: u32,
    /// The headers that are arriving, in [`Part::Head`].
    head: Head,
    timer: Timer,
}

/// The part of a request that comes next.
enum Part {
    /// Headers, or their rest.
    Head,
    /// Nothing, until the HTTP library has parsed the headers.
    Parsing {
        /// When it got the last byte of them.
        since: Instant,
        /// Number of requests that had begun before.
        begun: u64,
    },
    /// The body, or its rest; nothing behind it until the request has been answered.
    Body(Body),
}

/// Headers that are arriving.
#[derive(Default)]
struct Head {
    end: Headers,
    bytes: usize,
    since: Option<Instant>,
    ticket: Option<Ticket>,
}

impl<T: AsyncRead + Unpin> Requests<T> {
    pub(crate) fn new(io: T, watch: Arc<Watch>, unfinished: Arc<Stalled>, timeouts: Timeouts) -> Self {
        Self {
            io,
            watch,
            unfinished,
            timeouts,
            ahead: BytesMut::new(),
            ended: false,
            part: Part::Head,
            handed_on: 0,
            head: Head::default(),
            timer: Timer::new(),
        }
    }

    /// Returns the state of this connection.
    pub(crate) fn watch(&self) -> &Arc<Watch> {
        &self.watch
    }

    /// Reads up to `most` bytes behind those that are there. Ready with false at the end.
    fn poll_more(&mut self, most: usize, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.ended {
            return Poll::Ready(Ok(false));
        }
        let mut bytes = [0; READ_BYTES];
        let mut read = ReadBuf::new(&mut bytes[..most.min(READ_BYTES)]);
        ready!(pin!(&mut self.io).poll_read(context, &mut read))?;
        self.ahead.extend_from_slice(read.filled());
        self.ended = read.filled().is_empty();
        Poll::Ready(Ok(!self.ended))
    }

    /// Hands on `count` of the bytes that are there.
    fn hand_on(&mut self, count: usize, buffer: &mut ReadBuf<'_>) {
        buffer.put_slice(&self.ahead[..count]);
        self.ahead.advance(count);
        if self.ahead.is_empty() {
            // Idle connections hold no buffer.
            self.ahead = BytesMut::new();
        }
    }

    /// Looks whether the client has disconnected, while none of its bytes are wanted. Ready only
    /// then; not before the bytes ahead have been handed on, if they still matter.
    fn poll_disconnected(&mut self, bytes_matter: bool, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(room @ 1..) = AHEAD_BYTES.checked_sub(self.ahead.len()) {
            match self.poll_more(room, context)? {
                Poll::Ready(true) => {}
                Poll::Ready(false) => break,
                // The network wakes this task, but not for bytes that are there already.
                Poll::Pending if self.ahead.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        if self.ended && (self.ahead.is_empty() || !bytes_matter) {
            return Poll::Ready(Ok(()));
        }
        self.watch.hold_back();
        Poll::Pending
    }

    /// Hands on headers.
    fn poll_head(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let since = self.head.since;
        if since.is_none() && self.watch.blocked_for().is_some() {
            // Nothing new from a client that doesn't read.
            return self.poll_disconnected(false, context);
        }
        if self.handed_on >= TURN_REQUESTS {
            self.handed_on = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.ahead.is_empty() {
            match self.poll_more(READ_BYTES, context)? {
                Poll::Ready(true) => {}
                Poll::Ready(false) => return Poll::Ready(Ok(())),
                Poll::Pending => {
                    self.handed_on = 0;
                    let late = match (since, self.watch.idle_since()) {
                        (Some(since), _) => since + self.timeouts.head,
                        (None, Some(idle)) => idle + self.timeouts.keep_alive,
                        (None, None) => return Poll::Pending,
                    };
                    return self.poll_late(late, context);
                }
            }
        }
        let most = self.ahead.len().min(buffer.remaining());
        let head = &mut self.head;
        let (count, complete) = head.end.take(&self.ahead[..most]);
        head.bytes += count;
        if head.bytes > MAX_HEAD_BYTES {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        if head.end.has_begun() {
            head.since.get_or_insert_with(Instant::now);
        }
        if complete {
            self.handed_on += 1;
            self.head = Head::default();
            self.part = Part::Parsing {
                since: Instant::now(),
                begun: self.watch.begun(),
            };
        } else if head.bytes > SHORT_HEAD_BYTES && head.ticket.is_none() {
            head.ticket = Some(self.unfinished.enter(&self.watch));
        }
        self.hand_on(count, buffer);
        Poll::Ready(Ok(()))
    }

    /// Fails if a time and some more have passed.
    ///
    /// The HTTP library watches the first headers of a connection, to which it responds, and
    /// connections that send nothing. It leaves open later headers that stop half way.
    fn poll_late(&mut self, late: Instant, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.timer.has_come(late + LATE_ANSWER_TIMEOUT, context) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }

    /// Hands on up to `most` bytes of a body, or none if the client has disconnected.
    fn poll_body(
        &mut self,
        mut body: Body,
        most: usize,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() && !ready!(self.poll_more(most, context))? {
            return Poll::Ready(Ok(()));
        }
        let most = most.min(self.ahead.len()).min(buffer.remaining());
        let count = body.take(&self.ahead[..most]);
        self.part = Part::Body(body);
        self.watch.handed_on(count);
        self.hand_on(count, buffer);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Requests<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.watch.register(context.waker());
        if this.watch.has_given_up() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        loop {
            match this.part {
                Part::Head => return this.poll_head(context, buffer),
                Part::Parsing { begun, .. } if this.watch.begun() != begun => {
                    this.part = Part::Body(Body::new(this.watch.expected()));
                }
                Part::Parsing { since, .. } => {
                    // What is ahead may be the request's body.
                    if this.poll_disconnected(true, context)?.is_ready() {
                        return Poll::Ready(Ok(()));
                    }
                    return this.poll_late(since + this.timeouts.head, context);
                }
                Part::Body(body) => {
                    let busy = this.watch.idle_since().is_none();
                    if !busy && body.is_complete() {
                        this.part = Part::Head;
                        continue;
                    }
                    // What is left of a body behind its response is for the HTTP library to
                    // discard, before it closes the connection.
                    let wanted = if busy { this.watch.wanted() } else { READ_BYTES };
                    if wanted == 0 || body.is_complete() || !busy && body == Body::Endless {
                        return this.poll_disconnected(!body.is_complete(), context);
                    }
                    return this.poll_body(body, wanted, context, buffer);
                }
            }
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Requests<T> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        pin!(&mut self.get_mut().io).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.get_mut().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.get_mut().io).poll_shutdown(context)
    }
}
