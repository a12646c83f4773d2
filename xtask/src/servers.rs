//! Object stores for tests and measurements, and `soak`.

use crate::{
    command::{cargo, cargo_with},
    python::python,
    workspace::{self, Packages},
};
use clap::Args;
use std::path::PathBuf;

/// Installs what the tests with object stores, against the API's description and with other clients
/// need: Azurite, moto, schemathesis, Triton's client and KServe's. Returns the folder of Python's
/// environment.
pub(crate) fn install() -> anyhow::Result<PathBuf> {
    workspace::install(Packages::All)?;
    python("servers")
}

#[derive(Args)]
pub(crate) struct SoakArgs {
    /// Measurements: some of throughput, overload, memory, kill, faults, connections, attacks; all
    /// if not given
    measurements: Vec<String>,
}

/// Measures a server under load and failure. Takes half an hour, and 21 GB of disk in the meantime.
pub(crate) fn soak(args: &SoakArgs) -> anyhow::Result<()> {
    let python = install()?;
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
