//! Finds or installs the browsers for the tests.

use crate::{command::run, paths, programs::Program, workspace::node_modules};
use anyhow::bail;
use std::{path::PathBuf, process::Command};

const CHROMIUM: Program = Program {
    name: "Chromium",
    variable: "CHROMIUM",
    programs: &[
        "chromium",
        "chromium-browser",
        "google-chrome",
        "google-chrome-stable",
    ],
    places: &["/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"],
    packages: &["chromium", "fonts-dejavu-core"],
};

const FIREFOX: Program = Program {
    name: "Firefox",
    variable: "FIREFOX",
    programs: &["firefox-esr", "firefox"],
    places: &["/Applications/Firefox.app/Contents/MacOS/firefox"],
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
