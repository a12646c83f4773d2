//! The Python package: its wheel, and its sources.

use super::{
    Release, VERSION,
    bom::{self, Build, Linked, Subject},
    page::{CLIENT, WEB},
    scratch,
};
use crate::{command::run, installed, paths, server::PAGE, wheel};
use anyhow::ensure;
use std::{path::Path, process::Command};

/// Builds the wheel with the server that the tarball has, and scores with both.
pub(super) fn make_wheel(release: &mut Release) -> anyhow::Result<()> {
    let programs = release.programs()?;
    let wheel = wheel::pack(&programs.server())?;
    let name = release.keep(&wheel)?;
    let scratch = scratch("wheel")?;
    run(
        "Unpacking the wheel",
        Command::new("python3")
            .args(["-m", "zipfile", "--extract"])
            .arg(&wheel)
            .arg(scratch.join("unpacked")),
    )?;
    let library = scratch.join("unpacked/blindscore/_blindscore.abi3.so");
    let list = name.strip_suffix(".whl").unwrap_or(&name);
    bom::write(
        &release.folder.join(format!("{list}.cdx.json")),
        &Subject {
            kind: "library",
            name: "blindscore",
            version: VERSION,
            purl: format!("pkg:pypi/blindscore@{VERSION}"),
        },
        &[
            Build {
                packages: &["blindscore-python", "blindscore-server"],
                features: &[PAGE],
                target: &programs.target,
            },
            CLIENT,
        ],
        &[WEB],
        &Linked(vec![
            library,
            scratch.join("unpacked/blindscore/bin/blindscore-server"),
        ]),
        release.time,
    )?;
    check(
        "Scoring from Python, with the wheel's own server",
        &scratch,
        &wheel,
        None,
    )
}

/// Packs the sources, builds what was packed, and scores with the result. It has no server of its
/// own.
pub(super) fn make_sdist(release: &mut Release) -> anyhow::Result<()> {
    let programs = release.programs()?;
    let sources = wheel::package()?;
    let name = release.keep(&sources.packed)?;
    ensure!(
        name == format!("blindscore-{VERSION}.tar.gz"),
        "the sources of the Python package are named {name}"
    );
    let scratch = scratch("sdist")?;
    let server = programs.start(&scratch)?;
    let what = "Scoring from Python, with what its sources were built to";
    check(what, &scratch, &sources.built, Some(&server.url))
}

/// Installs a wheel in an empty environment, and scores.
fn check(what: &str, scratch: &Path, wheel: &Path, url: Option<&str>) -> anyhow::Result<()> {
    let environment = scratch.join("environment");
    run(
        "Making an empty Python environment",
        Command::new("python3").args(["-m", "venv"]).arg(&environment),
    )?;
    run(
        "Installing the Python package",
        Command::new(environment.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check"])
            .arg(wheel),
    )?;
    let mut script = Command::new(environment.join("bin/python"));
    // Elsewhere than the sources, so that what is installed is what is imported.
    script
        .current_dir(scratch)
        .arg(paths::root()?.join("tests/release/score.py"))
        .args(["--version", VERSION]);
    if let Some(url) = url {
        script.args(["--url", url]);
    }
    installed::prints_scores(what, &mut script, scratch)
}
