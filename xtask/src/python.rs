//! Python environments for the tests.

use crate::{
    command::{numbers, output, run},
    paths,
};
use anyhow::{Context, ensure};
use std::{fs, path::PathBuf, process::Command};

/// Oldest Python that all packages support.
const OLDEST: (u32, u32) = (3, 11);

/// Creates a Python environment with the packages of `tests/{tests}/requirements.txt`, and returns
/// its folder.
pub(crate) fn python(tests: &str) -> anyhow::Result<PathBuf> {
    let requirements = paths::root()?.join("tests").join(tests).join("requirements.txt");
    let wanted = fs::read_to_string(&requirements)?;
    let folder = paths::target()?.join("test-python").join(tests);
    let installed = folder.join("requirements.txt");
    if fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(folder);
    }
    check_python()?;
    run(
        "Making a Python environment for the tests",
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&folder),
    )?;
    run(
        &format!("Installing the Python packages of {}", requirements.display()),
        Command::new(folder.join("bin/pip"))
            .args([
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--requirement",
            ])
            .arg(&requirements),
    )?;
    fs::write(installed, wanted)?;
    Ok(folder)
}

/// Fails with an explanation if Python is missing or too old, or can't make environments.
pub(crate) fn check_python() -> anyhow::Result<()> {
    let (major, minor) = OLDEST;
    let needed = format!(
        "Python {major}.{minor} or later is needed for the tests: install it as python3, for instance from \
         https://python.org"
    );
    let version = output("python3", &["--version"]).context(needed.clone())?;
    ensure!(
        version
            .strip_prefix("Python ")
            .and_then(numbers)
            .is_some_and(|version| version >= OLDEST),
        "{needed}; this is {version}"
    );
    output("python3", &["-c", "import ensurepip, venv"])
        .map(drop)
        .context("Python's modules venv and ensurepip are needed: install python3-venv")
}
