//! `compare`: measures the same work with Blindscore and with other systems, taking turns in one
//! run.

use crate::{
    command::{self, say},
    mnist, paths,
    python::environment,
    server, web, wheel,
};
use anyhow::ensure;
use clap::{Args, ValueEnum};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

#[derive(Args)]
pub(crate) struct CompareArgs {
    /// Rounds, in which the systems take turns
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,

    /// Measure only this task, and leave the documentation as it is; may be repeated
    #[arg(long, value_enum, value_name = "TASK")]
    only: Vec<Task>,

    /// Measure only these systems, and leave the documentation as it is
    #[arg(long, value_enum, value_delimiter = ',', value_name = "SYSTEM,...")]
    peers: Vec<Peer>,

    /// Wheel that was built before; the program `blindscore` must have been built, too. Otherwise
    /// both are built
    #[arg(long, value_name = "FILE")]
    wheel: Option<PathBuf>,

    /// Measure nothing: only write the tables and plots again, from docs/compare/results.json
    #[arg(long, conflicts_with_all = ["rounds", "only", "peers", "wheel"])]
    redraw: bool,
}

/// Tasks, by the names of `benches/peers/tasks`.
#[derive(Clone, Copy, ValueEnum, PartialEq, Eq, PartialOrd, Ord)]
enum Task {
    Linear,
    Trees,
    Network,
}

/// Systems, by the names of `benches/peers/systems`.
#[derive(Clone, Copy, ValueEnum, PartialEq, Eq, PartialOrd, Ord)]
enum Peer {
    Blindscore,
    Concrete,
    Tenseal,
    Openfhe,
}

impl Peer {
    /// Python that the packages are for, if it isn't any recent one: Concrete ML pins numpy and
    /// PyTorch, and OpenFHE's wheel has a library for one Python.
    fn python(self) -> Option<(u32, u32)> {
        match self {
            Self::Blindscore | Self::Tenseal => None,
            Self::Concrete => Some((3, 11)),
            Self::Openfhe => Some((3, 10)),
        }
    }

    /// Makes the environment, and returns its interpreter.
    fn interpreter(self) -> anyhow::Result<PathBuf> {
        let requirements = paths::root()?
            .join("benches/peers/requirements")
            .join(format!("{}.txt", name(self)));
        let name = format!("compare-{}", name(self));
        Ok(environment(&name, &requirements, self.python())?.join("bin/python"))
    }
}

/// Returns the name of a task or system on the command line.
fn name(value: impl ValueEnum) -> String {
    value
        .to_possible_value()
        .map_or_else(String::new, |value| value.get_name().to_owned())
}

/// Measures. A system that can't be installed gets a line that says why.
pub(crate) fn run(args: &CompareArgs) -> anyhow::Result<()> {
    ensure!(
        cfg!(target_os = "linux"),
        "compare reads times from /proc: run it on Linux"
    );
    let chosen: BTreeSet<Peer> = match args.peers.as_slice() {
        [] => Peer::value_variants().iter().copied().collect(),
        peers => peers.iter().copied().collect(),
    };
    if let Some(wheel) = &args.wheel {
        check(wheel, &chosen)?;
    }
    // It also prepares the work, whoever scores it.
    let own = Peer::Blindscore.interpreter()?;
    if args.redraw {
        return command::run("Drawing", peers(&own)?.arg("--redraw"));
    }
    if chosen.contains(&Peer::Blindscore) {
        install(&own, args.wheel.as_deref())?;
    }
    let logs = paths::target()?.join("compare");
    let mut measuring = peers(&own)?;
    measuring
        .args(["--rounds", &args.rounds.to_string(), "--mnist"])
        .arg(mnist::fetch()?)
        .arg("--logs")
        .arg(&logs)
        .env("BLINDSCORE_PROGRAM", paths::program()?);
    for &peer in &chosen {
        measuring.args(argument(peer));
    }
    for task in args.only.iter().collect::<BTreeSet<_>>() {
        measuring.args(["--task", &name(*task)]);
    }
    if args.only.is_empty() && args.peers.is_empty() {
        measuring.arg("--publish");
    } else {
        say(&format!(
            "A part only: results and plots go to {}",
            logs.display()
        ));
    }
    command::run("Measuring", &mut measuring)
}

/// Creates the command of the Python program in `benches/peers`.
fn peers(python: &Path) -> anyhow::Result<Command> {
    let mut command = Command::new(python);
    command
        .args(["-m", "peers"])
        .env("PYTHONPATH", paths::root()?.join("benches"));
    Ok(command)
}

/// Fails with an explanation if a wheel that was named can't be used.
fn check(wheel: &Path, chosen: &BTreeSet<Peer>) -> anyhow::Result<()> {
    ensure!(
        chosen.contains(&Peer::Blindscore),
        "--wheel is for blindscore, which isn't among --peers"
    );
    ensure!(wheel.is_file(), "--wheel: there is no file {}", wheel.display());
    let program = paths::program()?;
    ensure!(
        program.is_file(),
        "--wheel: {} isn't built: leave out --wheel, or run `cargo xtask wheel` first",
        program.display()
    );
    Ok(())
}

/// Installs the wheel beside the interpreter.
fn install(python: &Path, built: Option<&Path>) -> anyhow::Result<()> {
    let environment = python
        .parent()
        .and_then(Path::parent)
        .unwrap_or_else(|| Path::new("."));
    if let Some(wheel) = built {
        return wheel::install_built(environment, wheel);
    }
    web::build()?;
    server::build_with_cli()?;
    wheel::install(environment).map(drop)
}

/// Returns the arguments that tell where a system is, or why it is missing.
fn argument(peer: Peer) -> [String; 2] {
    let name = name(peer);
    match peer.interpreter() {
        Ok(python) => ["--python".to_owned(), format!("{name}={}", python.display())],
        Err(error) => {
            say(&format!("{name} can't be installed: {error:#}"));
            ["--missing".to_owned(), format!("{name}={error:#}")]
        }
    }
}
