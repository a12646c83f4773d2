//! The programs that build images: docker and buildah.

use super::{NAME, folder, program::Arch};
use crate::{
    command::{output, run},
    paths,
};
use anyhow::{Context, bail};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A program that builds images.
pub(super) enum Builder {
    Docker,
    Buildah(Buildah),
}

impl Builder {
    /// Returns docker if its daemon answers, else buildah.
    pub(super) fn find() -> anyhow::Result<Self> {
        if succeeds("docker", &["info"]) {
            if !succeeds("docker", &["buildx", "version"]) {
                bail!("docker's buildx is needed: apt-get install docker-buildx, or docker-buildx-plugin")
            }
            return Ok(Self::Docker);
        }
        Buildah::find()
            .map(Self::Buildah)
            .context("docker is not there, or its daemon doesn't answer")
    }

    /// Builds the image from its files, saves it as `archive`, and returns its id.
    pub(super) fn build(&self, arch: Arch, files: &Path, archive: &Path) -> anyhow::Result<String> {
        if archive.exists() {
            fs::remove_file(archive)?;
        }
        let id = folder()?.join(format!("id-{}", arch.name()));
        let mut command = match self {
            Self::Docker => {
                let mut docker = Command::new("docker");
                docker.args(["buildx", "build", "--load"]);
                docker
            }
            Self::Buildah(buildah) => {
                buildah.forget()?;
                let mut command = buildah.command();
                // OCI's own format has no health check.
                command.args(["bud", "--isolation", "chroot", "--format", "docker"]);
                command
            }
        };
        command
            .args(["--platform", &format!("linux/{}", arch.name())])
            .arg("--build-context")
            .arg(format!("files={}", files.display()))
            .arg("--file")
            .arg(paths::root()?.join("Dockerfile"))
            .arg("--iidfile")
            .arg(&id)
            .args(["--tag", NAME])
            .arg(files);
        run("Building the image", &mut command)?;
        self.save(archive)?;
        Ok(fs::read_to_string(id)?.trim().to_owned())
    }

    fn save(&self, archive: &Path) -> anyhow::Result<()> {
        let mut command = match self {
            Self::Docker => Command::new("docker"),
            Self::Buildah(buildah) => buildah.command(),
        };
        match self {
            Self::Docker => command.args(["save", "--output"]).arg(archive).arg(NAME),
            Self::Buildah(_) => command
                .args(["push", "--quiet", NAME])
                .arg(format!("docker-archive:{}:{NAME}", archive.display())),
        };
        run("Saving the image", &mut command)
    }
}

fn succeeds(program: &str, args: &[&str]) -> bool {
    let quiet = Command::new(program)
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    quiet.is_ok_and(|status| status.success())
}

/// Buildah with a store of its own, whatever the machine's is set to, and plain folders as layers:
/// they work inside containers too.
#[derive(Clone)]
pub(super) struct Buildah {
    store: PathBuf,
}

impl Buildah {
    /// Checks that buildah is there.
    pub(super) fn find() -> anyhow::Result<Self> {
        output("buildah", &["--version"]).context("buildah is needed: apt-get install buildah")?;
        Ok(Self {
            store: folder()?.join("store"),
        })
    }

    /// Returns a command that uses the store.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new("buildah");
        command
            .args(["--storage-driver", "vfs", "--root"])
            .arg(self.store.join("root"))
            .arg("--runroot")
            .arg(self.store.join("run"));
        command
    }

    /// Returns the standard output of a command, trimmed.
    pub(super) fn output(&self, args: &[&str]) -> anyhow::Result<String> {
        let output = self.command().args(args).stderr(Stdio::inherit()).output()?;
        if !output.status.success() {
            bail!("buildah {args:?} ended with {}", output.status);
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Removes all images: layers of older ones would stay.
    fn forget(&self) -> anyhow::Result<()> {
        self.output(&["rm", "--all"])?;
        self.output(&["rmi", "--all", "--force"]).map(drop)
    }
}
