//! Programs that tests need and cargo doesn't build: how they are found, and what installs them.

use crate::command::{output, run, say};
use anyhow::bail;
use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// A program: how it is found, and what installs it.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    /// Variable that names the program.
    pub(crate) variable: &'static str,
    /// Names on the `PATH`.
    pub(crate) programs: &'static [&'static str],
    /// Other places where it may be.
    pub(crate) places: &'static [&'static str],
    /// Debian's packages; none if Debian has no recent one.
    pub(crate) packages: &'static [&'static str],
}

impl Program {
    /// Finds the program, or installs it with apt if root on Debian. `None` if neither is possible.
    pub(crate) fn find_or_apt(&self) -> anyhow::Result<Option<PathBuf>> {
        if let Some(path) = env::var_os(self.variable) {
            return Ok(Some(path.into()));
        }
        if let Some(path) = self.installed() {
            say(&format!("Using {} at {}", self.name, path.display()));
            return Ok(Some(path));
        }
        let root = output("id", &["-u"]).is_ok_and(|id| id == "0");
        if !root || self.packages.is_empty() || !Path::new("/etc/debian_version").exists() {
            return Ok(None);
        }
        let name = self.name;
        run(
            &format!("Installing {name} with apt: package lists"),
            Command::new("apt-get").args(["update", "-qq"]),
        )?;
        run(
            &format!("Installing {name} with apt"),
            Command::new("apt-get")
                .args(["install", "-y", "-qq", "--no-install-recommends"])
                .args(self.packages)
                .env("DEBIAN_FRONTEND", "noninteractive"),
        )?;
        match self.installed() {
            Some(path) => Ok(Some(path)),
            None => bail!("apt installed {name}, but it is not on the PATH"),
        }
    }

    fn installed(&self) -> Option<PathBuf> {
        let folders: Vec<PathBuf> = env::split_paths(&env::var_os("PATH")?).collect();
        let mut candidates = folders
            .iter()
            .flat_map(|folder| self.programs.iter().map(|program| folder.join(program)))
            .chain(self.places.iter().map(PathBuf::from));
        candidates.find(|path| path.is_file())
    }
}
