use anyhow::Context;
use std::path::{Path, PathBuf};

/// The repository: where xtask's own folder stands.
pub(crate) fn root() -> anyhow::Result<PathBuf> {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(xtask.parent().context("xtask has no parent folder")?.to_owned())
}

/// What cargo builds into; `CARGO_TARGET_DIR` moves it.
pub(crate) fn target() -> anyhow::Result<PathBuf> {
    Ok(match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => std::path::absolute(dir)?,
        None => root()?.join("target"),
    })
}

/// The server, built in the release profile.
pub(crate) fn server() -> anyhow::Result<PathBuf> {
    Ok(target()?
        .join("release")
        .join(format!("blindscore-server{}", std::env::consts::EXE_SUFFIX)))
}
