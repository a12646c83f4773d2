//! Connections: HTTP/1.1 over TCP or TLS, closed if the client stops reading.
//!
//! HTTP/2 isn't supported. Its frames, windows and header tables let one connection hold memory and
//! threads in ways that HTTP/1.1 in the same framework doesn't; a proxy in front may offer it.

mod framing;
mod requests;
mod stream;
mod timeouts;
mod timer;
mod tls;
mod watch;

pub(super) use framing::Expected;
pub(super) use timeouts::Timeouts;
pub(crate) use tls::TlsFiles;
pub(super) use watch::{InProgress, Watch};

use actix_http::{HttpServiceBuilder, Request, Response, body::MessageBody, error::DispatchError};
use actix_server::{GracefulShutdownSignal, ServerBuilder};
use actix_service::{IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::{Error, dev::AppConfig, dev::Extensions, rt::net::TcpStream};
use requests::Requests;
use rustls::ServerConfig;
use std::{
    fmt::Debug,
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};
use stream::Watched;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use watch::Stalled;

/// Time limit of a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Declares a trait that whatever meets its bounds has.
macro_rules! name_bounds {
    ($(#[$doc:meta])* trait $name:ident<$parameter:ident>: $($bounds:tt)+) => {
        $(#[$doc])*
        pub(crate) trait $name<$parameter>: $($bounds)+ {}

        impl<$parameter, T> $name<$parameter> for T where T: $($bounds)+ {}
    };
}

name_bounds! {
    /// Factory of the service that handles requests.
    trait Application<B>: ServiceFactory<
        Request,
        Config = AppConfig,
        Error = Error,
        InitError: Debug,
        Response: Into<Response<B>> + 'static,
        Service: Service<Request, Future: 'static> + 'static,
        Future: 'static,
    > + 'static
}

/// Serves `app` on `listener`. At most `stalled` connections may hold memory for clients that have
/// stalled.
pub(crate) fn listen<A, I, F, B>(
    server: ServerBuilder,
    listener: TcpListener,
    tls: Option<ServerConfig>,
    timeouts: Timeouts,
    stalled: usize,
    app: A,
) -> io::Result<ServerBuilder>
where
    A: Fn() -> I + Clone + Send + 'static,
    I: IntoServiceFactory<F, Request>,
    F: Application<B>,
    B: MessageBody + 'static,
{
    let stopping = server.graceful_shutdown_signal();
    let (unread, unfinished) = (Stalled::new(stalled), Stalled::new(stalled));
    match tls {
        None => server.listen("http", listener, move || {
            let http = service(timeouts, stopping.clone(), app().into_factory());
            let (unread, unfinished) = (unread.clone(), unfinished.clone());
            fn_service(move |tcp: TcpStream| {
                let address = tcp.peer_addr().ok();
                let io = Watched::new(tcp, unread.clone());
                let watch = io.watch().clone();
                let io = Requests::new(io, watch, unfinished.clone(), timeouts);
                async move { Ok::<_, DispatchError>((io, address)) }
            })
            .and_then(http)
        }),
        Some(mut tls) => {
            tls.alpn_protocols = vec![b"http/1.1".to_vec()];
            let acceptor = TlsAcceptor::from(Arc::new(tls));
            server.listen("https", listener, move || {
                let http = service(timeouts, stopping.clone(), app().into_factory());
                let acceptor = acceptor.clone();
                let (unread, unfinished) = (unread.clone(), unfinished.clone());
                fn_service(move |tcp: TcpStream| {
                    let address = tcp.peer_addr().ok();
                    let io = Watched::new(tcp, unread.clone());
                    let (watch, unfinished) = (io.watch().clone(), unfinished.clone());
                    let agreed = acceptor.accept(io);
                    async move {
                        let agreed = tokio::time::timeout(HANDSHAKE_TIMEOUT, agreed).await;
                        let io = agreed.map_err(|_| io::Error::from(io::ErrorKind::TimedOut));
                        let io = io.flatten().map_err(DispatchError::Io)?;
                        Ok((Requests::new(io, watch, unfinished, timeouts), address))
                    }
                })
                .and_then(http)
            })
        }
    }
}

/// Builds the HTTP/1.1 service for one kind of stream. Handlers find their connection's [`Watch`]
/// with `conn_data`.
fn service<T, F, B>(
    timeouts: Timeouts,
    stopping: GracefulShutdownSignal,
    app: F,
) -> impl ServiceFactory<
    (Requests<T>, Option<SocketAddr>),
    Config = (),
    Response = (),
    Error = DispatchError,
    InitError = (),
>
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
    F: Application<B>,
    B: MessageBody + 'static,
{
    HttpServiceBuilder::default()
        .graceful_shutdown_signal(move || {
            let stopping = stopping.clone();
            async move { stopping.notified().await }
        })
        .keep_alive(timeouts.keep_alive)
        .client_request_timeout(timeouts.head)
        .client_disconnect_timeout(timeouts.linger)
        // A client that has closed its side has disconnected: its request leaves the queue.
        .h1_allow_half_closed(false)
        .on_connect_ext(|io: &Requests<T>, data: &mut Extensions| {
            data.insert(io.watch().clone());
        })
        .h1(map_config(app.map_err(|error| error.error_response()), |()| {
            AppConfig::default()
        }))
}
