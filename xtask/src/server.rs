//! Builds the server and runs it for tests.

use crate::{
    command::cargo,
    launch::{listening, without_options},
    paths,
};
use anyhow::Context;
use std::{
    fs,
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
        let mut child = without_options(Command::new(paths::server()?))
            .args(["serve", "--bind", "127.0.0.1:0", "--data-dir"])
            .arg(&data)
            .stdout(Stdio::piped())
            .spawn()
            .context("can't start the server")?;
        let stdout = child.stdout.take().context("the server has no output")?;
        let mut server = Self {
            child,
            url: String::new(),
        };
        server.url = listening(stdout)?;
        Ok(server)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails if the server has exited already, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
