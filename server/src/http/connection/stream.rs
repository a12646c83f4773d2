//! TCP stream that takes turns with others, and fails when its client doesn't read.

use super::{
    timer::Timer,
    watch::{Stalled, Ticket, Watch},
};
use crate::http::pace::Pace;
use actix_web::rt::net::TcpStream;
use std::{
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes written before other connections get their turn.
const TURN_BYTES: usize = 256 << 10;

/// TCP stream that fails when the client doesn't read.
pub(crate) struct Watched {
    tcp: TcpStream,
    watch: Arc<Watch>,
    /// Connections whose clients don't read.
    unread: Arc<Stalled>,
    /// Reading speed of the client, while a write waits for it.
    waiting: Option<Waiting>,
    /// Bytes written since other connections last got their turn.
    written: usize,
}

struct Waiting {
    pace: Pace,
    timer: Timer,
    ticket: Ticket,
}

impl Watched {
    pub(crate) fn new(tcp: TcpStream, unread: Arc<Stalled>) -> Self {
        // Responses are short or written in large pieces, so Nagle's algorithm gains nothing.
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY can't be set");
        }
        Self {
            tcp,
            watch: Arc::new(Watch::new()),
            unread,
            waiting: None,
            written: 0,
        }
    }

    /// Returns the state of this connection.
    pub(crate) fn watch(&self) -> &Arc<Watch> {
        &self.watch
    }

    /// Records the result of a write.
    fn wrote(&mut self, written: Poll<usize>, context: &mut Context<'_>) -> io::Result<Poll<usize>> {
        self.watch.register(context.waker());
        if self.watch.has_given_up() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        match (written, &mut self.waiting) {
            (Poll::Ready(count), Some(waiting)) => {
                waiting.pace.moved(count);
                waiting.ticket.renew(&self.watch);
                self.watch.moved();
            }
            (Poll::Ready(_), None) => {}
            (Poll::Pending, waiting) => {
                self.watch.block();
                let waiting = waiting.get_or_insert_with(|| Waiting {
                    pace: Pace::start(),
                    timer: Timer::new(),
                    ticket: self.unread.enter(&self.watch),
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
        pin!(&mut self.get_mut().tcp).poll_read(context, buffer)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.written >= TURN_BYTES {
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
