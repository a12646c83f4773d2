//! API references as HTML; warnings are errors.

use crate::{
    command::{cargo_with, npm, run},
    npm as npm_package,
    package::CRATES,
    workspace::{self, Packages},
};

/// Builds the references of the npm package and of the crates.
pub(crate) fn build() -> anyhow::Result<()> {
    npm_package::build()?;
    npm_reference()?;
    crates()
}

/// Builds the npm package's reference in target/docs/npm. The package must have been built.
pub(crate) fn npm_reference() -> anyhow::Result<()> {
    workspace::install(Packages::Page)?;
    let source = npm_package::source()?;
    run(
        "Writing the npm package's reference: target/docs/npm",
        npm(&source).args(["run", "--silent", "docs"]),
    )
}

/// Builds the crates' reference in target/doc, for developers, so with private items and links to
/// them. Before that, builds it as a registry's visitors would see it: a link of theirs to a
/// private item leads nowhere.
pub(crate) fn crates() -> anyhow::Result<()> {
    let packages = CRATES.iter().flat_map(|name| ["--package", name]);
    rustdoc("Checking the crates' public reference", packages, "")?;
    rustdoc(
        "Writing the crates' reference: target/doc",
        ["--workspace", "--exclude", "xtask", "--document-private-items"],
        "--allow rustdoc::private_intra_doc_links",
    )
}

fn rustdoc<'a>(
    what: &str,
    arguments: impl IntoIterator<Item = &'a str>,
    allowed: &str,
) -> anyhow::Result<()> {
    cargo_with(what, &["doc", "--release", "--quiet", "--no-deps"], |cargo| {
        cargo.args(arguments).env(
            "RUSTDOCFLAGS",
            // Some comments are the text of `--help`, where a link in angle brackets would be odd.
            format!("--deny warnings --allow rustdoc::bare_urls {allowed}"),
        )
    })
}
