use crate::{
    browser,
    command::{cargo, npm_install, say},
    docs, mnist, npm, paths, server, web,
};
use anyhow::Context;
use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

/// Every test there is.
pub(crate) fn run() -> anyhow::Result<()> {
    let mnist = mnist::fetch()?;
    web::build()?;
    docs::npm_reference()?;
    server::build()?;
    let tests = paths::root()?.join("tests");
    npm_install(&tests.join("browser"))?;
    npm_install(&tests.join("packaging"))?;
    let chromium = browser::find_or_install(&tests.join("browser"))?;

    cargo(
        "Testing in Rust: units, documentation, and the real server",
        &[
            "test",
            "--release",
            "--workspace",
            "--exclude",
            "xtask",
            "--features",
            server::FEATURES,
        ],
    )?;
    let server = Server::start()?;
    node_tests(
        "Testing the packed npm package in Node",
        &tests.join("node"),
        |command| {
            command
                .env("BLINDSCORE_URL", &server.url)
                .env("BLINDSCORE_TARBALL", npm::tarball()?);
            command.env("MNIST_DIR", &mnist);
            Ok(())
        },
    )?;
    node_tests(
        "Testing the packed npm package in bundlers, workers and plain pages",
        &tests.join("packaging"),
        |command| {
            command
                .env("BLINDSCORE_URL", &server.url)
                .env("BLINDSCORE_TARBALL", npm::tarball()?);
            command.env("CHROMIUM", &chromium).env("MNIST_DIR", &mnist);
            Ok(())
        },
    )?;
    node_tests(
        "Testing the page in Chromium",
        &tests.join("browser"),
        |command| {
            let screenshots = paths::target()?.join("screenshots");
            fs::create_dir_all(&screenshots)?;
            command
                .env("BLINDSCORE_URL", &server.url)
                .env("CHROMIUM", &chromium);
            command.env("MNIST_DIR", &mnist).env("SCREENSHOTS", &screenshots);
            Ok(())
        },
    )?;
    say("All tests passed");
    Ok(())
}

/// Formatting and lints, warnings as errors.
pub(crate) fn lint() -> anyhow::Result<()> {
    cargo("Checking the formatting", &["fmt", "--all", "--check"])?;
    cargo(
        "Checking the lints",
        &[
            "clippy",
            "--release",
            "--workspace",
            "--all-targets",
            "--quiet",
            "--",
            "--deny",
            "warnings",
        ],
    )
}

fn node_tests(
    what: &str,
    folder: &Path,
    prepare: impl FnOnce(&mut Command) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut command = Command::new("node");
    command
        .current_dir(folder)
        .args(["--test", "--test-reporter=spec"]);
    prepare(&mut command)?;
    crate::command::run(what, &mut command)
}

/// The real server with the page, on a free port and an empty store; ends with the value.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start() -> anyhow::Result<Self> {
        let data = paths::target()?.join("test-data");
        if data.exists() {
            fs::remove_dir_all(&data)?;
        }
        let mut child = Command::new(paths::server()?)
            .args(["serve", "--bind", "127.0.0.1:0", "--data-dir"])
            .arg(&data)
            .stdout(Stdio::piped())
            .spawn()
            .context("can't start the server")?;
        let stdout = child.stdout.take().context("the server has no output")?;
        let mut lines = BufReader::new(stdout).lines();
        let url = loop {
            let line = lines.next().context("the server ended before it listened")??;
            if let Some((_, url)) = line.split_once("listening on ") {
                break url.trim().to_owned();
            }
        };
        // Whatever else it prints must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self { child, url })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
