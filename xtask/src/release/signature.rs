//! The signature of `SHA256SUMS` by Sigstore: with a key that exists for one signature, and a
//! certificate that says which workflow had it. In a dry run, certificates come from a Sigstore on
//! this machine; all else is the same.

use super::{VERSION, scratch, sums};
use crate::{
    command::{run, say},
    paths,
    python::python,
    workspace::{self, Packages},
};
use anyhow::{Context, bail, ensure};
use std::{
    env,
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader},
    iter,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// Where the commands are with which users verify a release.
const DOCUMENT: &str = "docs/operations.md";
const HEADING: &str = "## Verify a release";

/// Variables with the client of Sigstore that is started for a dry run, and what it trusts.
const PROGRAM: &str = "DRY_RUN_SIGSTORE";
const TRUST: &str = "DRY_RUN_TRUST";

/// A Sigstore, and the program that asks it.
pub(super) struct Sigstore {
    /// Folder with the program `sigstore`.
    programs: PathBuf,
    /// The client that it starts, if it isn't that itself.
    client: PathBuf,
    /// The private one of a dry run.
    private: Option<Private>,
}

/// A Sigstore on this machine, which ends on drop.
struct Private {
    process: Child,
    folder: PathBuf,
}

impl Sigstore {
    /// Returns the public one, which everyone trusts.
    pub(super) fn public() -> anyhow::Result<Self> {
        if env::var_os("ACTIONS_ID_TOKEN_REQUEST_URL").is_none() {
            bail!(
                "only GitHub's workflows have an identity that can sign a release, and they need the \
                 permission id-token: write; cargo xtask release --dry-run signs with one of its own"
            );
        }
        let programs = python("signing")?.join("bin");
        Ok(Self {
            client: programs.join("sigstore"),
            programs,
            private: None,
        })
    }

    /// Starts a private one, for a dry run.
    pub(super) fn private() -> anyhow::Result<Self> {
        workspace::install(Packages::All)?;
        let sigstore = python("signing")?.join("bin");
        let private = Private::start()?;
        // The documented commands name no Sigstore, so that they ask the public one: a wrapper
        // named `sigstore` redirects them to this one.
        let programs = private.folder.join("bin");
        fs::create_dir(&programs)?;
        let program = programs.join("sigstore");
        let script = format!("#!/bin/sh\nexec \"${PROGRAM}\" --trust-config \"${TRUST}\" \"$@\"\n");
        fs::write(&program, script)?;
        run(
            "Making it a program",
            Command::new("chmod").arg("+x").arg(&program),
        )?;
        Ok(Self {
            programs,
            client: sigstore.join("sigstore"),
            private: Some(private),
        })
    }

    /// Signs the hashes in a folder.
    pub(super) fn sign(&self, folder: &Path) -> anyhow::Result<()> {
        self.sign_as(folder, "release")
    }

    /// Signs as an identity of the private Sigstore. The public one gives the workflow its own.
    fn sign_as(&self, folder: &Path, identity: &str) -> anyhow::Result<()> {
        let mut command = self.command(self.programs.join("sigstore"))?;
        command
            .current_dir(folder)
            .args(["sign", "--overwrite", "--bundle", sums::SIGNATURE, sums::NAME]);
        if let Some(private) = &self.private {
            let token = fs::read_to_string(private.folder.join(identity))?;
            command.env("SIGSTORE_IDENTITY_TOKEN", token);
        }
        run("Signing the hashes", &mut command)
    }

    /// Verifies the files in a folder with the commands of the documentation.
    pub(super) fn verify(&self, folder: &Path) -> anyhow::Result<()> {
        let commands = documented()?;
        run(
            &format!("Verifying as {DOCUMENT} says\n{commands}"),
            &mut self.verification(folder, &commands)?,
        )
    }

    fn verification(&self, folder: &Path, commands: &str) -> anyhow::Result<Command> {
        let mut command = self.command("sh")?;
        command.current_dir(folder).args(["-euc", commands]);
        Ok(command)
    }

    /// Fails unless the documented commands refuse a file, hashes and a signer other than the
    /// release's.
    pub(super) fn refuses_changes(&self, folder: &Path) -> anyhow::Result<()> {
        let files = sums::files(folder)?;
        let file = files.first().context("there is no file to change")?;
        for what in [
            "a changed file",
            "a changed file with its hash",
            "a signer from elsewhere",
        ] {
            let copy = scratch("changed")?;
            for name in [file, sums::NAME, sums::SIGNATURE] {
                fs::copy(folder.join(name), copy.join(name))?;
            }
            if what == "a signer from elsewhere" {
                self.sign_as(&copy, "elsewhere")?;
            } else {
                let mut bytes = fs::read(copy.join(file))?;
                *bytes.last_mut().context("the file is empty")? ^= 1;
                fs::write(copy.join(file), bytes)?;
            }
            if what == "a changed file with its hash" {
                fs::remove_file(copy.join(sums::NAME))?;
                fs::remove_file(copy.join(sums::SIGNATURE))?;
                sums::write(&copy)?;
                fs::copy(folder.join(sums::SIGNATURE), copy.join(sums::SIGNATURE))?;
            }
            say(&format!("Verifying {what}, which has to be refused"));
            let status = self.verification(&copy, &documented()?)?.status()?;
            ensure!(!status.success(), "{what} was accepted");
        }
        Ok(())
    }

    /// Returns a command that finds `sigstore`.
    fn command(&self, program: impl AsRef<OsStr>) -> anyhow::Result<Command> {
        let others = env::var_os("PATH").unwrap_or_default();
        let folders = iter::once(self.programs.clone()).chain(env::split_paths(&others));
        let mut command = Command::new(program);
        command.env("PATH", env::join_paths(folders)?);
        if let Some(private) = &self.private {
            command.env(PROGRAM, &self.client).env(TRUST, private.trust());
        }
        Ok(command)
    }
}

impl Private {
    fn start() -> anyhow::Result<Self> {
        let folder = scratch("sigstore")?;
        say("Starting a Sigstore on this machine, with keys that are thrown away");
        let mut process = Command::new("node")
            .arg(paths::root()?.join("tests/signing/sigstore.mjs"))
            .args([&folder, Path::new(VERSION)])
            .stdout(Stdio::piped())
            .spawn()
            .context("can't start Node")?;
        let output = process.stdout.take().context("Node has no output")?;
        let private = Self { process, folder };
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        ensure!(
            line == "ready\n",
            "the private Sigstore doesn't start: it said {line:?}"
        );
        Ok(private)
    }

    /// Returns the file that says what its clients trust.
    fn trust(&self) -> PathBuf {
        self.folder.join("trust.json")
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        // Fails if it has exited already, which is fine.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns the commands with which users verify a release.
fn documented() -> anyhow::Result<String> {
    let text = fs::read_to_string(paths::root()?.join(DOCUMENT))?;
    block(&text, HEADING).with_context(|| format!("{DOCUMENT} has no commands under {HEADING:?}"))
}

/// Returns the first block of shell commands below a heading.
fn block(text: &str, heading: &str) -> Option<String> {
    let mut lines = text.lines().skip_while(|line| *line != heading).skip(1);
    lines
        .find(|line| *line == "```sh" || line.starts_with("## "))
        .filter(|line| *line == "```sh")?;
    let commands: Vec<&str> = lines.take_while(|line| *line != "```").collect();
    (!commands.is_empty()).then(|| commands.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_below_a_heading_are_found_and_no_others() {
        let text = "## One\n\n```sh\nfirst\n```\n\n## Two\n\nText\n\n```sh\nsecond \\\n  more\n```\n\n\
            ```sh\nthird\n```\n\
            ## Three\n\n## Four\n\n```sh\nfourth\n```\n";
        assert_eq!(block(text, "## Two").as_deref(), Some("second \\\n  more"));
        assert_eq!(block(text, "## Three"), None);
        assert_eq!(block(text, "## Five"), None);
    }

    #[test]
    fn the_documented_commands_name_the_workflow_at_this_version() {
        let commands = documented().expect("commands");
        let identity = format!("/.github/workflows/release.yml@refs/tags/v{VERSION}");
        assert!(commands.contains(&identity), "{commands}");
    }
}
