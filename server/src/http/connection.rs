//! Connections: HTTP/1.1 over TCP, or over TLS over TCP, from clients that go on reading.
//!
//! HTTP/2 isn't spoken. Its frames, windows and header tables let one connection hold memory and threads in ways that the HTTP/1.1 of the
//! same framework doesn't; a proxy in front may speak it to the world.

use super::pace::Pace;
use actix_http::{HttpServiceBuilder, Request, Response, body::MessageBody};
use actix_server::{GracefulShutdownSignal, ServerBuilder};
use actix_service::{IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::{Error, dev::AppConfig, dev::Extensions, rt::net::TcpStream};
use futures_util::task::AtomicWaker;
use rustls::ServerConfig;
use std::{
    future::Future,
    io,
    net::{SocketAddr, TcpListener},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// How long the HTTP library has to say that a request is late, before the connection is closed without a word.
const ANSWERED: Duration = Duration::from_secs(3);
/// How long a client may take to agree on TLS.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);

/// Times of HTTP/1.1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// How long an idle connection is kept.
    pub(super) keep_alive: Duration,
    /// How long the head of a request may take.
    pub(super) head: Duration,
    /// How long a client whose body was refused may read why.
    pub(super) linger: Duration,
}

/// Serves `app` on `listener`.
pub(super) fn listen<A, I, F, B>(
    server: ServerBuilder,
    listener: TcpListener,
    tls: Option<ServerConfig>,
    patience: Patience,
    app: A,
) -> io::Result<ServerBuilder>
where
    A: Fn() -> I + Clone + Send + 'static,
    I: IntoServiceFactory<F, Request>,
    F: ServiceFactory<Request, Config = AppConfig, Error = Error> + 'static,
    F::InitError: std::fmt::Debug,
    F::Response: Into<Response<B>> + 'static,
    F::Service: 'static,
    F::Future: 'static,
    <F::Service as Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    let stopping = server.graceful_shutdown_signal();
    match tls {
        None => server.listen("http", listener, move || {
            let http = service(
                patience,
                stopping.clone(),
                app().into_factory(),
                |io: &Watched| io.watch.clone(),
            );
            fn_service(move |tcp: TcpStream| async move {
                let address = tcp.peer_addr().ok();
                Ok::<_, actix_http::error::DispatchError>((Watched::new(tcp, patience), address))
            })
            .and_then(http)
        }),
        Some(mut tls) => {
            tls.alpn_protocols = vec![b"http/1.1".to_vec()];
            let acceptor = TlsAcceptor::from(Arc::new(tls));
            server.listen("https", listener, move || {
                let http = service(
                    patience,
                    stopping.clone(),
                    app().into_factory(),
                    |io: &TlsStream<Watched>| io.get_ref().0.watch.clone(),
                );
                let acceptor = acceptor.clone();
                fn_service(move |tcp: TcpStream| {
                    let acceptor = acceptor.clone();
                    async move {
                        let address = tcp.peer_addr().ok();
                        let agreed = tokio::time::timeout(
                            HANDSHAKE_PATIENCE,
                            acceptor.accept(Watched::new(tcp, patience)),
                        )
                        .await;
                        let io = agreed.map_err(|_| io::Error::from(io::ErrorKind::TimedOut));
                        let io = io.flatten().map_err(actix_http::error::DispatchError::Io)?;
                        Ok((io, address))
                    }
                })
                .and_then(http)
            })
        }
    }
}

/// HTTP/1.1 over streams of a kind. Requests find their connection's [`Watch`] with `conn_data`.
fn service<T, F, B>(
    patience: Patience,
    stopping: GracefulShutdownSignal,
    app: F,
    watch: impl Fn(&T) -> Arc<Watch> + 'static,
) -> impl ServiceFactory<
    (T, Option<SocketAddr>),
    Config = (),
    Response = (),
    Error = actix_http::error::DispatchError,
    InitError = (),
>
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
    F: ServiceFactory<Request, Config = AppConfig, Error = Error> + 'static,
    F::InitError: std::fmt::Debug,
    F::Response: Into<Response<B>> + 'static,
    F::Service: 'static,
    F::Future: 'static,
    <F::Service as Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    HttpServiceBuilder::default()
        .graceful_shutdown_signal(move || {
            let stopping = stopping.clone();
            async move { stopping.notified().await }
        })
        .keep_alive(patience.keep_alive)
        .client_request_timeout(patience.head)
        .client_disconnect_timeout(patience.linger)
        // A client that has closed its side has gone: its request leaves the queue.
        .h1_allow_half_closed(false)
        .on_connect_ext(move |io: &T, data: &mut Extensions| {
            data.insert(watch(io));
        })
        .h1(map_config(app.map_err(|error| error.error_response()), |()| {
            AppConfig::default()
        }))
}

/// Whether a connection's client reads what it is sent.
pub(super) struct Watch {
    started: Instant,
    /// Milliseconds after `started` at which there was no more room to write, plus one; 0 while there is.
    blocked: AtomicU64,
    given_up: AtomicBool,
    waker: AtomicWaker,
    /// Requests whose heads have arrived.
    begun: AtomicU64,
    /// Requests that are answered now.
    busy: AtomicUsize,
    /// Milliseconds after `started` at which the last of them was answered.
    idle: AtomicU64,
}

/// A request that is being answered, until its answer has been written.
pub(super) struct InProgress(Arc<Watch>);

impl InProgress {
    /// From now on.
    pub(super) fn begin(watch: &Arc<Watch>) -> Self {
        watch.begun.fetch_add(1, Ordering::Relaxed);
        watch.busy.fetch_add(1, Ordering::Relaxed);
        Self(watch.clone())
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        let now = self.0.started.elapsed().as_millis() as u64;
        self.0.idle.store(now, Ordering::Relaxed);
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Watch {
    fn new() -> Self {
        Self {
            started: Instant::now(),
            blocked: AtomicU64::new(0),
            given_up: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            begun: AtomicU64::new(0),
            busy: AtomicUsize::new(0),
            idle: AtomicU64::new(0),
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

    /// Since when no request is answered; `None` while one is.
    fn idle_since(&self) -> Option<Instant> {
        if self.busy.load(Ordering::Relaxed) > 0 {
            return None;
        }
        Some(self.started + Duration::from_millis(self.idle.load(Ordering::Relaxed)))
    }

    fn block(&self) {
        let now = self.started.elapsed().as_millis() as u64 + 1;
        // Only the first time counts.
        let _ = self
            .blocked
            .compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The client has read something, but there is more for it.
    fn moved(&self) {
        let now = self.started.elapsed().as_millis() as u64 + 1;
        self.blocked.store(now, Ordering::Relaxed);
    }

    fn unblock(&self) {
        self.blocked.store(0, Ordering::Relaxed);
    }
}

/// A TCP stream that fails when its other side doesn't read, or doesn't go on with the head of a request.
struct Watched {
    tcp: TcpStream,
    watch: Arc<Watch>,
    patience: Patience,
    /// How fast the client reads, while it is what writing waits for.
    waiting: Option<Waiting>,
    /// The head that is arriving.
    head: Option<Head>,
    reading: Timer,
}

struct Waiting {
    pace: Pace,
    timer: Timer,
}

struct Head {
    since: Instant,
    /// Requests that had begun before it.
    after: u64,
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
    fn new(tcp: TcpStream, patience: Patience) -> Self {
        // Answers are short or written in large pieces: nothing is gained by waiting for more.
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY can't be set");
        }
        Self {
            tcp,
            watch: Arc::new(Watch::new()),
            patience,
            waiting: None,
            head: None,
            reading: Timer::new(),
        }
    }

    /// Notes what came of a read, and says whether a head or a request is late.
    ///
    /// The HTTP library looks after the first head of a connection and after connections that send nothing; it answers those, so it has some
    /// seconds more. What it leaves open are later heads that stop half way.
    fn is_late(&mut self, arrived: bool, pending: bool, context: &mut Context<'_>) -> bool {
        let begun = self.watch.begun.load(Ordering::Relaxed);
        let Some(idle_since) = self.watch.idle_since() else {
            self.head = None;
            return false;
        };
        if self.head.as_ref().is_some_and(|head| head.after != begun) {
            self.head = None;
        }
        if arrived {
            self.head.get_or_insert_with(|| Head {
                since: Instant::now(),
                after: begun,
            });
        }
        let allowed = match &self.head {
            Some(head) => head.since + self.patience.head,
            None => idle_since + self.patience.keep_alive,
        };
        pending && self.reading.has_come(allowed + ANSWERED, context)
    }

    /// Notes what came of a write.
    fn wrote(&mut self, written: Poll<usize>, context: &mut Context<'_>) -> io::Result<Poll<usize>> {
        self.watch.waker.register(context.waker());
        if self.watch.given_up.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        match (written, &mut self.waiting) {
            (Poll::Ready(count), Some(waiting)) => {
                waiting.pace.moved(count);
                self.watch.moved();
            }
            (Poll::Ready(_), None) => {}
            (Poll::Pending, waiting) => {
                self.watch.block();
                let waiting = waiting.get_or_insert_with(|| Waiting {
                    pace: Pace::start(),
                    timer: Timer::new(),
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
        let filled = buffer.filled().len();
        let read = pin!(&mut this.tcp).poll_read(context, buffer);
        let arrived = buffer.filled().len() > filled;
        if matches!(read, Poll::Ready(Err(_))) || !this.is_late(arrived, read.is_pending(), context) {
            return read;
        }
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = match pin!(&mut this.tcp).poll_write(context, bytes) {
            Poll::Ready(Ok(count)) => Poll::Ready(count),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
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
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.get_mut().tcp).poll_shutdown(context)
    }
}
