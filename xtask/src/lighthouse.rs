//! `lighthouse`: measures the demo page with Lighthouse.

use crate::{
    browser,
    command::run,
    paths,
    server::{self, Running},
    web,
    workspace::{self, Packages},
};
use std::process::Command;

/// Measures the page served by the release build with Lighthouse. Not a test, since times depend on
/// the machine.
pub(crate) fn measure() -> anyhow::Result<()> {
    web::build()?;
    server::build()?;
    let tests = paths::root()?.join("tests");
    workspace::install(Packages::All)?;
    let chromium = browser::chromium()?;
    let server = Running::start()?;
    run(
        "Measuring the page with Lighthouse",
        Command::new("node")
            .current_dir(tests.join("lighthouse"))
            .arg("run.mjs")
            .env("BLINDSCORE_URL", &server.url)
            .env("CHROMIUM", chromium),
    )
}
