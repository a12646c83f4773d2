//! Finds or installs Chromium for the browser tests.

use crate::command::{output, run, say};
use anyhow::bail;
use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

const NAMES: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];
const MACOS: &str = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome";

/// Finds Chromium, or installs it: with apt if root on Debian, otherwise Playwright's own. `tests`
/// must have playwright-core installed.
pub(crate) fn find_or_install(tests: &Path) -> anyhow::Result<PathBuf> {
    if let Some(path) = env::var_os("CHROMIUM") {
        return Ok(path.into());
    }
    if let Some(path) = installed() {
        say(&format!("Using the browser at {}", path.display()));
        return Ok(path);
    }
    let root = output("id", &["-u"]).is_ok_and(|id| id == "0");
    if root && Path::new("/etc/debian_version").exists() {
        run(
            "Installing Chromium with apt: package lists",
            Command::new("apt-get").args(["update", "-qq"]),
        )?;
        run(
            "Installing Chromium with apt",
            Command::new("apt-get")
                .args([
                    "install",
                    "-y",
                    "-qq",
                    "--no-install-recommends",
                    "chromium",
                    "fonts-dejavu-core",
                ])
                .env("DEBIAN_FRONTEND", "noninteractive"),
        )?;
        return match installed() {
            Some(path) => Ok(path),
            None => bail!("apt installed chromium, but it is not on the PATH"),
        };
    }
    run(
        "Installing Playwright's Chromium",
        Command::new("node").current_dir(tests).args([
            "node_modules/playwright-core/cli.js",
            "install",
            "chromium",
        ]),
    )?;
    let script = "import('playwright-core').then(p => console.log(p.chromium.executablePath()))";
    let path = Command::new("node")
        .current_dir(tests)
        .args(["-e", script])
        .output()?;
    Ok(String::from_utf8(path.stdout)?.trim().into())
}

fn installed() -> Option<PathBuf> {
    let folders: Vec<PathBuf> = env::split_paths(&env::var_os("PATH")?).collect();
    let candidates = folders
        .iter()
        .flat_map(|folder| NAMES.map(|name| folder.join(name)));
    candidates.chain([MACOS.into()]).find(|path| path.is_file())
}
