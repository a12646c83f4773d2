//! Builds the server and runs it for tests.

use crate::{
    command::cargo,
    launch::{listening, without_options},
    paths,
};
use anyhow::Context;
use std::{
    fs,
    path::Path,
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

/// Packages of the programs.
pub(crate) const PROGRAMS: [&str; 2] = ["blindscore-server", "blindscore-cli"];

/// Builds the server with the page, and the program `blindscore`: `cargo test` builds neither for
/// tests of another crate.
pub(crate) fn build_with_cli() -> anyhow::Result<()> {
    build_with_cli_and(&[])
}

/// Builds the programs like [`build_with_cli`], with more arguments.
pub(crate) fn build_with_cli_and(more: &[&str]) -> anyhow::Result<()> {
    build_programs(&[&["--features", PAGE], more].concat())
}

/// Builds the programs without the page, for which Node isn't needed.
pub(crate) fn build_without_page() -> anyhow::Result<()> {
    build_programs(&[])
}

fn build_programs(more: &[&str]) -> anyhow::Result<()> {
    let mut arguments = vec!["build", "--release"];
    arguments.extend(PROGRAMS.iter().flat_map(|name| ["--package", name]));
    arguments.extend(more);
    cargo(
        "Building the programs blindscore-server and blindscore",
        &arguments,
    )
}

/// The real server with the page, on a free port and with an empty store, stopped on drop.
pub(crate) struct Running {
    child: Child,
    /// URL that it listens on.
    pub(crate) url: String,
}

impl Running {
    /// Starts the server that was built last.
    pub(crate) fn start() -> anyhow::Result<Self> {
        Self::start_program(&paths::server()?, &paths::target()?.join("test-data"))
    }

    /// Starts a server with a data directory, which is emptied first.
    pub(crate) fn start_program(program: &Path, data: &Path) -> anyhow::Result<Self> {
        if data.exists() {
            fs::remove_dir_all(data)?;
        }
        let mut child = without_options(Command::new(program))
            .args(["serve", "--bind", "127.0.0.1:0", "--data-dir"])
            .arg(data)
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
