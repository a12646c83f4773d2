//! TCP stream that limits reads to what is wanted, and fails when the client stalls.

use super::{
    connection::Patience,
    pace::Pace,
    watch::{Stalled, Ticket, Watch},
};
use actix_web::rt::net::TcpStream;
use std::{
    future::Future,
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

/// Time that the HTTP library has to respond to a late request, before the connection is closed
/// without a response.
const ANSWERED: Duration = Duration::from_secs(3);
/// Most bytes that the HTTP library gets at a time, besides those of a body. It parses all of them
/// at once, and they may become fifty requests, which hold some 3 kB each while they wait.
const TURN: usize = 2 << 10;
/// Most bytes of a body that the library gets at a time.
const BODY_TURN: usize = 16 << 10;
/// Size of request headers that may be held in memory without a ticket.
const SHORT_HEAD: usize = 8 << 10;
/// Approximate size limit of request headers: the HTTP library parses them from the start with
/// every piece, and would hold 128 KiB of them.
const LONGEST_HEAD: usize = 32 << 10;
/// Bytes written before other connections get their turn.
const WRITTEN: usize = 256 << 10;
/// Unwanted bytes that are read anyway, since the end of the connection may follow: TLS closes with
/// 24 bytes.
const SURPLUS: usize = 512;

/// TCP stream that fails when the client doesn't read, or stalls within the headers of a request.
pub(super) struct Watched {
    tcp: TcpStream,
    watch: Arc<Watch>,
    stalled: Arc<Stalled>,
    patience: Patience,
    /// Reading speed of the client, while a write waits for it.
    waiting: Option<Waiting>,
    /// Request headers that are arriving.
    head: Option<Head>,
    reading: Timer,
    /// Bytes read since the HTTP library last parsed its input.
    turn: usize,
    /// Bytes written since other connections last got their turn.
    written: usize,
    unwanted: Unwanted,
}

struct Waiting {
    pace: Pace,
    timer: Timer,
    ticket: Option<Ticket>,
}

struct Head {
    since: Instant,
    /// Number of requests that had begun before it.
    after: u64,
    bytes: usize,
    /// Ticket for headers longer than `SHORT_HEAD`.
    ticket: Option<Ticket>,
}

/// Unwanted bytes that were read since this many requests had begun.
#[derive(Default)]
struct Unwanted {
    after: u64,
    bytes: usize,
}

/// A resettable timer.
struct Timer(Pin<Box<Sleep>>);

impl Timer {
    fn new() -> Self {
        Self(Box::pin(tokio::time::sleep(Duration::ZERO)))
    }

    /// Checks whether `time` has come; if not, wakes the task then.
    fn has_come(&mut self, time: Instant, context: &mut Context<'_>) -> bool {
        let time = tokio::time::Instant::from_std(time);
        if self.0.deadline() != time {
            self.0.as_mut().reset(time);
        }
        self.0.as_mut().poll(context).is_ready()
    }
}

impl Watched {
    pub(super) fn new(tcp: TcpStream, patience: Patience, stalled: Arc<Stalled>) -> Self {
        // Answers are short or written in large pieces, so Nagle's algorithm gains nothing.
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY can't be set");
        }
        Self {
            tcp,
            watch: Arc::new(Watch::new()),
            stalled,
            patience,
            waiting: None,
            head: None,
            reading: Timer::new(),
            turn: 0,
            written: 0,
            unwanted: Unwanted::default(),
        }
    }

    /// Returns the shared state of this connection.
    pub(super) fn watch(&self) -> &Arc<Watch> {
        &self.watch
    }

    /// Records the result of a read. Returns whether request headers are too long or late, or the
    /// connection was idle for too long.
    ///
    /// The HTTP library times out the first headers of a connection and idle connections. It
    /// responds to those, so it gets some seconds more. It doesn't time out later headers that stop
    /// half way.
    fn is_bad(&mut self, arrived: usize, pending: bool, context: &mut Context<'_>) -> bool {
        let Some(idle_since) = self.watch.idle_since() else {
            self.head = None;
            return false;
        };
        let begun = self.watch.begun();
        if self.head.as_ref().is_some_and(|head| head.after != begun) {
            self.head = None;
        }
        if arrived > 0 && !self.watch.is_discarding() {
            let head = self.head.get_or_insert_with(|| Head {
                since: Instant::now(),
                after: begun,
                bytes: 0,
                ticket: None,
            });
            head.bytes += arrived;
            if head.bytes > LONGEST_HEAD {
                return true;
            }
            if head.bytes > SHORT_HEAD {
                head.ticket = Some(self.stalled.enter(&self.watch, head.ticket.take()));
            }
        }
        let allowed = match &self.head {
            Some(head) => head.since + self.patience.head,
            None => idle_since + self.patience.keep_alive,
        };
        pending && self.reading.has_come(allowed + ANSWERED, context)
    }

    /// Reads a few bytes or none, to detect whether the client has disconnected.
    fn poll_gone(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let begun = self.watch.begun();
        if self.unwanted.after != begun {
            self.unwanted = Unwanted {
                after: begun,
                bytes: 0,
            };
        }
        let allowed = SURPLUS - self.unwanted.bytes;
        if allowed > 0 {
            let read = self.read_at_most(allowed, context, buffer);
            return read.map_ok(|count| self.unwanted.bytes += count);
        }
        match self.tcp.poll_peek(context, &mut ReadBuf::new(&mut [0])) {
            Poll::Ready(Ok(0)) => Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(_)) | Poll::Pending => Poll::Pending,
        }
    }

    /// Reads at most `most` bytes, regardless of the buffer's size, and returns how many.
    fn read_at_most(
        &mut self,
        most: usize,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut bytes = [0; 8 << 10];
        let most = most.min(bytes.len()).min(buffer.remaining());
        let mut read = ReadBuf::new(&mut bytes[..most]);
        ready!(pin!(&mut self.tcp).poll_read(context, &mut read))?;
        buffer.put_slice(read.filled());
        Poll::Ready(Ok(read.filled().len()))
    }

    /// Records the result of a write.
    fn wrote(&mut self, written: Poll<usize>, context: &mut Context<'_>) -> io::Result<Poll<usize>> {
        if self.watch.has_given_up(context.waker()) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        match (written, &mut self.waiting) {
            (Poll::Ready(count), Some(waiting)) => {
                waiting.pace.moved(count);
                waiting.ticket = Some(self.stalled.enter(&self.watch, waiting.ticket.take()));
                self.watch.moved();
            }
            (Poll::Ready(_), None) => {}
            (Poll::Pending, waiting) => {
                self.watch.block();
                let waiting = waiting.get_or_insert_with(|| Waiting {
                    pace: Pace::start(),
                    timer: Timer::new(),
                    ticket: Some(self.stalled.enter(&self.watch, None)),
                });
                if waiting.timer.has_come(waiting.pace.end(), context) {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
        }
        Ok(written)
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.watch.has_given_up(context.waker()) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let turn = TURN + this.watch.body_to_come().min(BODY_TURN);
        if this.turn >= turn {
            // The HTTP library parses its input, and reads again.
            this.turn = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if !this.watch.wants_bytes() {
            return this.poll_gone(context, buffer);
        }
        let read = this.read_at_most(turn - this.turn, context, buffer);
        let arrived = match &read {
            Poll::Ready(Ok(count)) => *count,
            Poll::Ready(Err(_)) | Poll::Pending => 0,
        };
        this.turn = if read.is_pending() { 0 } else { this.turn + arrived };
        this.watch.read(arrived);
        if matches!(read, Poll::Ready(Err(_))) || !this.is_bad(arrived, read.is_pending(), context) {
            return read.map_ok(drop);
        }
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.written >= WRITTEN {
            this.written = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let written = match pin!(&mut this.tcp).poll_write(context, bytes) {
            Poll::Ready(Ok(count)) => {
                this.written += count;
                Poll::Ready(count)
            }
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => {
                this.written = 0;
                Poll::Pending
            }
        };
        match this.wrote(written, context) {
            Ok(written) => written.map(Ok),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Called when all pending data has been written.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = pin!(&mut this.tcp).poll_flush(context);
        if flushed.is_ready() && this.waiting.take().is_some() {
            this.watch.unblock();
            // Bytes that arrived in the meantime may be read now.
            context.waker().wake_by_ref();
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.get_mut().tcp).poll_shutdown(context)
    }
}
