//! API references as HTML; warnings are errors.

use crate::{
    command::{npm, run},
    npm as package,
    workspace::{self, Packages},
};
use std::process::Command;

/// Builds the references of the npm package and of the crates.
pub(crate) fn build() -> anyhow::Result<()> {
    package::build()?;
    npm_reference()?;
    crates()
}

/// Builds the npm package's reference in target/docs/npm. The package must have been built.
pub(crate) fn npm_reference() -> anyhow::Result<()> {
    workspace::install(Packages::Page)?;
    let source = package::source()?;
    run(
        "Writing the npm package's reference: target/docs/npm",
        npm(&source).args(["run", "--silent", "docs"]),
    )
}

/// Builds the crates' reference in target/doc, for developers, so with private items and links to
/// them.
pub(crate) fn crates() -> anyhow::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    run(
        "Writing the crates' reference: target/doc",
        Command::new(cargo)
            .args([
                "doc",
                "--release",
                "--quiet",
                "--workspace",
                "--no-deps",
                "--exclude",
                "xtask",
            ])
            .arg("--document-private-items")
            .env(
                "RUSTDOCFLAGS",
                // Some comments are the text of `--help`, where a link in angle brackets would be odd.
                "--deny warnings --allow rustdoc::private_intra_doc_links --allow rustdoc::bare_urls",
            ),
    )
}
