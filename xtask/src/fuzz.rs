//! Fuzzing: libFuzzer with coverage of our own crates on the stable toolchain, and the npm package
//! against a hostile server.
//!
//! Only our crates are instrumented, by cargo's wrapper for workspace members; dependencies are
//! shared with the ordinary build. New inputs are kept in target/fuzz/corpus, where later runs
//! continue.

use crate::{
    command::{self, cargo_with, output, say},
    launch::without_options,
    npm, paths,
    server::{self, Running},
};
use anyhow::{Context, ensure};
use std::{
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::{Duration, Instant},
};

/// Default length of a run in seconds, for all targets together.
const SECONDS: u64 = 60;
/// Seconds after which an input counts as a hang, on a busy machine.
const PATIENCE: u64 = 25;
/// Memory limit of the whole process in MiB. Each target also has a limit of its own for Rust
/// allocations.
const MEMORY: u64 = 1536;
/// Target of the npm package, which is a script instead of a libFuzzer target.
const NPM: &str = "npm";

#[derive(clap::Args)]
pub(crate) struct FuzzArgs {
    /// Seconds to fuzz, for all targets together
    #[arg(long, default_value_t = SECONDS)]
    seconds: u64,

    /// Target to run; may be given several times, all if not given
    #[arg(long, value_name = "NAME", value_parser = TARGETS.map(|target| target.name))]
    target: Vec<String>,

    /// Run one target once on this file, such as a crash of an earlier run
    #[arg(long, value_name = "FILE", requires = "target")]
    input: Option<PathBuf>,
}

/// Settings of a target; its code is in `fuzz/src/lib.rs`.
struct Target {
    name: &'static str,
    dictionary: Option<&'static str>,
    longest: usize,
    /// Extension of the tests' fixtures that serve as seeds too.
    fixtures: Option<&'static str>,
}

const TARGETS: [Target; 15] = [
    target("blobs", None, 256, None),
    target("descriptor", Some("json"), 8192, None),
    target("onnx", Some("onnx"), 16_384, Some("onnx")),
    target("model", Some("safetensors"), 16_384, Some("safetensors")),
    target("trees", Some("json"), 16_384, None),
    target("table", Some("csv"), 4096, None),
    target("tokens", Some("json"), 4096, None),
    target("counts", Some("json"), 4096, None),
    target("shared", Some("json"), 4096, None),
    target("config", Some("toml"), 4096, None),
    target("inference", Some("inference"), 4096, None),
    target("http", Some("http"), 4096, None),
    target("rows", Some("csv"), 4096, None),
    target("answers", None, 256, None),
    target(NPM, None, 0, None),
];

const fn target(
    name: &'static str,
    dictionary: Option<&'static str>,
    longest: usize,
    fixtures: Option<&'static str>,
) -> Target {
    Target {
        name,
        dictionary,
        longest,
        fixtures,
    }
}

/// Result of a target's run.
struct Report {
    name: &'static str,
    executions: u64,
    took: Duration,
    /// Error, and how to reproduce it.
    failure: Option<String>,
}

/// Builds the programs and fuzzes the chosen targets.
pub(crate) fn run(args: &FuzzArgs) -> anyhow::Result<()> {
    let chosen =
        |target: &&Target| args.target.is_empty() || args.target.iter().any(|name| name == target.name);
    let targets: Vec<&Target> = TARGETS.iter().filter(chosen).collect();
    server::build_without_page()?;
    if targets.iter().any(|target| target.name == NPM) {
        npm::build()?;
    }
    fuzz(&targets, args.seconds, args.input.as_deref(), None)
}

/// Fuzzes all targets for a minute as part of the tests, which have built everything else. Uses a
/// fixed seed, so that the inputs are always the same, as many as time allows: new crashes are for
/// `cargo xtask fuzz` to find, not for someone testing an unrelated change.
pub(crate) fn test() -> anyhow::Result<()> {
    fuzz(&TARGETS.iter().collect::<Vec<_>>(), SECONDS, None, Some(1))
}

fn fuzz(targets: &[&Target], seconds: u64, input: Option<&Path>, seed: Option<u32>) -> anyhow::Result<()> {
    ensure!(cfg!(unix), "fuzzing runs on Linux and macOS");
    ensure!(
        input.is_none() || targets.len() == 1,
        "--input is for one target: give --target once"
    );
    let program = build()?;
    let each = Duration::from_secs(seconds).div_f64(targets.len() as f64);
    say(&format!("Fuzzing for {seconds} s"));
    let mut reports = Vec::new();
    for target in targets {
        let started = Instant::now();
        let report = if target.name == NPM {
            npm_package(each, input, seed)
        } else {
            target.run(&program, each, input, seed)
        };
        let mut report = report.with_context(|| format!("fuzzing {}", target.name))?;
        report.took = started.elapsed();
        eprintln!("{report}");
        reports.push(report);
    }
    let executions: u64 = reports.iter().map(|report| report.executions).sum();
    eprintln!("    {:<12}{executions:>12} executions", "all");
    let failures: Vec<&str> = reports
        .iter()
        .filter_map(|report| report.failure.as_deref())
        .collect();
    ensure!(
        failures.is_empty(),
        "fuzzing broke something:\n{}",
        failures.join("\n")
    );
    Ok(())
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = self.took.as_secs_f64();
        let result = if self.failure.is_some() { "  BROKEN" } else { "" };
        write!(
            f,
            "    {:<12}{:>12} executions in {seconds:.0} s{result}",
            self.name, self.executions
        )
    }
}

fn folder() -> anyhow::Result<PathBuf> {
    Ok(paths::target()?.join("fuzz"))
}

/// Fails with an explanation if there is no C++ compiler.
pub(crate) fn check_compiler() -> anyhow::Result<()> {
    output("c++", &["--version"])
        .map(drop)
        .context("a C++ compiler is needed to build libFuzzer: install g++ or clang")
}

/// Builds the program with all targets but npm's.
fn build() -> anyhow::Result<PathBuf> {
    check_compiler()?;
    let (fuzz, built) = (paths::root()?.join("fuzz"), folder()?.join("libfuzzer"));
    let manifest = fuzz.join("libfuzzer").join("Cargo.toml");
    cargo_with(
        "Building libFuzzer",
        &["build", "--release", "--locked", "--manifest-path"],
        |cargo| cargo.arg(&manifest).arg("--target-dir").arg(&built),
    )?;
    let library = newest_library(&built.join("release").join("build"))?;
    cargo_with(
        "Building the fuzz targets",
        &[
            "build",
            "--release",
            "--package",
            "blindscore-fuzz",
            "--features",
            "blindscore-fuzz/libfuzzer",
        ],
        |cargo| {
            cargo
                .env("RUSTC_WORKSPACE_WRAPPER", fuzz.join("instrument.sh"))
                .env("LIBFUZZER_DIR", library)
        },
    )?;
    Ok(paths::target()?.join("release").join("fuzz"))
}

/// Returns the folder of the most recent `libfuzzer.a`.
fn newest_library(builds: &Path) -> anyhow::Result<PathBuf> {
    let mut newest = None;
    for entry in fs::read_dir(builds)? {
        let folder = entry?.path().join("out");
        if let Ok(metadata) = folder.join("libfuzzer.a").metadata() {
            newest = newest.max(Some((metadata.modified()?, folder)));
        }
    }
    let (_, folder) = newest.with_context(|| format!("no libfuzzer.a in {}", builds.display()))?;
    Ok(folder)
}

impl Target {
    fn run(
        &self,
        program: &Path,
        time: Duration,
        input: Option<&Path>,
        seed: Option<u32>,
    ) -> anyhow::Result<Report> {
        let (fuzz, folder) = (paths::root()?.join("fuzz"), folder()?);
        let (corpus, crashes) = (folder.join("corpus").join(self.name), folder.join("crashes"));
        fs::create_dir_all(&corpus)?;
        fs::create_dir_all(&crashes)?;
        let mut arguments = vec![
            format!("-max_total_time={}", time.as_secs().max(1)),
            format!("-timeout={PATIENCE}"),
            format!("-rss_limit_mb={MEMORY}"),
            format!("-max_len={}", self.longest),
            format!("-artifact_prefix={}/{}-", crashes.display(), self.name),
            "-print_final_stats=1".to_owned(),
            // Closes standard output, where the server prints.
            "-close_fd_mask=1".to_owned(),
        ];
        if let Some(seed) = seed {
            arguments.push(format!("-seed={seed}"));
        }
        if let Some(dictionary) = self.dictionary {
            let path = fuzz.join("dictionaries").join(format!("{dictionary}.dict"));
            arguments.push(format!("-dict={}", path.display()));
        }
        // Code in child processes isn't counted, so libFuzzer would drop the seed. It can't choose
        // between several such seeds.
        if ["counts", "shared", "config"].contains(&self.name) {
            arguments.extend(["-keep_seed=1", "-len_control=0"].map(str::to_owned));
        }
        match input {
            Some(input) => arguments.push(std::path::absolute(input)?.display().to_string()),
            None => {
                arguments.push(corpus.display().to_string());
                arguments.push(fuzz.join("seeds").join(self.name).display().to_string());
                if let Some(kind) = self.fixtures {
                    arguments.push(
                        fixtures(&folder.join("fixtures").join(kind), kind)?
                            .display()
                            .to_string(),
                    );
                }
            }
        }
        let data = folder.join("server");
        if data.exists() {
            fs::remove_dir_all(&data)?;
        }
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = without_options(Command::new(program));
        command
            .env("FUZZ_TARGET", self.name)
            .env("FUZZ_ARGS", arguments.join("\n"))
            .env("FUZZ_PROGRAMS", paths::target()?.join("release"))
            .args(["serve", "--bind", &format!("127.0.0.1:{port}")])
            .arg("--data-dir")
            .arg(data.join("data"))
            .arg("--models-dir")
            .arg(data.join("models"))
            .arg("--tokens")
            .arg(data.join("tokens.json"))
            .args(["--key-cache-mib", "192", "--upload-mib", "64", "--log", "error"]);
        // Targets write thousands of small files.
        let memory = Path::new("/dev/shm");
        if memory.is_dir() {
            command.env("TMPDIR", memory);
        }
        finish(self.name, &mut command, input)
    }
}

/// Fuzzes the packed npm package against a server that deviates from the protocol.
fn npm_package(time: Duration, input: Option<&Path>, seed: Option<u32>) -> anyhow::Result<Report> {
    command::check_node()?;
    let server = Running::start()?;
    let mut command = Command::new("node");
    command
        .arg(paths::root()?.join("fuzz").join("npm.mjs"))
        .env("BLINDSCORE_URL", &server.url)
        .env("BLINDSCORE_TARBALL", npm::tarball()?)
        .env("FUZZ_CRASHES", folder()?.join("crashes"))
        .env("FUZZ_SECONDS", time.as_secs().max(1).to_string());
    if let Some(seed) = seed {
        command.env("FUZZ_SEED", seed.to_string());
    }
    if let Some(input) = input {
        command.env("FUZZ_INPUT", std::path::absolute(input)?);
    }
    finish(NPM, &mut command, input)
}

/// Runs the command with its output in a log file, and evaluates the log.
fn finish(name: &'static str, command: &mut Command, input: Option<&Path>) -> anyhow::Result<Report> {
    let logs = folder()?.join("logs");
    fs::create_dir_all(&logs)?;
    let log = logs.join(format!("{name}.log"));
    let status = command
        .stderr(File::create(&log)?)
        .status()
        .with_context(|| format!("can't start {:?}", command.get_program()))?;
    let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    let executions = number_after(&text, "stat::number_of_executed_units:").unwrap_or(1);
    Ok(Report {
        name,
        executions,
        took: Duration::ZERO,
        failure: (!status.success()).then(|| failure(name, status, &text, &log, input)),
    })
}

fn number_after(text: &str, words: &str) -> Option<u64> {
    let (_, rest) = text.rsplit_once(words)?;
    rest.lines().next()?.trim().parse().ok()
}

/// Returns the last output, the place of the input, and how to reproduce the failure.
fn failure(name: &str, status: ExitStatus, text: &str, log: &Path, input: Option<&Path>) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let last = lines[lines.len().saturating_sub(25)..].join("\n");
    let written = lines
        .iter()
        .filter_map(|line| line.split_once("Test unit written to "))
        .map(|(_, path)| path.trim().to_owned())
        .next_back();
    let path = written.or_else(|| input.map(|path| path.display().to_string()));
    let again = match path {
        Some(path) => format!("to repeat it: cargo xtask fuzz --target {name} --input {path}"),
        None => "it left no input".to_owned(),
    };
    format!("{name} ended with {status}, {}:\n{last}\n{again}", log.display())
}

/// Fills a folder with the tests' fixtures of a kind that are small enough, and returns it.
fn fixtures(folder: &Path, kind: &str) -> anyhow::Result<PathBuf> {
    const LARGEST: u64 = 16_384;
    fs::create_dir_all(folder)?;
    let all = paths::root()?.join("tests/fixtures");
    let models = fs::read_dir(all.join("models"))?.chain(fs::read_dir(all.join("networks"))?);
    for model in models {
        let model = model?.path();
        if !model.is_dir() {
            continue;
        }
        let name = model
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        for file in fs::read_dir(&model)? {
            let file = file?.path();
            let wanted = file.extension().is_some_and(|extension| extension == kind);
            if wanted && file.metadata()?.len() <= LARGEST {
                let own = file
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                fs::copy(&file, folder.join(format!("{name}-{own}")))?;
            }
        }
    }
    Ok(folder.to_owned())
}
