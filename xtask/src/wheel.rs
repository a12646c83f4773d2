//! The Python package: its wheel, with the server inside, and its tests.

use crate::{
    command::{output, run, say},
    paths,
    python::python,
    server,
};
use anyhow::{Context, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Largest size of the wheel, in bytes.
const MOST: u64 = 25_000_000;
/// Largest size of the client in the wheel, compressed, without the server, in bytes.
const MOST_CLIENT: u64 = 4_300_000;

/// Fails with an explanation if there is no Java, which Spark runs on.
pub(crate) fn check_java() -> anyhow::Result<()> {
    output("java", &["-version"]).map(drop).context(
        "Java 17 or later is needed for the tests with Apache Spark: install it from https://adoptium.net",
    )
}

/// Builds the programs and the wheel.
pub(crate) fn build() -> anyhow::Result<()> {
    crate::web::build()?;
    server::build_with_cli()?;
    pack(&paths::server()?).map(drop)
}

/// Builds the wheel with a server inside, and returns its path.
pub(crate) fn pack(server: &Path) -> anyhow::Result<PathBuf> {
    let root = paths::root()?;
    let package = root.join("client-python");
    let programs = package.join("python").join("blindscore").join("bin");
    fs::create_dir_all(&programs)?;
    let name = server.file_name().context("the server has no name")?;
    fs::copy(server, programs.join(name)).with_context(|| format!("copying {}", server.display()))?;
    copy_licences(&package)?;
    let wheels = paths::target()?.join("wheels");
    if wheels.exists() {
        fs::remove_dir_all(&wheels)?;
    }
    let tools = python("wheel")?;
    run(
        "Building the wheel",
        Command::new(tools.join("bin/maturin"))
            .args(["build", "--release", "--quiet", "--manifest-path"])
            .arg(package.join("Cargo.toml"))
            .arg("--interpreter")
            .arg(tools.join("bin/python"))
            .arg("--out")
            .arg(&wheels),
    )?;
    let wheel = only_file(&wheels)?;
    let (bytes, most) = (fs::metadata(&wheel)?.len(), MOST);
    ensure!(bytes <= most, "the wheel has {bytes} bytes, more than {most}");
    say(&format!("{} has {bytes} bytes", wheel.display()));
    Ok(wheel)
}

/// Sources that were packed, and the wheel that was built from them.
pub(crate) struct Sources {
    pub(crate) packed: PathBuf,
    pub(crate) built: PathBuf,
}

/// Packs the sources of the package, without the server, and builds them from what was packed, as
/// `pip` does where there is no wheel.
pub(crate) fn package() -> anyhow::Result<Sources> {
    let package = paths::root()?.join("client-python");
    copy_licences(&package)?;
    let sources = paths::target()?.join("sdist");
    if sources.exists() {
        fs::remove_dir_all(&sources)?;
    }
    let tools = python("wheel")?;
    run(
        "Packing the sources of the Python package",
        Command::new(tools.join("bin/maturin"))
            .args(["sdist", "--manifest-path"])
            .arg(package.join("Cargo.toml"))
            .arg("--out")
            .arg(&sources),
    )?;
    let (packed, built) = (only_file(&sources)?, sources.join("built"));
    run(
        "Building the Python package from what was packed",
        Command::new(tools.join("bin/pip"))
            .args(["wheel", "--quiet", "--disable-pip-version-check", "--no-deps"])
            .arg("--wheel-dir")
            .arg(&built)
            .arg(&packed)
            .env("CARGO_TARGET_DIR", paths::target()?),
    )?;
    let built = only_file(&built)?;
    Ok(Sources { packed, built })
}

/// Copies the licences into the package, which can't name files outside its folder.
fn copy_licences(package: &Path) -> anyhow::Result<()> {
    for licence in ["LICENSE-APACHE", "LICENSE-MIT"] {
        fs::copy(paths::root()?.join(licence), package.join(licence))?;
    }
    Ok(())
}

/// Returns the only file of a folder.
fn only_file(folder: &Path) -> anyhow::Result<PathBuf> {
    let files: Vec<PathBuf> = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<anyhow::Result<_>>()?;
    let [file] = <[PathBuf; 1]>::try_from(files)
        .map_err(|files| anyhow::anyhow!("{} files in {}", files.len(), folder.display()))?;
    Ok(file)
}

/// Builds the wheel and installs it in an environment. Returns its path.
pub(crate) fn install(environment: &Path) -> anyhow::Result<PathBuf> {
    let wheel = pack(&paths::server()?)?;
    install_built(environment, &wheel)?;
    Ok(wheel)
}

/// Installs a wheel in an environment.
pub(crate) fn install_built(environment: &Path, wheel: &Path) -> anyhow::Result<()> {
    run(
        "Installing the wheel",
        Command::new(environment.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check"])
            .args(["--force-reinstall", "--no-deps"])
            .arg(wheel),
    )
}

/// Builds the wheel, installs it in an environment of its own, and tests what is installed.
pub(crate) fn test() -> anyhow::Result<()> {
    let environment = python("python")?;
    let wheel = install(&environment)?;
    let tool = |name: &str| Command::new(environment.join("bin").join(name));
    let package = paths::root()?.join("client-python");
    run(
        "Checking the size of the client in the wheel",
        tool("python")
            .arg(package.join("tests").join("size.py"))
            .arg(&wheel)
            .arg(MOST_CLIENT.to_string()),
    )?;
    // Elsewhere than the sources, so that the installed package is what is imported and checked.
    let scratch = paths::target()?.join("test-data-python");
    if scratch.exists() {
        fs::remove_dir_all(&scratch)?;
    }
    fs::create_dir_all(&scratch)?;
    run(
        "Checking the types of the Python package",
        tool("mypy")
            .current_dir(&scratch)
            // The libraries that models come from have no types, or are not installed.
            .args(["--strict", "--ignore-missing-imports"])
            .args(["--disable-error-code", "import-untyped"])
            .args(["--package", "blindscore"]),
    )?;
    let installed = output(
        environment.join("bin").join("python"),
        &["-c", "import sysconfig; print(sysconfig.get_path('platlib'))"],
    )?;
    run(
        "Checking the types of the Python package as editors do",
        tool("pyright")
            .current_dir(&scratch)
            .args(["--warnings", "--pythonpath"])
            .arg(environment.join("bin").join("python"))
            .arg(Path::new(&installed).join("blindscore")),
    )?;
    run(
        "Testing the Python package, as the wheel",
        tool("pytest")
            .current_dir(&scratch)
            .args(["--quiet", "-p", "no:cacheprovider"])
            .arg("--rootdir")
            .arg(&package)
            .arg(package.join("tests"))
            .env("MNIST_DIR", crate::mnist::fetch()?)
            .env("BLINDSCORE_PROGRAM", paths::program()?),
    )
}
