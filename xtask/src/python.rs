//! Python environments for the tests.

use crate::{
    command::{output, run},
    paths,
};
use anyhow::{Context, ensure};
use std::{fs, path::PathBuf, process::Command};

/// Minor version of the oldest Python 3 that all packages support.
const OLDEST: u32 = 11;

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
    let needed = format!("Python 3.{OLDEST} or later is needed for these tests");
    let version = output("python3", &["--version"]).context(needed.clone())?;
    let minor = version
        .strip_prefix("Python 3.")
        .and_then(|rest| rest.split('.').next())
        .and_then(|minor| minor.parse::<u32>().ok());
    ensure!(
        minor.is_some_and(|minor| minor >= OLDEST),
        "{needed}, this is {version}"
    );
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
