//! Tests and measurements that need object stores: `test` and `soak`.

use crate::{
    command::{cargo, cargo_with, npm_install},
    paths,
    python::python,
};
use clap::Args;

/// Tests the server with object stores, and against the API's description. Needs Azurite, moto and
/// schemathesis.
pub(crate) fn test() -> anyhow::Result<()> {
    let folder = paths::root()?.join("tests/servers");
    npm_install(&folder)?;
    let python = python("servers")?;
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
    /// Measurements: some of throughput, overload, memory, kill, faults, connections, attacks; all
    /// if not given
    measurements: Vec<String>,
}

/// Measures a server under load and failure. Takes three quarters of an hour, and 21 GB of disk in
/// the meantime.
pub(crate) fn soak(args: &SoakArgs) -> anyhow::Result<()> {
    npm_install(&paths::root()?.join("tests/servers"))?;
    let python = python("servers")?;
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
