//! `lighthouse`: measures the demo page with Lighthouse.

use crate::{
    browser,
    command::{npm_install, run},
    paths,
    server::{self, Running},
    web,
};
use std::process::Command;

/// Measures the page served by the release build with Lighthouse. Not a test, since times depend on
/// the machine.
pub(crate) fn measure() -> anyhow::Result<()> {
    web::build()?;
    server::build()?;
    let tests = paths::root()?.join("tests");
    npm_install(&tests.join("browser"))?;
    npm_install(&tests.join("lighthouse"))?;
    let chromium = browser::find_or_install(&tests.join("browser"))?;
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
