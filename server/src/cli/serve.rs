//! `serve`: options of the server.

use super::values::{Fraction, Origin, Seconds, Setting, headers, store_options, traces_url};
use crate::{
    http::{self, AllowedHosts, DailyQueries, Host, Settings, SharedCounts, TlsFiles, TraceSettings},
    keystore::Policy,
    objects::Location,
    tenants::{Rate, TokenFile, Tokens, TokensAt},
};
use anyhow::{Context, bail, ensure};
use blindscore_protocol::descriptor::MAX_QUERIES;
use chrono::TimeDelta;
use clap::{ArgAction, Args, ValueEnum, builder::RangedU64ValueParser};
use std::{
    io::{IsTerminal, stderr},
    net::SocketAddr,
    num::{NonZeroU32, NonZeroU64},
    path::PathBuf,
    thread::available_parallelism,
    time::Duration,
};
use tracing_subscriber::EnvFilter;
use url::Url;

const EXAMPLES: &str = "\
Examples:
  Serve the bundled models on this machine only, keys in ./data:
    blindscore-server serve

  Serve your own models and the demo page, on a port the system chooses:
    blindscore-server serve --bind 127.0.0.1:0 --models-dir models --web-dir web/dist

  With a configuration file, and one option overridden:
    blindscore-server serve --config blindscore.toml --bind 127.0.0.1:9000

  See which options are in force, and where each comes from:
    blindscore-server serve --config blindscore.toml --print-config

  On the network, for tenants with tokens, over TLS:
    blindscore-server token create clinic --data-dir /var/lib/blindscore
    blindscore-server serve --bind 0.0.0.0:8443 --data-dir /var/lib/blindscore --tls-cert cert.pem --tls-key key.pem

  With keys and models in an object store, which reads AWS_*, AZURE_* or GOOGLE_* as well:
    AWS_REGION=eu-central-1 blindscore-server serve --store s3://bucket/keys --models s3://bucket/models

  One of several replicas, which share tokens, rates and budgets:
    blindscore-server serve --store s3://bucket/keys --tokens s3://bucket/tokens.json --share s3://bucket/_counts \
      --tenant-rate 50 --tenant-daily-queries 10000

When it is ready it prints `listening on http://ADDRESS` to standard output; the log goes to standard error.
SIGTERM or ctrl-c stops it after the requests in progress.";

/// Default time between two exchanges of shared counts, in seconds.
const SHARE_SECONDS: u64 = 5;

/// Serve models over HTTP
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ServeArgs {
    /// TOML file with options, named like the flags without the dashes; flags and environment take
    /// precedence
    #[arg(long, env = "BLINDSCORE_CONFIG", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    /// Print the options in force as TOML, without secrets, and exit
    #[arg(long)]
    pub(super) print_config: bool,

    /// Address and port to listen on; port 0 picks a free one. Any address other than loopback
    /// needs tokens
    #[arg(
        long,
        env = "BLINDSCORE_BIND",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8080"
    )]
    pub(super) bind: SocketAddr,

    /// Certificate chain, PEM; with --tls-key the server speaks https
    #[arg(long, env = "BLINDSCORE_TLS_CERT", value_name = "FILE")]
    pub(super) tls_cert: Option<PathBuf>,

    /// Private key of the certificate, PEM
    #[arg(long, env = "BLINDSCORE_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,

    /// Origins whose pages may use this server, as in https://example.org; none if not given
    #[arg(
        long,
        env = "BLINDSCORE_CORS_ORIGINS",
        value_name = "ORIGIN",
        value_delimiter = ','
    )]
    cors_origins: Vec<Origin>,

    /// Folder for keys and tokens, unless --store or --tokens name another location; created if it
    /// doesn't exist
    #[arg(long, env = "BLINDSCORE_DATA_DIR", value_name = "DIR", default_value = "data")]
    data_dir: PathBuf,

    /// Folder with models to serve besides the bundled ones
    #[arg(long, env = "BLINDSCORE_MODELS_DIR", value_name = "DIR")]
    models_dir: Option<PathBuf>,

    /// Location of models to serve besides the bundled ones, instead of a folder: a URL like that
    /// of --store, with another prefix
    #[arg(
        long,
        env = "BLINDSCORE_MODELS",
        value_name = "URL",
        conflicts_with = "models_dir"
    )]
    models: Option<Url>,

    /// Folder with the built page to serve at /
    #[arg(long, env = "BLINDSCORE_WEB_DIR", value_name = "DIR")]
    web_dir: Option<PathBuf>,

    /// File or object with the hashes of tenants' tokens, as in s3://BUCKET/PREFIX/tokens.json;
    /// tokens.json in the data directory if not given. Once it exists, every request needs a token
    #[arg(long, env = "BLINDSCORE_TOKENS", value_name = "FILE|URL")]
    tokens: Option<PathBuf>,

    /// Serve anyone who reaches the address, although there are no tokens
    #[arg(long, env = "BLINDSCORE_ALLOW_UNAUTHENTICATED", value_name = "BOOL", action = ArgAction::Set,
        num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false)]
    allow_unauthenticated: bool,

    /// Names by which clients reach this server, as in scores.example or scores.example:8443.
    /// Without tokens, requests for other names are refused (403): a page on the web could
    /// otherwise point its own name at this machine. Loopback names are always allowed, and so are
    /// IP addresses if the server listens on one that isn't loopback
    #[arg(
        long,
        env = "BLINDSCORE_ALLOWED_HOSTS",
        value_name = "HOST",
        value_delimiter = ','
    )]
    allowed_hosts: Vec<Host>,

    /// Sustained rate of each tenant in queries per second; no limit if 0
    #[arg(long, env = "BLINDSCORE_TENANT_RATE", value_name = "N", default_value_t = 0)]
    tenant_rate: u32,

    /// Queries that each tenant may send at once after a pause
    #[arg(long, env = "BLINDSCORE_TENANT_BURST", value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(MAX_QUERIES as i64..))]
    tenant_burst: u32,

    /// Queries that each tenant may send to each model per day (UTC); no limit if 0. Scores reveal
    /// the model: docs/operations.md says how many queries recover one. Counted in the data
    /// directory, by each server separately, or together with --share
    #[arg(
        long,
        env = "BLINDSCORE_TENANT_DAILY_QUERIES",
        value_name = "N",
        default_value_t = 0
    )]
    tenant_daily_queries: u64,

    /// Location where replicas exchange their counts for --tenant-rate and --tenant-daily-queries:
    /// file:///DIR, s3://BUCKET/PREFIX, az://CONTAINER/PREFIX or gs://BUCKET/PREFIX. Nothing else
    /// may be stored in it. Each server counts for itself if not given
    #[arg(long, env = "BLINDSCORE_SHARE", value_name = "URL")]
    share: Option<Url>,

    /// Time after which shared counts are exchanged again; 5 if not given
    #[arg(long, env = "BLINDSCORE_SHARE_SECONDS", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=20))]
    share_seconds: Option<u64>,

    /// Keys that each tenant may store; no limit if 0
    #[arg(long, env = "BLINDSCORE_TENANT_KEYS", value_name = "N", default_value_t = 0)]
    tenant_keys: u64,

    /// Location of the key store: file:///DIR, s3://BUCKET/PREFIX, az://CONTAINER/PREFIX,
    /// gs://BUCKET/PREFIX or memory://; the folder `keys` in the data directory if not given
    #[arg(long, env = "BLINDSCORE_STORE", value_name = "URL")]
    store: Option<Url>,

    /// Settings of the object stores that --store, --models, --tokens and --share name, as in
    /// aws_region=eu-central-1; AWS_*, AZURE_* and GOOGLE_* variables apply too
    #[arg(
        long,
        env = "BLINDSCORE_STORE_OPTIONS",
        value_name = "NAME=VALUE",
        value_delimiter = ',',
        hide_env_values = true
    )]
    store_options: Vec<Setting>,

    /// Timeout of one operation of a store
    #[arg(
        long,
        env = "BLINDSCORE_STORE_SECONDS",
        value_name = "SECONDS",
        default_value = "10"
    )]
    store_seconds: Seconds,

    /// Days after its last use at which a key expires and has to be uploaded again
    #[arg(long, env = "BLINDSCORE_KEY_TTL_DAYS", value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    key_ttl_days: u32,

    /// Memory for prepared keys, in MiB; a linear model's key takes 0.1, a network's 70
    #[arg(long, env = "BLINDSCORE_KEY_CACHE_MIB", value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    key_cache_mib: u64,

    /// Time after which the store is asked again whether a key in use is still there; a removal by
    /// another process takes effect here by then
    #[arg(
        long,
        env = "BLINDSCORE_KEY_CHECK_SECONDS",
        value_name = "SECONDS",
        default_value = "30"
    )]
    key_check_seconds: Seconds,

    /// Scoring threads; one for each core if not given
    #[arg(long, env = "BLINDSCORE_WORKERS", value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..=1024))]
    workers: Option<usize>,

    /// Queries that may wait or run at a time; more are told to come back later (503)
    #[arg(long, env = "BLINDSCORE_QUEUE", value_name = "N", default_value_t = 1024, value_parser = RangedU64ValueParser::<usize>::new().range(MAX_QUERIES as u64..=1_000_000))]
    queue: usize,

    /// Longest time from a request's arrival to its answer; a request that would take longer is
    /// refused at once (503)
    #[arg(
        long,
        env = "BLINDSCORE_DEADLINE_SECONDS",
        value_name = "SECONDS",
        default_value = "30"
    )]
    deadline_seconds: Seconds,

    /// Memory for request and response bodies, in MiB: five eighths for keys being uploaded, one
    /// for queries, two for answers
    #[arg(long, env = "BLINDSCORE_UPLOAD_MIB", value_name = "N", default_value_t = 128, value_parser = RangedU64ValueParser::<usize>::new().range(64..=1_048_576))]
    upload_mib: usize,

    /// Largest number of open connections; more wait until one is closed
    #[arg(long, env = "BLINDSCORE_MAX_CONNECTIONS", value_name = "N", default_value_t = 16_384, value_parser = RangedU64ValueParser::<usize>::new().range(16..=1_000_000))]
    max_connections: usize,

    /// Time that requests in progress may take once the server is told to stop
    #[arg(
        long,
        env = "BLINDSCORE_SHUTDOWN_SECONDS",
        value_name = "SECONDS",
        default_value = "30"
    )]
    shutdown_seconds: Seconds,

    /// URL of an OpenTelemetry collector that takes OTLP over HTTP, as in http://127.0.0.1:4318;
    /// the server sends traces to its /v1/traces; no traces if not given
    #[arg(long, env = "BLINDSCORE_OTLP_ENDPOINT", value_name = "URL")]
    otlp_endpoint: Option<Url>,

    /// Headers of requests to the collector, as in authorization=Bearer TOKEN
    #[arg(
        long,
        env = "BLINDSCORE_OTLP_HEADERS",
        value_name = "NAME=VALUE",
        value_delimiter = ',',
        hide_env_values = true
    )]
    otlp_headers: Vec<Setting>,

    /// Fraction of the requests that are traced, from 0 to 1; a client that sends `traceparent`
    /// decides for its own requests
    #[arg(
        long,
        env = "BLINDSCORE_OTLP_SAMPLE",
        value_name = "FRACTION",
        default_value = "1"
    )]
    otlp_sample: Fraction,

    /// Format of log lines
    #[arg(
        long,
        env = "BLINDSCORE_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "text"
    )]
    log_format: LogFormat,

    /// Log filter: a level, or levels by module as in `info,blindscore_server::http=debug`
    #[arg(
        long,
        env = "BLINDSCORE_LOG",
        value_name = "FILTER",
        default_value = "info,actix_server=warn,actix_http=off"
    )]
    log: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    /// Plain text
    Text,
    /// One JSON object per line
    Json,
}

impl ServeArgs {
    /// Opens the list of tokens.
    pub(super) fn open_tokens(&self) -> anyhow::Result<Tokens> {
        Ok(self.tokens()?.open(self.store_seconds.0)?)
    }

    /// Returns the file or object with the hashes of tokens.
    fn tokens(&self) -> anyhow::Result<TokensAt> {
        let Some(path) = &self.tokens else {
            return Ok(TokensAt::File(TokenFile::at(&self.data_dir.join("tokens.json"))));
        };
        match self.tokens_url()? {
            Some(url) => TokensAt::url(url, |url| self.location(url)).context("--tokens"),
            None => Ok(TokensAt::File(TokenFile::at(path))),
        }
    }

    /// Returns the URL of the tokens, if they aren't given as a path.
    fn tokens_url(&self) -> anyhow::Result<Option<Url>> {
        let text = self.tokens.as_ref().and_then(|path| path.to_str());
        let url = text.filter(|text| text.contains("://")).map(Url::parse);
        url.transpose().context("--tokens is not a URL")
    }

    /// Returns the location that a URL names. Options are for object stores, if there are any.
    fn location(&self, url: Url) -> anyhow::Result<Location> {
        let is_used = Location::takes_options(&url) || !self.uses_object_store()?;
        let options = if is_used {
            store_options(&self.store_options)?
        } else {
            Vec::new()
        };
        Ok(Location::new(url, options)?)
    }

    fn uses_object_store(&self) -> anyhow::Result<bool> {
        let tokens = self.tokens_url()?;
        let urls = [&self.store, &self.models, &self.share, &tokens];
        Ok(urls.into_iter().flatten().any(Location::takes_options))
    }

    /// Returns where counts are shared.
    fn shared_counts(&self) -> anyhow::Result<Option<SharedCounts>> {
        let Some(url) = &self.share else {
            ensure!(
                self.share_seconds.is_none(),
                "--share-seconds is for counts in a location that --share names"
            );
            return Ok(None);
        };
        let mut others = [&self.store, &self.models].into_iter().flatten();
        ensure!(
            !others.any(|other| are_same(url, other)),
            "--share needs a location of its own, with another prefix than --store and --models"
        );
        Ok(Some(SharedCounts {
            location: self.location(url.clone()).context("--share")?,
            every: Duration::from_secs(self.share_seconds.unwrap_or(SHARE_SECONDS)),
        }))
    }

    /// Converts the options to the server's settings.
    fn settings(self) -> anyhow::Result<Settings> {
        let (tokens, share) = (self.tokens()?, self.shared_counts()?);
        let store = match &self.store {
            Some(url) => self.location(url.clone()).context("--store")?,
            None if self.store_options.is_empty() || self.uses_object_store()? => {
                Location::Directory(self.data_dir.join("keys"))
            }
            None => {
                bail!(
                    "--store-options are for an object store, which --store, --models, --tokens or --share names"
                )
            }
        };
        ensure!(
            !matches!((&self.store, &self.models), (Some(store), Some(models)) if are_same(store, models)),
            "--models needs a location of its own, not that of --store"
        );
        let models = match (&self.models, self.models_dir.clone()) {
            (Some(url), _) => Some(self.location(url.clone()).context("--models")?),
            (None, folder) => folder.map(Location::Directory),
        };
        let workers = match self.workers {
            Some(workers) => workers,
            None => available_parallelism()
                .context("can't count the cores: pass --workers")?
                .get(),
        };
        let tls = match (self.tls_cert, self.tls_key) {
            (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }),
            (None, None) => None,
            _ => bail!("--tls-cert and --tls-key go together"),
        };
        let traces = match self.otlp_endpoint {
            Some(base) => Some(TraceSettings {
                url: traces_url(&base).context("--otlp-endpoint")?,
                headers: headers(&self.otlp_headers)?,
                sampled: self.otlp_sample.0,
            }),
            None if self.otlp_headers.is_empty() => None,
            None => bail!("--otlp-headers are for a collector that --otlp-endpoint names"),
        };
        let burst = NonZeroU32::new(self.tenant_burst).context("--tenant-burst is 0")?;
        Ok(Settings {
            bind: self.bind,
            tls,
            cors_origins: self.cors_origins.into_iter().map(|origin| origin.0).collect(),
            store,
            policy: Policy {
                ttl: TimeDelta::days(self.key_ttl_days.into()),
                patience: self.store_seconds.0,
                max_keys: NonZeroU64::new(self.tenant_keys),
            },
            tokens,
            allow_unauthenticated: self.allow_unauthenticated,
            allowed_hosts: AllowedHosts::new(self.allowed_hosts, self.bind),
            models,
            web_dir: self.web_dir,
            workers,
            queue: self.queue,
            deadline: self.deadline_seconds.0,
            rate: NonZeroU32::new(self.tenant_rate).map(|per_second| Rate { per_second, burst }),
            daily_queries: NonZeroU64::new(self.tenant_daily_queries).map(|limit| DailyQueries {
                limit,
                folder: self.data_dir,
            }),
            share,
            key_cache_bytes: self.key_cache_mib << 20,
            key_check: self.key_check_seconds.0,
            body_bytes: self.upload_mib << 20,
            max_connections: self.max_connections,
            shutdown: self.shutdown_seconds.0,
            traces,
        })
    }
}

/// Checks whether two URLs name the same location.
fn are_same(one: &Url, other: &Url) -> bool {
    let [one, other] = [one, other].map(|url| url.as_str().trim_end_matches('/'));
    one == other
}

/// Starts logging and serves.
pub(super) fn run(args: ServeArgs) -> anyhow::Result<()> {
    start_logging(args.log_format, &args.log)?;
    http::run(args.settings()?)
}

fn start_logging(format: LogFormat, filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).context("--log is not a filter")?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(stderr().is_terminal())
        .with_writer(stderr);
    match format {
        LogFormat::Text => subscriber.init(),
        LogFormat::Json => subscriber.json().init(),
    }
    Ok(())
}
