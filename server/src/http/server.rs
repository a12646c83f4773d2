//! Starts the server, serves until it is told to stop, and shuts down.

use super::{
    answer::Answers,
    background,
    body::Bodies,
    connection::{self, Timeouts, TlsFiles},
    drain,
    error::ApiError,
    hosts::{self, AllowedHosts},
    inference::LENGTH_HEADER,
    methods, middleware,
    room::Room,
    routes,
    state::{AppState, Served},
    trace,
};
use crate::{
    keystore::{KeyStore, Policy},
    library::Library,
    objects::Location,
    scoring::{KeyCache, Scorer, ScoringPool},
    telemetry,
    tenants::{Access, DailyBudget, Rate, RateLimit, Share, TokensAt},
    traces::{self, TraceSettings},
};
use actix_cors::Cors;
use actix_server::ServerBuilder;
use actix_web::{
    App, HttpResponse,
    http::header,
    middleware::{Condition, from_fn},
    web::{self, Data},
};
use anyhow::{Context, ensure};
use blindscore_engine::{
    PreparedKey,
    model::{MOST_FILE, Registry},
};
use blindscore_protocol::{KEY_HEADER, params::ParameterSet};
use std::{
    io::Write,
    net::{SocketAddr, TcpListener},
    num::NonZeroU64,
    path::PathBuf,
    sync::{Arc, OnceLock, RwLock},
    thread::available_parallelism,
    time::{Duration, Instant},
};
use tokio::{
    signal,
    sync::{Mutex, Semaphore},
};

/// Connections are kept open long, since scoring clients come back often.
const TIMEOUTS: Timeouts = Timeouts {
    keep_alive: Duration::from_secs(75),
    head: Duration::from_secs(10),
    linger: Duration::from_secs(1),
};
/// Bytes of `--upload-mib` per connection that may stall, of each of two kinds. One holds up to
/// 0.2 MB.
const BODY_BYTES_PER_STALLED: usize = 512 << 10;
/// Memory for models that are being published: one of any size, or several small ones.
const PUBLISHING_BYTES: usize = Room::bytes_for_one(MOST_FILE as usize);
/// Longest time to send the traces that are left when the server stops.
const TRACES_TIMEOUT: Duration = Duration::from_secs(5);
/// File descriptors needed besides those of connections.
const OTHER_FILES: u64 = 1024;

/// Settings of a server.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Address to listen on; port 0 picks a free one.
    pub(crate) bind: SocketAddr,
    /// Certificate and key for `https`.
    pub(crate) tls: Option<TlsFiles>,
    /// Origins of other sites whose pages may use the service.
    pub(crate) cors_origins: Vec<String>,
    /// Location of the key store.
    pub(crate) store: Location,
    /// Retention and quota of stored keys.
    pub(crate) policy: Policy,
    /// Location of the tenants' tokens.
    pub(crate) tokens: TokensAt,
    /// Whether anyone on the network may use the service if there are no tokens.
    pub(crate) allow_unauthenticated: bool,
    /// Host names under which the server may be reached.
    pub(crate) allowed_hosts: AllowedHosts,
    /// Location of models besides the bundled ones.
    pub(crate) models: Option<Location>,
    /// Folder with the demo page's files.
    pub(crate) web_dir: Option<PathBuf>,
    /// Number of scoring threads.
    pub(crate) workers: usize,
    /// Queries that may wait or run at a time, at least
    /// [`MAX_QUERIES`](blindscore_protocol::descriptor::MAX_QUERIES).
    pub(crate) queue: usize,
    /// Longest time from a request's arrival to its answer.
    pub(crate) deadline: Duration,
    /// Rate limit of each tenant.
    pub(crate) rate: Option<Rate>,
    /// Daily query budget of each tenant and model.
    pub(crate) daily_queries: Option<DailyQueries>,
    /// Where replicas exchange their counts.
    pub(crate) share: Option<SharedCounts>,
    /// Memory for keys in use, in bytes.
    pub(crate) key_cache_bytes: u64,
    /// How long a key is used before the store is asked whether it is still there.
    pub(crate) key_check: Duration,
    /// Memory for the bodies of requests and responses, in bytes, at least 64 MiB.
    pub(crate) body_bytes: usize,
    /// Largest number of open connections.
    pub(crate) max_connections: usize,
    /// How long requests in progress may take to finish once the server is told to stop.
    pub(crate) shutdown: Duration,
    /// Where traces are sent; `None` sends none.
    pub(crate) traces: Option<TraceSettings>,
}

/// Query budget for each tenant, model and day.
#[derive(Clone, Debug)]
pub(crate) struct DailyQueries {
    /// Largest number of queries.
    pub(crate) limit: NonZeroU64,
    /// Folder of the file that counts them.
    pub(crate) folder: PathBuf,
}

impl DailyQueries {
    fn open(&self, share: Option<&Arc<Share>>) -> anyhow::Result<Arc<DailyBudget>> {
        Ok(Arc::new(match share {
            Some(share) => DailyBudget::shared(self.limit, share.clone()),
            None => DailyBudget::open(self.limit, &self.folder)?,
        }))
    }
}

/// Exchange of counts between replicas.
#[derive(Clone, Debug)]
pub(crate) struct SharedCounts {
    /// Location of a store for nothing else.
    pub(crate) location: Location,
    /// How often counts are exchanged.
    pub(crate) every: Duration,
}

impl SharedCounts {
    async fn open(settings: &Settings) -> anyhow::Result<Option<Arc<Share>>> {
        let Some(Self { location, every }) = &settings.share else {
            return Ok(None);
        };
        if settings.rate.is_none() && settings.daily_queries.is_none() {
            tracing::info!("--share is not used: neither --tenant-rate nor --tenant-daily-queries is set");
            return Ok(None);
        }
        let share = Share::open(location, *every, settings.policy.patience).await;
        Ok(Some(Arc::new(share.context("--share")?)))
    }
}

/// Serves until the process is told to stop (SIGTERM or ctrl-c), then finishes requests in
/// progress.
pub(crate) fn run(settings: Settings) -> anyhow::Result<()> {
    actix_web::rt::System::new().block_on(serve(settings))
}

async fn serve(settings: Settings) -> anyhow::Result<()> {
    // For this server's certificate and for connections to object stores. Fails harmlessly if a
    // provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let tls = settings.tls.as_ref().map(TlsFiles::load).transpose()?;
    let tokens = settings.tokens.open(settings.policy.patience)?;
    let access = Access::new(tokens, settings.bind, settings.allow_unauthenticated);
    let access = Data::new(access.await?);
    let state = Data::new(state(&settings).await?);
    if let Some(directory) = &settings.web_dir {
        let index = directory.join("index.html");
        ensure!(
            index.is_file(),
            "the page is not built: {} is missing",
            index.display()
        );
    }

    let listener =
        TcpListener::bind(settings.bind).with_context(|| format!("listening on {}", settings.bind))?;
    let address = listener.local_addr()?;
    raise_nofile_limit(settings.max_connections as u64 + OTHER_FILES);
    let threads = available_parallelism()?.get();
    let (shared, callers, origins) = (state.clone(), access.clone(), settings.cors_origins.clone());
    let hosts = Data::new(settings.allowed_hosts.clone());
    let app = move || {
        App::new()
            .app_data(shared.clone())
            .app_data(callers.clone())
            .app_data(hosts.clone())
            .configure(|config| routes::all(config, settings.web_dir.as_deref()))
            .default_service(web::to(async || Err::<HttpResponse, _>(ApiError::NotFound)))
            .wrap(Condition::new(!origins.is_empty(), cors(&origins)))
            .wrap(from_fn(hosts::wrap))
            .wrap(from_fn(middleware::wrap))
            .wrap(from_fn(drain::wrap))
    };
    let told = Arc::new(OnceLock::new());
    let server = ServerBuilder::new()
        .workers(threads)
        .max_concurrent_connections(settings.max_connections.div_ceil(threads))
        .shutdown_timeout(settings.shutdown.as_secs())
        .shutdown_signal(noting_the_time(shutdown_signal(), told.clone()));
    let stalled = settings.body_bytes / BODY_BYTES_PER_STALLED;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let traces = settings.traces.as_ref();
    let traces = traces.map(|settings| traces::start(settings, trace::everywhere(scheme, address)));
    let traces = traces.transpose().context("--otlp-endpoint")?;
    let server = connection::listen(server, listener, tls, TIMEOUTS, stalled, app)?.run();

    let (budget, share) = (state.budget.clone(), state.share.clone());
    background::start(&state.into_inner(), &access.into_inner());
    // Scripts that start the server wait for this line.
    println!("listening on {scheme}://{address}");
    std::io::stdout().flush()?;
    tracing::info!(%address, scheme, "listening");
    server.await?;
    let counted = match (budget, share) {
        (Some(budget), _) => budget.close().await.context("writing the counts of queries"),
        (None, Some(share)) => share.end().await.context("writing the counts of rates"),
        (None, None) => Ok(()),
    };
    if let Some(traces) = traces {
        let stopping = told.get().map_or(Duration::ZERO, Instant::elapsed);
        traces.stop(settings.shutdown.saturating_sub(stopping).min(TRACES_TIMEOUT));
    }
    counted?;
    tracing::info!("stopped");
    Ok(())
}

/// Waits for `signal`, and notes when it came.
async fn noting_the_time(signal: impl Future<Output = ()>, told: Arc<OnceLock<Instant>>) {
    signal.await;
    told.get_or_init(Instant::now);
}

/// Builds the state shared by all requests: loads the models, opens the stores and starts the
/// threads.
async fn state(settings: &Settings) -> anyhow::Result<AppState> {
    let (models, library) = models(settings).await.context("loading the models")?;
    tracing::info!(models = ?models.names(), "models loaded");
    let keys = KeyStore::open(&settings.store, settings.policy)
        .await
        .context("opening the key store")?;
    // Of every parameter set, since models may be added while the server runs.
    let largest = ParameterSet::ALL.into_iter().map(PreparedKey::memory_bytes);
    let largest = largest.max().unwrap_or_default() as u64;
    ensure!(
        settings.key_cache_bytes >= 2 * largest,
        "--key-cache-mib has to be at least {}",
        (2 * largest).div_ceil(1 << 20)
    );
    // Half of the deadline, since some work takes longer than estimated.
    let pool = ScoringPool::new(settings.workers, settings.queue, settings.deadline / 2)
        .context("starting the scoring threads")?;
    let cache = KeyCache::new(
        settings.key_cache_bytes,
        largest,
        settings.workers,
        settings.key_check,
    );
    let share = SharedCounts::open(settings).await?;
    Ok(AppState {
        models: RwLock::new(Arc::new(Served::new(models).context("describing the models")?)),
        model_library: library.map(Mutex::new),
        scorer: Scorer::new(keys, cache, pool, settings.deadline),
        rate: RateLimit::new(settings.rate, share.clone()),
        budget: settings
            .daily_queries
            .as_ref()
            .map(|queries| queries.open(share.as_ref()))
            .transpose()?,
        share,
        uploads: Bodies::new(settings.body_bytes / 8 * 5, "too many uploads are in progress"),
        publishing: Bodies::new(PUBLISHING_BYTES, "other models are being published"),
        queries: Bodies::new(settings.body_bytes / 8, "too many queries are arriving"),
        answers: Answers::new(settings.body_bytes / 4),
        metrics: telemetry::install().context("starting the metrics")?,
        checks: Arc::new(Semaphore::new(settings.workers)),
    })
}

/// Loads the models, and opens the location of those that aren't bundled.
async fn models(settings: &Settings) -> anyhow::Result<(Arc<Registry>, Option<Library>)> {
    let bundled = Arc::new(Registry::bundled()?);
    let Some(location) = &settings.models else {
        return Ok((bundled, None));
    };
    let mut library = Library::open(location, settings.policy.patience)?;
    let models = library.changed(bundled.clone()).await?;
    Ok((models.map_or(bundled, Arc::new), Some(library)))
}

fn cors(origins: &[String]) -> Cors {
    let key_header = KEY_HEADER.to_ascii_lowercase();
    let sent = [
        header::AUTHORIZATION.as_str(),
        header::CONTENT_TYPE.as_str(),
        header::IF_NONE_MATCH.as_str(),
        &key_header,
        LENGTH_HEADER,
        "traceparent",
        "tracestate",
    ];
    let read = [
        "etag",
        LENGTH_HEADER,
        "location",
        "retry-after",
        "server-timing",
        "x-request-id",
    ];
    let cors = Cors::default()
        .allowed_methods(methods::ROUTED)
        .allowed_headers(sent)
        .expose_headers(read)
        .max_age(3600);
    origins
        .iter()
        .fold(cors, |cors, origin| cors.allowed_origin(origin))
}

/// Raises the process's limit of open files as far as permitted.
fn raise_nofile_limit(needed: u64) {
    match rlimit::increase_nofile_limit(needed) {
        Ok(limit) if limit >= needed => {}
        Ok(limit) => tracing::warn!(limit, needed, "too few open files for --max-connections"),
        Err(error) => tracing::warn!(%error, "the limit of open files can't be raised"),
    }
}

/// Resolves at SIGTERM or ctrl-c. Listens for SIGTERM from the call on, so that a server can be
/// stopped as soon as it says that it is ready.
fn shutdown_signal() -> impl Future<Output = ()> {
    #[cfg(unix)]
    let terminate = signal::unix::signal(signal::unix::SignalKind::terminate());
    async move {
        #[cfg(unix)]
        if let Ok(mut terminate) = terminate {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = signal::ctrl_c() => {}
            }
            return;
        }
        if signal::ctrl_c().await.is_err() {
            // No signals on this system: the server runs until the process ends.
            std::future::pending::<()>().await;
        }
    }
}
