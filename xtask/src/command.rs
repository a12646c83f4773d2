//! Runs external commands: cargo, npm, Node.

use anyhow::{Context, bail, ensure};
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

/// Fails with an explanation if Node is missing or too old.
pub(crate) fn check_node() -> anyhow::Result<()> {
    let Ok(version) = output("node", &["--version"]) else {
        bail!("Node.js is needed, version 20 or later: https://nodejs.org");
    };
    let major: Option<u32> = version
        .trim_start_matches('v')
        .split('.')
        .next()
        .and_then(|v| v.parse().ok());
    ensure!(
        major.is_some_and(|major| major >= 20),
        "Node.js 20 or later is needed, this is {version}"
    );
    Ok(())
}
