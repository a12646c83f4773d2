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
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

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
            fn_service(|tcp: TcpStream| async move {
                let address = tcp.peer_addr().ok();
                Ok::<_, actix_http::error::DispatchError>((Watched::new(tcp), address))
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
                        let agreed =
                            tokio::time::timeout(HANDSHAKE_PATIENCE, acceptor.accept(Watched::new(tcp)))
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
}

impl Watch {
    fn new() -> Self {
        Self {
            started: Instant::now(),
            blocked: AtomicU64::new(0),
            given_up: AtomicBool::new(false),
            waker: AtomicWaker::new(),
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

/// A TCP stream that fails when its other side doesn't read.
struct Watched {
    tcp: TcpStream,
    watch: Arc<Watch>,
    /// How fast the client reads, while it is what writing waits for.
    waiting: Option<Waiting>,
}

struct Waiting {
    pace: Pace,
    timer: Pin<Box<Sleep>>,
}

impl Watched {
    fn new(tcp: TcpStream) -> Self {
        // Answers are short or written in large pieces: nothing is gained by waiting for more.
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY can't be set");
        }
        Self {
            tcp,
            watch: Arc::new(Watch::new()),
            waiting: None,
        }
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
                    timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
                });
                let left = waiting.pace.left();
                waiting.timer.as_mut().reset(tokio::time::Instant::now() + left);
                if left.is_zero() || waiting.timer.as_mut().poll(context).is_ready() {
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
