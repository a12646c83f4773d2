//! Connections: HTTP/1.1 over TCP or TLS, closed if the client stops reading.
//!
//! HTTP/2 isn't supported. Its frames, windows and header tables let one connection hold memory and
//! threads in ways that HTTP/1.1 in the same framework doesn't; a proxy in front may offer it.

use super::{
    stream::Watched,
    watch::{Stalled, Watch},
};
use actix_http::{HttpServiceBuilder, Request, Response, body::MessageBody};
use actix_server::{GracefulShutdownSignal, ServerBuilder};
use actix_service::{IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::{Error, dev::AppConfig, dev::Extensions, rt::net::TcpStream};
use rustls::ServerConfig;
use std::{
    fmt::Debug,
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// Time limit of a TLS handshake.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);

/// Time limits of HTTP/1.1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// How long an idle connection is kept open.
    pub(super) keep_alive: Duration,
    /// How long the headers of a request may take to arrive.
    pub(super) head: Duration,
    /// How long a client whose body was refused may take to read the response.
    pub(super) linger: Duration,
}

/// Factory of the service that handles requests.
pub(super) trait Application<B>:
    ServiceFactory<
        Request,
        Config = AppConfig,
        Error = Error,
        InitError: Debug,
        Response: Into<Response<B>> + 'static,
        Service: Service<Request, Future: 'static> + 'static,
        Future: 'static,
    > + 'static
{
}

impl<B, F> Application<B> for F where
    F: ServiceFactory<
            Request,
            Config = AppConfig,
            Error = Error,
            InitError: Debug,
            Response: Into<Response<B>> + 'static,
            Service: Service<Request, Future: 'static> + 'static,
            Future: 'static,
        > + 'static
{
}

/// Serves `app` on `listener`. At most `stalled` connections may hold memory for clients that have
/// stalled.
pub(super) fn listen<A, I, F, B>(
    server: ServerBuilder,
    listener: TcpListener,
    tls: Option<ServerConfig>,
    patience: Patience,
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
    let stalled = Stalled::new(stalled);
    match tls {
        None => server.listen("http", listener, move || {
            let http = service(
                patience,
                stopping.clone(),
                app().into_factory(),
                |io: &Watched| io.watch().clone(),
            );
            let stalled = stalled.clone();
            fn_service(move |tcp: TcpStream| {
                let address = tcp.peer_addr().ok();
                let io = Watched::new(tcp, patience, stalled.clone());
                async move { Ok::<_, actix_http::error::DispatchError>((io, address)) }
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
                    |io: &TlsStream<Watched>| io.get_ref().0.watch().clone(),
                );
                let (acceptor, stalled) = (acceptor.clone(), stalled.clone());
                fn_service(move |tcp: TcpStream| {
                    let address = tcp.peer_addr().ok();
                    let agreed = acceptor.accept(Watched::new(tcp, patience, stalled.clone()));
                    async move {
                        let agreed = tokio::time::timeout(HANDSHAKE_PATIENCE, agreed).await;
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

/// Builds the HTTP/1.1 service for one kind of stream. Handlers find their connection's [`Watch`]
/// with `conn_data`.
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
    F: Application<B>,
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
        // A client that has closed its side has disconnected: its request leaves the queue.
        .h1_allow_half_closed(false)
        .on_connect_ext(move |io: &T, data: &mut Extensions| {
            data.insert(watch(io));
        })
        .h1(map_config(app.map_err(|error| error.error_response()), |()| {
            AppConfig::default()
        }))
}
