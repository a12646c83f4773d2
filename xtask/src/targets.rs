//! Rust's targets that this toolchain may lack.

use crate::command::{output, run};
use anyhow::Context;
use std::{fs, process::Command};

/// Adds a target if it is missing.
pub(crate) fn install(target: &str) -> anyhow::Result<()> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let libraries = output(rustc, &["--print", "target-libdir", "--target", target])?;
    if fs::read_dir(&libraries).is_ok_and(|mut entries| entries.next().is_some()) {
        return Ok(());
    }
    run(
        &format!("Adding Rust's target {target}"),
        Command::new("rustup").args(["target", "add", target]),
    )
    .with_context(|| format!("Rust's standard library for {target} is needed"))
}
