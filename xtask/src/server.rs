//! Builds the server and runs it for tests.

use crate::{command::cargo, paths};
use anyhow::Context;
use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

/// Feature that embeds the page in the server.
pub(crate) const PAGE: &str = "blindscore-server/page";

/// Builds the server with the page, which must have been built.
pub(crate) fn build() -> anyhow::Result<()> {
    cargo(
        "Building the server",
        &[
            "build",
            "--release",
            "--package",
            "blindscore-server",
            "--features",
            PAGE,
        ],
    )
}

/// Builds the server with the page, and the program `blindscore`: `cargo test` builds neither for
/// tests of another crate.
pub(crate) fn build_with_cli() -> anyhow::Result<()> {
    cargo(
        "Building the programs blindscore-server and blindscore",
        &[
            "build",
            "--release",
            "--package",
            "blindscore-server",
            "--package",
            "blindscore-cli",
            "--features",
            PAGE,
        ],
    )
}

/// The real server with the page, on a free port and with an empty store, stopped on drop.
pub(crate) struct Running {
    child: Child,
    /// URL that it listens on.
    pub(crate) url: String,
}

impl Running {
    pub(crate) fn start() -> anyhow::Result<Self> {
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
        // Drains further output, which could fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self { child, url })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails if the server has exited already, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
