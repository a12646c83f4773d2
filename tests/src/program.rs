//! Runs the client program `blindscore`.

use crate::launch::without_options;
use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tempfile::TempDir;

/// The program `blindscore` with a home of its own, where it stores its keys.
pub struct Program {
    home: TempDir,
    url: String,
}

/// Result of running the program.
pub struct Ended {
    /// Whether the exit status was success.
    pub success: bool,
    /// Exit code, unless a signal ended the program.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Program {
    /// Prepares the program for the server at `url`.
    pub fn new(url: &str) -> Self {
        Self {
            home: TempDir::new().expect("a temporary directory"),
            url: url.to_owned(),
        }
    }

    /// Runs the program in its home, without a terminal.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        self.run_with(&[], arguments)
    }

    /// Runs the program with additional environment variables.
    pub fn run_with(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Ended {
        let Output {
            status,
            stdout,
            stderr,
        } = blindscore()
            .args(arguments)
            .current_dir(self.home())
            .env("BLINDSCORE_URL", &self.url)
            .env("XDG_DATA_HOME", self.home().join("data"))
            .env("XDG_CACHE_HOME", self.home().join("cache"))
            .env_remove("SSL_CERT_FILE")
            .envs(variables.iter().copied())
            .output()
            .expect("the program starts");
        Ended {
            success: status.success(),
            code: status.code(),
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        }
    }

    /// Returns the working directory, which relative names in the arguments refer to.
    pub fn home(&self) -> &Path {
        self.home.path()
    }
}

impl Ended {
    /// Checks that the program succeeded, and returns the result.
    #[track_caller]
    pub fn expect_success(self) -> Self {
        assert!(self.success, "{}{}", self.stdout, self.stderr);
        self
    }

    /// Checks that the program failed with an error that contains `words`.
    #[track_caller]
    pub fn expect_failure(self, words: &str) -> Self {
        assert!(!self.success, "{}{}", self.stdout, self.stderr);
        let said = self.stderr.contains(words) && self.stderr.starts_with("error: ");
        assert!(said, "no {words:?} in {}", self.stderr);
        self
    }
}

/// Returns a command for the program `blindscore`, without options from this process's environment.
pub fn blindscore() -> Command {
    without_options(Command::new(built("blindscore", "BLINDSCORE_BIN")))
}

/// Returns the path of a program to test: the one that an environment variable names, or the one
/// built beside this test.
pub(crate) fn built(name: &str, variable: &str) -> PathBuf {
    let path = env::var_os(variable).map_or_else(|| beside(name), PathBuf::from);
    assert!(
        path.is_file(),
        "{} is missing: run `cargo build --release -p blindscore-server -p blindscore-cli`, or name another one in {variable}",
        path.display()
    );
    path
}

/// Returns the path of a program beside the tests: those are in `target/release/deps`, programs in
/// `target/release`.
fn beside(name: &str) -> PathBuf {
    let test = env::current_exe().expect("the path of this test");
    let folder = test.parent().expect("a target directory");
    let profile = if folder.ends_with("deps") {
        folder.parent()
    } else {
        Some(folder)
    };
    profile
        .expect("a target directory")
        .join(name)
        .with_extension(env::consts::EXE_EXTENSION)
}
