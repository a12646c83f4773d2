//! The npm workspace at the root: one lock file for all JavaScript.

use crate::{
    command::{check_node, npm, run},
    paths,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Packages that a task needs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packages {
    /// Those of the npm package and the page.
    Page,
    /// All, with those of the tests.
    All,
}

impl Packages {
    fn name(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::All => "all",
        }
    }
}

/// Installs npm packages from the lock file, unless they are up to date.
pub(crate) fn install(packages: Packages) -> anyhow::Result<()> {
    check_node()?;
    let root = paths::root()?;
    let lock = root.join("package-lock.json");
    // Says which packages are installed, and by its time, from which lock file.
    let marker = node_modules()?.join(".installed");
    let time = |path: &Path| path.metadata().and_then(|meta| meta.modified());
    let current = matches!((time(&lock), time(&marker)), (Ok(lock), Ok(marker)) if marker >= lock);
    let installed = fs::read_to_string(&marker).unwrap_or_default();
    if current && (installed == packages.name() || installed == Packages::All.name()) {
        return Ok(());
    }
    let mut command = npm(&root);
    command.args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]);
    if packages == Packages::Page {
        command.args(["--workspace", "client-wasm/npm", "--workspace", "web"]);
    }
    run("Installing npm packages", &mut command)?;
    fs::write(marker, packages.name())?;
    Ok(())
}

/// Returns the folder of the installed packages.
pub(crate) fn node_modules() -> anyhow::Result<PathBuf> {
    Ok(paths::root()?.join("node_modules"))
}
