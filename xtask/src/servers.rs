use crate::{
    command::{cargo, cargo_with, npm_install, output, run},
    paths,
};
use anyhow::{Context, ensure};
use clap::Args;
use std::{fs, path::PathBuf, process::Command};

/// Tests with object stores and of the API's description, which need Azurite, moto and schemathesis.
pub(crate) fn test() -> anyhow::Result<()> {
    let folder = paths::root()?.join("tests/servers");
    npm_install(&folder)?;
    let python = python()?;
    cargo_with(
        "Testing with object stores, and the API against its description",
        &[
            "test",
            "--release",
            "--package",
            "blindscore-tests",
            "--features",
            "servers",
            "--test",
            "cloud",
            "--test",
            "conformance",
        ],
        |cargo| cargo.env("TEST_PYTHON", python),
    )
}

#[derive(Args)]
pub(crate) struct SoakArgs {
    /// Some of throughput, overload, memory, kill, faults, connections; all if not given
    measurements: Vec<String>,
}

/// Measures a server under load and failure, for three quarters of an hour; takes 21 GB of disk meanwhile.
pub(crate) fn soak(args: &SoakArgs) -> anyhow::Result<()> {
    npm_install(&paths::root()?.join("tests/servers"))?;
    let python = python()?;
    cargo(
        "Building the server",
        &["build", "--release", "--package", "blindscore-server"],
    )?;
    cargo_with(
        "Measuring",
        &[
            "run",
            "--release",
            "--package",
            "blindscore-tests",
            "--features",
            "soak",
            "--bin",
            "soak",
            "--",
        ],
        |cargo| cargo.env("TEST_PYTHON", python).args(&args.measurements),
    )
}

/// Python with the packages of tests/servers/requirements.txt, in an environment of its own.
fn python() -> anyhow::Result<PathBuf> {
    let wanted = fs::read_to_string(paths::root()?.join("tests/servers/requirements.txt"))?;
    let folder = paths::target()?.join("test-python");
    let installed = folder.join("requirements.txt");
    if fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(folder);
    }
    let version =
        output("python3", &["--version"]).context("Python 3.10 or later is needed for these tests")?;
    let minor = version
        .strip_prefix("Python 3.")
        .and_then(|rest| rest.split('.').next());
    ensure!(
        minor
            .and_then(|minor| minor.parse().ok())
            .is_some_and(|minor: u32| minor >= 10),
        "Python 3.10 or later is needed for these tests, this is {version}"
    );
    run(
        "Making a Python environment for the tests",
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&folder),
    )?;
    run(
        "Installing moto and schemathesis",
        Command::new(folder.join("bin/pip"))
            .args([
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--requirement",
            ])
            .arg(paths::root()?.join("tests/servers/requirements.txt")),
    )?;
    fs::write(installed, wanted)?;
    Ok(folder)
}
