use crate::{
    browser,
    command::{npm_install, run},
    paths,
    server::{self, Running},
    web,
};
use std::process::Command;

/// Has Lighthouse judge the page that the release build serves. Times depend on the machine, so it is no test.
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
