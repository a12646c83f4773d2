use crate::server::without_options;
use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tempfile::TempDir;

/// The program `blindscore` with a home of its own, where it keeps its keys.
pub struct Program {
    home: TempDir,
    url: String,
}

/// How the program ended.
pub struct Ended {
    /// Whether it says that all went well.
    pub success: bool,
    /// Its exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What else it had to say.
    pub stderr: String,
}

impl Program {
    /// For the server at `url`.
    pub fn new(url: &str) -> Self {
        Self {
            home: TempDir::new().expect("a temporary directory"),
            url: url.to_owned(),
        }
    }

    /// Runs it in its home, without any terminal.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        self.run_with(&[], arguments)
    }

    /// Runs it with more environment variables.
    pub fn run_with(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Ended {
        let Output {
            status,
            stdout,
            stderr,
        } = without_options(Command::new(built("blindscore", "BLINDSCORE_BIN")))
            .args(arguments)
            .current_dir(self.home())
            .env("BLINDSCORE_URL", &self.url)
            .env("XDG_DATA_HOME", self.home().join("data"))
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

    /// Where it runs: relative names in its arguments start here.
    pub fn home(&self) -> &Path {
        self.home.path()
    }
}

impl Ended {
    /// Fails unless all went well; gives what it printed.
    #[track_caller]
    pub fn expect_success(self) -> Self {
        assert!(self.success, "{}{}", self.stdout, self.stderr);
        self
    }

    /// Fails unless it failed with these words.
    #[track_caller]
    pub fn expect_failure(self, words: &str) -> Self {
        assert!(!self.success, "{}{}", self.stdout, self.stderr);
        let said = self.stderr.contains(words) && self.stderr.starts_with("error: ");
        assert!(said, "no {words:?} in {}", self.stderr);
        self
    }
}

/// A program to test: the one that an environment variable names, else the one built next to this test.
pub(crate) fn built(name: &str, variable: &str) -> PathBuf {
    let path = env::var_os(variable).map_or_else(|| beside(name), PathBuf::from);
    assert!(
        path.is_file(),
        "{} is missing: run `cargo build --release -p blindscore-server -p blindscore-client --features \
         blindscore-client/cli`, or name another one in {variable}",
        path.display()
    );
    path
}

/// Tests lie in `target/release/deps`, the server and other programs in `target/release`.
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
