//! `encode`: measures how long a browser takes to encode and encrypt a record.

use crate::{
    browser,
    command::run,
    npm, paths,
    workspace::{self, Packages},
};
use std::process::Command;

/// Measures the packed npm package in Chromium. Not a test, since times depend on the machine.
pub(crate) fn measure() -> anyhow::Result<()> {
    npm::build()?;
    workspace::install(Packages::All)?;
    let chromium = browser::chromium()?;
    run(
        "Measuring how long a record takes in Chromium",
        Command::new("node")
            .current_dir(paths::root()?.join("tests").join("packaging"))
            .arg("encode.mjs")
            .env("BLINDSCORE_TARBALL", npm::tarball()?)
            .env("CHROMIUM", chromium),
    )
}
