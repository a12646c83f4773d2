//! Runs external commands: cargo, npm, Node.

use anyhow::{Context, ensure};
use std::{ffi::OsStr, path::Path, process::Command, time::Instant};

/// Announces the next step.
pub(crate) fn say(what: &str) {
    eprintln!("\x1b[1m==> {what}\x1b[0m");
}

/// Runs a command to its end with its output shown. On failure, the error names the step.
pub(crate) fn run(what: &str, command: &mut Command) -> anyhow::Result<()> {
    say(what);
    let started = Instant::now();
    let status = command
        .status()
        .with_context(|| format!("can't start {:?}", command.get_program()))?;
    ensure!(status.success(), "{what} failed: {command:?} ended with {status}");
    let seconds = started.elapsed().as_secs();
    if seconds >= 5 {
        eprintln!("    took {seconds} s");
    }
    Ok(())
}

/// Runs the cargo that runs xtask.
pub(crate) fn cargo(what: &str, args: &[&str]) -> anyhow::Result<()> {
    cargo_with(what, args, |cargo| cargo)
}

/// Runs cargo like [`cargo`], with environment variables or more arguments added by `prepare`.
pub(crate) fn cargo_with(
    what: &str,
    args: &[&str],
    prepare: impl FnOnce(&mut Command) -> &mut Command,
) -> anyhow::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    run(what, prepare(Command::new(cargo).args(args)))
}

/// Creates an npm command in a folder. On Windows npm is a script that needs its extension.
pub(crate) fn npm(folder: &Path) -> Command {
    let mut npm = Command::new(if cfg!(windows) { "npm.cmd" } else { "npm" });
    npm.current_dir(folder);
    npm
}

/// Returns a command's standard output, trimmed.
pub(crate) fn output(program: impl AsRef<OsStr>, args: &[&str]) -> anyhow::Result<String> {
    let program = program.as_ref();
    let output = Command::new(program)
        .args(args)
        .output()
        .with_context(|| format!("can't start {}", program.display()))?;
    ensure!(
        output.status.success(),
        "{} {args:?} ended with {}",
        program.display(),
        output.status
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Oldest supported version of Node, as in `engines` of package.json.
const OLDEST_NODE: (u32, u32) = (20, 19);

/// Fails with an explanation if Node is missing or too old.
pub(crate) fn check_node() -> anyhow::Result<()> {
    let (major, minor) = OLDEST_NODE;
    let needed = format!("Node.js {major}.{minor} or later is needed: install it from https://nodejs.org");
    let version = output("node", &["--version"]).context(needed.clone())?;
    ensure!(
        numbers(version.trim_start_matches('v')).is_some_and(|version| version >= OLDEST_NODE),
        "{needed}; this is {version}"
    );
    Ok(())
}

/// Returns the first two numbers of a version such as 20.19.5.
pub(crate) fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split('.').map(str::parse::<u32>);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}
