//! Paths of the repository and its build folder.

use anyhow::Context;
use std::path::{Path, PathBuf};

/// Returns the root of the repository, the parent of xtask's folder.
pub(crate) fn root() -> anyhow::Result<PathBuf> {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(xtask.parent().context("xtask has no parent folder")?.to_owned())
}

/// Returns cargo's build folder, which `CARGO_TARGET_DIR` may move.
pub(crate) fn target() -> anyhow::Result<PathBuf> {
    Ok(match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => std::path::absolute(dir)?,
        None => root()?.join("target"),
    })
}

/// Returns the path of the program `blindscore` in the release profile.
pub(crate) fn program() -> anyhow::Result<PathBuf> {
    Ok(target()?
        .join("release")
        .join(format!("blindscore{}", std::env::consts::EXE_SUFFIX)))
}

/// Returns the path of the server in the release profile.
pub(crate) fn server() -> anyhow::Result<PathBuf> {
    Ok(target()?
        .join("release")
        .join(format!("blindscore-server{}", std::env::consts::EXE_SUFFIX)))
}
