//! Finds or installs the browsers for the tests.

use crate::{
    command::{output, run, say},
    paths,
    workspace::node_modules,
};
use anyhow::bail;
use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// A browser: how it is found, and what installs it.
struct Browser {
    name: &'static str,
    /// Variable that names the program.
    variable: &'static str,
    /// Names on the `PATH`.
    programs: &'static [&'static str],
    macos: &'static str,
    /// Debian's packages.
    packages: &'static [&'static str],
}

const CHROMIUM: Browser = Browser {
    name: "Chromium",
    variable: "CHROMIUM",
    programs: &[
        "chromium",
        "chromium-browser",
        "google-chrome",
        "google-chrome-stable",
    ],
    macos: "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    packages: &["chromium", "fonts-dejavu-core"],
};

const FIREFOX: Browser = Browser {
    name: "Firefox",
    variable: "FIREFOX",
    programs: &["firefox-esr", "firefox"],
    macos: "/Applications/Firefox.app/Contents/MacOS/firefox",
    packages: &["firefox-esr"],
};

/// Finds Chromium, or installs it: with apt if root on Debian, otherwise Playwright's own, for
/// which the npm packages must be installed.
pub(crate) fn chromium() -> anyhow::Result<PathBuf> {
    if let Some(path) = CHROMIUM.find_or_apt()? {
        return Ok(path);
    }
    run(
        "Installing Playwright's Chromium",
        Command::new("node")
            .arg(node_modules()?.join("playwright-core").join("cli.js"))
            .args(["install", "chromium"]),
    )?;
    let script = "import('playwright-core').then(p => console.log(p.chromium.executablePath()))";
    let path = Command::new("node")
        .current_dir(paths::root()?)
        .args(["-e", script])
        .output()?;
    Ok(String::from_utf8(path.stdout)?.trim().into())
}

/// Finds Firefox, or installs it with apt if root on Debian.
pub(crate) fn firefox() -> anyhow::Result<PathBuf> {
    match FIREFOX.find_or_apt()? {
        Some(path) => Ok(path),
        None => bail!(
            "Firefox is needed for the tests: install it from https://firefox.com, or name its program in FIREFOX"
        ),
    }
}

impl Browser {
    fn find_or_apt(&self) -> anyhow::Result<Option<PathBuf>> {
        if let Some(path) = env::var_os(self.variable) {
            return Ok(Some(path.into()));
        }
        if let Some(path) = self.installed() {
            say(&format!("Using the browser at {}", path.display()));
            return Ok(Some(path));
        }
        let root = output("id", &["-u"]).is_ok_and(|id| id == "0");
        if !root || !Path::new("/etc/debian_version").exists() {
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
            .chain([self.macos.into()]);
        candidates.find(|path| path.is_file())
    }
}
