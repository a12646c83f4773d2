//! `test`: every test.

use crate::{
    browser,
    command::{cargo, cargo_with, check_node, say},
    docs, fleet, fuzz, mnist, npm, paths,
    python::{check_python, python},
    server::{self, Running},
    servers, web, wheel,
    workspace::{self, Packages},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The browsers' programs.
struct Browsers {
    chromium: PathBuf,
    firefox: PathBuf,
}

/// Checks for the programs that the tests need, before half an hour of building. Installs those
/// that xtask can install, and fails with an explanation if another is missing.
fn prerequisites() -> anyhow::Result<Browsers> {
    check_node()?;
    check_python()?;
    wheel::check_java()?;
    fuzz::check_compiler()?;
    fleet::prerequisites()?;
    let firefox = browser::firefox()?;
    workspace::install(Packages::All)?;
    let chromium = browser::chromium()?;
    Ok(Browsers { chromium, firefox })
}

/// Runs all tests.
pub(crate) fn run() -> anyhow::Result<()> {
    let Browsers { chromium, firefox } = prerequisites()?;
    let mnist = mnist::fetch()?;
    web::build()?;
    docs::npm_reference()?;
    server::build_with_cli()?;
    let tests = paths::root()?.join("tests");

    let python_of_servers = servers::install()?;
    units()?;
    cargo_with(
        "Testing the real programs",
        &[
            "test",
            "--release",
            "--package",
            "blindscore-tests",
            "--features",
            server::PAGE,
            "--features",
            "servers",
        ],
        |cargo| cargo.env("TEST_PYTHON", python_of_servers),
    )?;
    fleet::check()?;
    known_answers()?;
    let server = Running::start()?;
    node_tests(
        "Testing the packed npm package in Node",
        &tests.join("node"),
        |command| {
            command
                .env("BLINDSCORE_URL", &server.url)
                .env("BLINDSCORE_TARBALL", npm::tarball()?)
                .env("BLINDSCORE_SERVER", paths::server()?)
                .env("BLINDSCORE_PROGRAM", paths::program()?);
            command.env("MNIST_DIR", &mnist);
            Ok(())
        },
    )?;
    node_tests(
        "Testing the packed npm package in bundlers, workers and plain pages",
        &tests.join("packaging"),
        |command| {
            command
                .env("BLINDSCORE_URL", &server.url)
                .env("BLINDSCORE_TARBALL", npm::tarball()?)
                .env("BLINDSCORE_SERVER", paths::server()?)
                .env("BLINDSCORE_PROGRAM", paths::program()?);
            command.env("CHROMIUM", &chromium).env("MNIST_DIR", &mnist);
            Ok(())
        },
    )?;
    node_tests(
        "Testing the page in Chromium and Firefox",
        &tests.join("browser"),
        |command| {
            let screenshots = paths::target()?.join("screenshots");
            fs::create_dir_all(&screenshots)?;
            command
                .env("BLINDSCORE_URL", &server.url)
                .env("BLINDSCORE_SERVER", paths::server()?);
            command.env("CHROMIUM", &chromium).env("FIREFOX", &firefox);
            command.env("MNIST_DIR", &mnist).env("SCREENSHOTS", &screenshots);
            Ok(())
        },
    )?;
    wheel::test()?;
    let python = python("tutorial")?;
    kinds(&python)?;
    node_tests(
        "Testing the tutorial, as a reader does it",
        &tests.join("tutorial"),
        |command| {
            command.env("TUTORIAL_TARGET", paths::target()?);
            command.env("TUTORIAL_PYTHON", python);
            Ok(())
        },
    )?;
    drop(server);
    fuzz::test()?;
    say("All tests passed");
    Ok(())
}

/// Our libraries.
const LIBRARIES: [&str; 6] = [
    "blindscore-protocol",
    "blindscore-client",
    "blindscore-remote",
    "blindscore-engine",
    "blindscore-import",
    "blindscore-server",
];

/// Our programs, which hold no unit that spends time.
const PROGRAMS: [&str; 3] = ["blindscore-cli", "blindscore-fuzz", "blindscore-fhe-benchmark"];

/// Our crates in which the tests' time goes into computation. The others are compiled in half the
/// time with little optimisation.
const COMPUTING: [&str; 3] = ["blindscore-protocol", "blindscore-client", "blindscore-engine"];

/// Runs the unit tests and the examples in the documentation, with debug assertions and overflow
/// checks in our own crates. The real programs, which other tests run, have neither. Dependencies
/// keep their settings, so that none is compiled twice.
fn units() -> anyhow::Result<()> {
    let tested = [&LIBRARIES[..], &PROGRAMS].concat();
    let mut settings = Vec::new();
    for name in &tested {
        let mut set = |setting| settings.push(format!("profile.release.package.{name}.{setting}"));
        set("debug-assertions=true");
        set("overflow-checks=true");
        if !COMPUTING.contains(name) {
            set("opt-level=1");
        }
    }
    let mut common = vec!["--features", server::PAGE];
    common.extend(tested.iter().flat_map(|&name| ["--package", name]));
    common.extend(settings.iter().flat_map(|setting| ["--config", setting.as_str()]));
    cargo(
        "Testing units in Rust, with debug assertions and checks for overflow",
        &[&["test", "--release", "--lib", "--bins"][..], &common].concat(),
    )?;
    // With the same settings, so that nothing is compiled again. Crates without examples are left
    // out (`doctest = false`).
    cargo(
        "Testing the examples in the documentation of Rust",
        &[&["test", "--release", "--doc"][..], &common].concat(),
    )?;
    // With the profile that it was built with, so that nothing but xtask is compiled again.
    cargo(
        "Testing units of xtask",
        &["test", "--package", "xtask", "--profile", "xtask"],
    )
}

/// Checks the vectors that the Rust tests have checked, with a reader that shares no code with
/// them.
fn known_answers() -> anyhow::Result<()> {
    let python = python("vectors")?.join("bin/python");
    let reader = paths::root()?.join("tests/vectors/check.py");
    crate::command::run(
        "Checking known answers in Python",
        Command::new(python).arg(reader),
    )
}

/// Converts and imports each kind of model of scikit-learn, and compares the outcomes with the
/// table of kinds.
fn kinds(python: &Path) -> anyhow::Result<()> {
    let root = paths::root()?;
    crate::command::run(
        "Importing every kind of scikit-learn model",
        Command::new(python.join("bin/python"))
            .arg(root.join("tests/coverage/kinds.py"))
            .arg(paths::program()?)
            .arg("--table")
            .arg(root.join("models/kinds.md")),
    )
}

fn node_tests(
    what: &str,
    folder: &Path,
    prepare: impl FnOnce(&mut Command) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut command = Command::new("node");
    command
        .current_dir(folder)
        .args(["--test", "--test-reporter=spec"]);
    prepare(&mut command)?;
    crate::command::run(what, &mut command)
}
