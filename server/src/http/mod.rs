//! The HTTP service: routes, limits, errors, and the threads that score. It knows nothing of polynomials.

mod body;
mod envelope;
mod error;
mod keys;
mod models;
mod pool;
mod prepared;
mod queries;
mod score;
mod service;
mod site;
mod unread;

use crate::{keystore::KeyStore, model::Registry};
use actix_web::{
    App, HttpResponse, HttpServer, Route, guard,
    middleware::from_fn,
    web::{self, Data, ServiceConfig},
};
use anyhow::Context;
use chrono::TimeDelta;
use error::ApiError;
use pool::ScoringPool;
use prepared::PreparedKeys;
use service::Service;
use std::{
    io::Write,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tokio::signal;

/// Idle connections are kept this long; scoring clients come back often.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// A request's head has to arrive within this.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);
/// A client whose body was refused has this long to read why before the connection is closed.
const LINGER: Duration = Duration::from_secs(1);
/// Requests in progress may take this long to finish when the server is told to stop.
const SHUTDOWN_SECONDS: u64 = 10;
/// How often expired keys are removed.
const SWEEP_INTERVAL: Duration = Duration::from_secs(3600);

pub use queries::MAX_QUERIES;

/// What a server needs to know to start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Address to listen on; port 0 takes a free one.
    pub bind: SocketAddr,
    /// Keys are kept in `keys/` below it.
    pub data_dir: PathBuf,
    /// Models besides the bundled ones.
    pub models_dir: Option<PathBuf>,
    /// The demo page's files.
    pub web_dir: Option<PathBuf>,
    /// Scoring threads.
    pub workers: usize,
    /// Queries that may wait or run at a time, at least [`MAX_QUERIES`].
    pub queue: usize,
    /// Memory for keys in use, in bytes.
    pub key_cache_bytes: u64,
    /// How long an uploaded key is kept.
    pub key_ttl: TimeDelta,
}

/// Serves until the process is told to stop (SIGTERM or ctrl-c), then finishes what is in progress.
pub fn run(settings: Settings) -> anyhow::Result<()> {
    actix_web::rt::System::new().block_on(serve(settings))
}

async fn serve(settings: Settings) -> anyhow::Result<()> {
    let models = Registry::load(settings.models_dir.as_deref()).context("loading the models")?;
    let names: Vec<_> = models
        .iter()
        .map(|model| model.descriptor().name.as_str())
        .collect();
    tracing::info!(models = ?names, "models loaded");
    let keys = KeyStore::open_directory(settings.data_dir.join("keys"), settings.key_ttl)
        .await
        .context("opening the key store")?;
    let pool = ScoringPool::new(settings.workers, settings.queue).context("starting the scoring threads")?;
    let service = Data::new(Service {
        models,
        keys,
        prepared: PreparedKeys::new(settings.key_cache_bytes),
        pool,
    });
    if let Some(directory) = &settings.web_dir {
        let index = directory.join("index.html");
        anyhow::ensure!(
            index.is_file(),
            "the page is not built: {} is missing",
            index.display()
        );
    }

    let listener =
        TcpListener::bind(settings.bind).with_context(|| format!("listening on {}", settings.bind))?;
    let address = listener.local_addr()?;
    let shared = service.clone();
    let server = HttpServer::new(move || {
        App::new()
            .app_data(shared.clone())
            .configure(|config| routes(config, settings.web_dir.as_deref()))
            .default_service(web::to(async || Err::<HttpResponse, _>(ApiError::NotFound)))
            .wrap(from_fn(envelope::wrap))
            .wrap(from_fn(unread::wrap))
    })
    .keep_alive(KEEP_ALIVE)
    .client_request_timeout(HEAD_PATIENCE)
    .client_disconnect_timeout(LINGER)
    .tcp_nodelay(true)
    .shutdown_timeout(SHUTDOWN_SECONDS)
    .shutdown_signal(told_to_stop())
    .listen(listener)?
    .run();

    actix_web::rt::spawn(sweep(service.into_inner()));
    // Whoever started the server waits for this line.
    println!("listening on http://{address}");
    std::io::stdout().flush()?;
    tracing::info!(%address, "listening");
    server.await?;
    tracing::info!("stopped");
    Ok(())
}

fn routes(config: &mut ServiceConfig, web_dir: Option<&std::path::Path>) {
    config
        .service(
            web::resource("/v1/models")
                .route(get().to(models::list))
                .default_service(only("GET, HEAD")),
        )
        .service(
            web::resource("/v1/models/{model}")
                .route(get().to(models::get))
                .default_service(only("GET, HEAD")),
        )
        .service(
            web::resource("/v1/models/{model}/score")
                .route(web::post().to(score::score))
                .default_service(only("POST")),
        )
        .service(
            web::resource("/v1/keys/{key_id}")
                .route(web::put().to(keys::put))
                .route(get().to(keys::get))
                .route(web::delete().to(keys::delete))
                .default_service(only(keys::METHODS)),
        )
        .service(
            web::resource("/score")
                .route(web::post().to(score::score_default))
                .default_service(only("POST")),
        )
        .service(
            web::resource("/healthz")
                .route(get().to(alive))
                .default_service(only("GET, HEAD")),
        )
        .service(
            web::resource("/readyz")
                .route(get().to(ready))
                .default_service(only("GET, HEAD")),
        );
    match web_dir {
        Some(directory) => site::from_directory(config, directory),
        None => site::built_in(config),
    }
}

/// A route for GET, and for HEAD, which gets the same without the body.
fn get() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// Answers every other method.
fn only(methods: &'static str) -> Route {
    web::to(move || async move { Err::<HttpResponse, _>(ApiError::MethodNotAllowed(methods)) })
}

/// `/healthz`: the process runs.
async fn alive() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body("ok\n")
}

/// `/readyz`: the process can do its work.
async fn ready(service: Data<Service>) -> Result<HttpResponse, ApiError> {
    service.keys.check().await?;
    Ok(HttpResponse::Ok().content_type("text/plain").body("ready\n"))
}

/// Removes expired keys now and then, for as long as the process lives.
async fn sweep(service: Arc<Service>) {
    let mut interval = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        interval.tick().await;
        match service.keys.sweep().await {
            Ok(removed) => tracing::info!(removed, "expired keys removed"),
            Err(cause) => tracing::error!(%cause, "removing expired keys failed"),
        }
    }
}

/// Resolves at SIGTERM or ctrl-c.
async fn told_to_stop() {
    #[cfg(unix)]
    {
        if let Ok(mut terminate) = signal::unix::signal(signal::unix::SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = signal::ctrl_c() => {}
            }
            return;
        }
    }
    if signal::ctrl_c().await.is_err() {
        // No signals here: only the end of the process stops the server.
        std::future::pending::<()>().await;
    }
}
