//! References of the interfaces, as HTML; a warning is an error.

use crate::{
    command::{npm, npm_install, run},
    npm as package, paths,
};
use std::process::Command;

/// The npm package's and the crates'.
pub(crate) fn build() -> anyhow::Result<()> {
    package::build()?;
    npm_reference()?;
    crates()
}

/// The npm package's, in target/docs/npm. The package must have been built.
pub(crate) fn npm_reference() -> anyhow::Result<()> {
    let source = paths::root()?.join("client-wasm").join("npm");
    npm_install(&source)?;
    run(
        "Writing the npm package's reference: target/docs/npm",
        npm(&source).args(["run", "--silent", "docs"]),
    )
}

/// The crates', in target/doc.
fn crates() -> anyhow::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    run(
        "Writing the crates' reference: target/doc",
        Command::new(cargo)
            .args(["doc", "--workspace", "--no-deps", "--exclude", "xtask"])
            .env("RUSTDOCFLAGS", "--deny warnings"),
    )
}
