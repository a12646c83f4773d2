//! The server as a static program: for musl, which resolves names without libraries at run time.

use crate::{
    command::{cargo_with, output},
    paths,
    server::PAGE,
    targets, web,
};
use anyhow::{Context, bail, ensure};
use clap::ValueEnum;
use std::{env, ffi::OsString, path::PathBuf};

/// Architecture, by the name that images give it.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Arch {
    Amd64,
    Arm64,
}

impl Arch {
    /// Returns this machine's.
    pub(super) fn host() -> anyhow::Result<Self> {
        ensure!(
            cfg!(target_os = "linux"),
            "images are built on Linux; elsewhere, `docker build .` does all of it in containers"
        );
        match env::consts::ARCH {
            "x86_64" => Ok(Self::Amd64),
            "aarch64" => Ok(Self::Arm64),
            other => bail!("images are built on amd64 and arm64, and this is {other}"),
        }
    }

    /// Returns its name in images.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// Returns Rust's name for it.
    fn rust(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }

    /// Returns Rust's target.
    pub(super) fn target(self) -> String {
        format!("{}-unknown-linux-musl", self.rust())
    }
}

/// Builds the page and the static server with the page inside, and returns the server's path.
pub(super) fn build(arch: Arch) -> anyhow::Result<PathBuf> {
    let tools = tools(arch)?;
    let target = arch.target();
    targets::install(&target)?;
    web::build()?;
    cargo_with(
        "Building the static server",
        &["build", "--release", "--locked", "--target", &target],
        |cargo| {
            cargo
                .args(["--package", "blindscore-server", "--features", PAGE])
                .envs(tools)
        },
    )?;
    Ok(paths::target()?
        .join(target)
        .join("release")
        .join("blindscore-server"))
}

/// Returns the variables that name the C compiler and the linker, unless the environment has them.
pub(super) fn tools(arch: Arch) -> anyhow::Result<Vec<(String, OsString)>> {
    let native = arch == Arch::host()?;
    let (compiler, package) = if native {
        ("musl-gcc".to_owned(), "musl-tools".to_owned())
    } else {
        let compiler = format!("{}-linux-gnu-gcc", arch.rust());
        (
            compiler,
            format!("gcc-{}-linux-gnu", arch.rust().replace('_', "-")),
        )
    };
    let name = arch.target().replace('-', "_");
    let mut variables = vec![format!("CC_{name}")];
    if !native {
        variables.push(format!("CARGO_TARGET_{}_LINKER", name.to_uppercase()));
    }
    variables.retain(|variable| env::var_os(variable).is_none());
    if !variables.is_empty() {
        output(&compiler, &["--version"])
            .with_context(|| format!("{compiler} is needed: apt-get install {package}"))?;
    }
    let named = variables.into_iter();
    Ok(named
        .map(|variable| (variable, compiler.clone().into()))
        .collect())
}
