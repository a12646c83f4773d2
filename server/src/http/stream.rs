//! A TCP stream that reads no more than is wanted, and fails when its other side doesn't go on.

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

/// How long the HTTP library has to say that a request is late, before the connection is closed without a word.
const ANSWERED: Duration = Duration::from_secs(3);
/// Bytes that the HTTP library gets at a time, beyond those of a body. It takes apart all that it has, so that these may become fifty requests,
/// which take some 3 kB each while they wait for their turn.
const TURN: usize = 2 << 10;
/// Bytes of a body that it gets at a time.
const BODY_TURN: usize = 16 << 10;
/// What a head may hold of memory without being counted.
const SHORT_HEAD: usize = 8 << 10;
/// The longest head, or about so: the HTTP library begins it anew with every piece, and would hold 128 KiB of it.
const LONGEST_HEAD: usize = 32 << 10;
/// Bytes that are written before other connections have their turn.
const WRITTEN: usize = 256 << 10;
/// Bytes that are read although nobody wants them, since the end of a connection may come behind them: TLS says goodbye in 24.
const SURPLUS: usize = 512;

/// A TCP stream that fails when its other side doesn't read, or doesn't go on with the head of a request.
pub(super) struct Watched {
    tcp: TcpStream,
    watch: Arc<Watch>,
    stalled: Arc<Stalled>,
    patience: Patience,
    /// How fast the client reads, while it is what writing waits for.
    waiting: Option<Waiting>,
    /// The head that is arriving.
    head: Option<Head>,
    reading: Timer,
    /// Bytes read since the HTTP library last took them apart.
    turn: usize,
    /// Bytes written since other connections last had their turn.
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
    /// Requests that had begun before it.
    after: u64,
    bytes: usize,
    /// Of a long head.
    ticket: Option<Ticket>,
}

/// Bytes read while nobody wanted them, behind this many requests.
#[derive(Default)]
struct Unwanted {
    after: u64,
    bytes: usize,
}

/// Something to wait for.
struct Timer(Pin<Box<Sleep>>);

impl Timer {
    fn new() -> Self {
        Self(Box::pin(tokio::time::sleep(Duration::ZERO)))
    }

    /// Whether a time has come; if not, the task is woken then.
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
        // Answers are short or written in large pieces: nothing is gained by waiting for more.
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

    /// What is known of this connection.
    pub(super) fn watch(&self) -> &Arc<Watch> {
        &self.watch
    }

    /// Notes what came of a read, and says whether a head is too long, or a head or a request is late.
    ///
    /// The HTTP library looks after the first head of a connection and after connections that send nothing; it answers those, so it has some
    /// seconds more. What it leaves open are later heads that stop half way.
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

    /// Reads a little or nothing, only to see whether the client has gone.
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

    /// Reads so many bytes or fewer, whatever there is room for, and returns how many.
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

    /// Notes what came of a write.
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
            // The HTTP library sees what it has, and asks again.
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

    /// Called when all that there was to write has been written.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = pin!(&mut this.tcp).poll_flush(context);
        if flushed.is_ready() && this.waiting.take().is_some() {
            this.watch.unblock();
            // What came meanwhile may be read now.
            context.waker().wake_by_ref();
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.get_mut().tcp).poll_shutdown(context)
    }
}
