//! Python environments for tests and measurements.

use crate::{
    command::{numbers, output, run, say},
    paths,
};
use anyhow::{Context, ensure};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Oldest Python that all packages support.
const OLDEST: (u32, u32) = (3, 11);

/// Creates a Python environment with the packages of `tests/{tests}/requirements.txt`, and returns
/// its folder.
pub(crate) fn python(tests: &str) -> anyhow::Result<PathBuf> {
    let requirements = paths::root()?.join("tests").join(tests).join("requirements.txt");
    environment(tests, &requirements, None)
}

/// Creates a Python environment with the packages of a file, unless it is there, and returns its
/// folder. `version` asks for a certain Python, such as 3.10, instead of `python3`.
pub(crate) fn environment(
    name: &str,
    requirements: &Path,
    version: Option<(u32, u32)>,
) -> anyhow::Result<PathBuf> {
    let wanted = fs::read_to_string(requirements)?;
    let folder = paths::target()?.join("test-python").join(name);
    let installed = folder.join("requirements.txt");
    if fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(folder);
    }
    let interpreter = match version {
        Some(version) => interpreter(version)?,
        None => {
            check_python()?;
            PathBuf::from("python3")
        }
    };
    run(
        "Making a Python environment",
        Command::new(interpreter)
            .args(["-m", "venv", "--clear"])
            .arg(&folder),
    )?;
    install(&folder, requirements)?;
    fs::write(installed, wanted)?;
    Ok(folder)
}

/// Installs the packages of a file. On failure, the error has pip's last word.
fn install(folder: &Path, requirements: &Path) -> anyhow::Result<()> {
    say(&format!(
        "Installing the Python packages of {}",
        requirements.display()
    ));
    let pip = Command::new(folder.join("bin/pip"))
        .args([
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--requirement",
        ])
        .arg(requirements)
        .output()
        .context("can't start pip")?;
    let told = String::from_utf8_lossy(&pip.stderr);
    eprint!("{told}");
    let last = told.trim().lines().last().unwrap_or("no message");
    ensure!(pip.status.success(), "pip can't install its packages: {last}");
    Ok(())
}

/// Finds a Python of a certain version: on the `PATH`, or one that pyenv has installed.
fn interpreter((major, minor): (u32, u32)) -> anyhow::Result<PathBuf> {
    let name = format!("python{major}.{minor}");
    let pyenv = env::var_os("PYENV_ROOT")
        .map(PathBuf::from)
        .or_else(|| Some(env::home_dir()?.join(".pyenv")));
    let versions = pyenv.and_then(|pyenv| fs::read_dir(pyenv.join("versions")).ok());
    let of_pyenv = versions
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin").join(&name));
    [PathBuf::from(&name), PathBuf::from("python3")]
        .into_iter()
        .chain(of_pyenv)
        // A name on the PATH may be a stand-in of pyenv's that only fails.
        .find(|python| version(python) == Some((major, minor)))
        .with_context(|| format!("Python {major}.{minor} wasn't found as {name}, nor among pyenv's versions"))
}

/// Returns the version of a Python that can make environments.
fn version(python: &Path) -> Option<(u32, u32)> {
    let program = "import ensurepip, platform, venv; print(platform.python_version())";
    let found = Command::new(python)
        .args(["-c", program])
        .stderr(Stdio::null())
        .output();
    let found = found.ok().filter(|found| found.status.success())?;
    numbers(str::from_utf8(&found.stdout).ok()?.trim())
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
