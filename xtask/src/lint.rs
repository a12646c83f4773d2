//! `lint`: formatting and lints of everything, in every language; warnings are errors.

use crate::{
    command::{cargo, run},
    comments, docs, npm, paths,
    python::python,
    targets,
    workspace::{self, Packages, node_modules},
};
use std::{fs, process::Command};

/// Every feature of ours that adds code.
const FEATURES: &str =
    "blindscore-client/known-answers,blindscore-server/page,blindscore-tests/soak,blindscore-fuzz/libfuzzer";

/// Checks formatting and lints.
pub(crate) fn run_all() -> anyhow::Result<()> {
    cargo("Checking the formatting of Rust", &["fmt", "--all", "--check"])?;
    comments::check()?;
    clippy()?;
    docs::crates()?;
    workspace::install(Packages::All)?;
    let root = paths::root()?;
    let tool = |name: &str| -> anyhow::Result<Command> {
        let mut command = Command::new(node_modules()?.join(".bin").join(name));
        command.current_dir(&root);
        Ok(command)
    };
    run(
        "Checking TypeScript, JavaScript, JSON and CSS",
        tool("biome")?.args(["check", "--error-on-warnings"]),
    )?;
    run("Checking Markdown", &mut tool("markdownlint-cli2")?)?;
    run(
        "Checking the formatting of Python",
        Command::new(python("lint")?.join("bin/ruff"))
            .current_dir(&root)
            .args(["format", "--check", "--quiet"]),
    )?;
    run(
        "Checking Python",
        Command::new(python("lint")?.join("bin/ruff"))
            .current_dir(&root)
            .args(["check", "--quiet"]),
    )
}

fn clippy() -> anyhow::Result<()> {
    // The page is part of a feature's code, and need not be built for its lints.
    fs::create_dir_all(paths::root()?.join("web").join("dist"))?;
    rust(
        "Checking the lints of Rust",
        &[
            "--release",
            "--workspace",
            "--all-targets",
            "--features",
            FEATURES,
        ],
    )?;
    // Some code is there only without a feature: that of a server without the page.
    rust(
        "Checking the lints of Rust without features",
        &["--release", "--workspace", "--all-targets"],
    )?;
    targets::install(npm::TARGET)?;
    rust(
        "Checking the lints of the WebAssembly's bindings",
        // The profile that it ships with: macros are then compiled once for lints and package.
        &[
            "--profile",
            "wasm",
            "--package",
            "blindscore-wasm",
            "--target",
            npm::TARGET,
        ],
    )
}

fn rust(what: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let all = [
        &["clippy", "--quiet"][..],
        arguments,
        &["--", "--deny", "warnings"],
    ];
    cargo(what, &all.concat())
}
