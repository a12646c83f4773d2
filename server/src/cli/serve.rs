use crate::http::{self, MAX_QUERIES, Settings};
use anyhow::Context;
use chrono::TimeDelta;
use clap::{Args, ValueEnum, builder::RangedU64ValueParser};
use std::{
    io::{IsTerminal, stderr},
    net::SocketAddr,
    path::PathBuf,
    thread::available_parallelism,
};
use tracing_subscriber::EnvFilter;

const EXAMPLES: &str = "\
Examples:
  Serve the bundled models on this machine only, keys in ./data:
    blindscore-server serve

  Serve your own models and the demo page, on a port the system chooses:
    blindscore-server serve --bind 127.0.0.1:0 --models-dir models --web-dir web/dist

  With a configuration file, and one option of it changed:
    blindscore-server serve --config blindscore.toml --bind 127.0.0.1:9000

  See which options are in force, and where each comes from:
    blindscore-server serve --config blindscore.toml --print-config

  In a container, behind a proxy that speaks TLS:
    BLINDSCORE_BIND=0.0.0.0:8080 BLINDSCORE_DATA_DIR=/var/lib/blindscore blindscore-server serve --log-format json

When it is ready it prints `listening on http://ADDRESS` to standard output; the log goes to standard error.
SIGTERM or ctrl-c stops it after the requests in progress.";

/// Serve models over HTTP
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ServeArgs {
    /// TOML file with options, named like the flags without the dashes; flags and environment come before it
    #[arg(long, env = "BLINDSCORE_CONFIG", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    /// Print the options in force as TOML, without secrets, and exit
    #[arg(long)]
    pub(super) print_config: bool,

    /// Address and port to listen on; port 0 takes a free one
    #[arg(
        long,
        env = "BLINDSCORE_BIND",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8080"
    )]
    bind: SocketAddr,

    /// Where uploaded public keys are kept; made if it doesn't exist
    #[arg(long, env = "BLINDSCORE_DATA_DIR", value_name = "DIR", default_value = "data")]
    data_dir: PathBuf,

    /// Models to serve besides the bundled ones
    #[arg(long, env = "BLINDSCORE_MODELS_DIR", value_name = "DIR")]
    models_dir: Option<PathBuf>,

    /// Built page to serve at /
    #[arg(long, env = "BLINDSCORE_WEB_DIR", value_name = "DIR")]
    web_dir: Option<PathBuf>,

    /// Threads that score; one for each core if not given
    #[arg(long, env = "BLINDSCORE_WORKERS", value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..=1024))]
    workers: Option<usize>,

    /// Queries that may wait or run at a time; more are told to come back later (503).
    /// A query takes about 1 ms of one core for a linear model, 0.3 s for a network of 128 projections
    #[arg(long, env = "BLINDSCORE_QUEUE", value_name = "N", default_value_t = 1024, value_parser = RangedU64ValueParser::<usize>::new().range(MAX_QUERIES as u64..=1_000_000))]
    queue: usize,

    /// Memory for prepared keys, in MiB; a key takes about 0.1
    #[arg(long, env = "BLINDSCORE_KEY_CACHE_MIB", value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    key_cache_mib: u64,

    /// Days after which an uploaded key expires and has to be uploaded again
    #[arg(long, env = "BLINDSCORE_KEY_TTL_DAYS", value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    key_ttl_days: u32,

    /// How log lines are written
    #[arg(
        long,
        env = "BLINDSCORE_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "text"
    )]
    log_format: LogFormat,

    /// What is logged: a level, or levels by module as in `info,blindscore_server::http=debug`
    #[arg(
        long,
        env = "BLINDSCORE_LOG",
        value_name = "FILTER",
        default_value = "info,actix_server=warn"
    )]
    log: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// Starts logging and serves.
pub(super) fn run(args: ServeArgs) -> anyhow::Result<()> {
    start_logging(args.log_format, &args.log)?;
    let workers = match args.workers {
        Some(workers) => workers,
        None => available_parallelism()
            .context("counting the cores; give --workers")?
            .get(),
    };
    http::run(Settings {
        bind: args.bind,
        data_dir: args.data_dir,
        models_dir: args.models_dir,
        web_dir: args.web_dir,
        workers,
        queue: args.queue,
        key_cache_bytes: args.key_cache_mib << 20,
        key_ttl: TimeDelta::days(args.key_ttl_days.into()),
    })
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
