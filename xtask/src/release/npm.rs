//! The npm package.

use super::{
    Release, VERSION,
    bom::{self, Build, Linked, Subject},
    scratch,
};
use crate::{installed, npm, paths};
use std::process::Command;

/// The client in WebAssembly, which is in the package and in the page.
pub(super) const CLIENT: Build = Build {
    packages: &["blindscore-wasm"],
    features: &[],
    target: npm::TARGET,
};
/// Folder of the page, whose npm packages are inside wherever the page is.
pub(super) const WEB: &str = "web";

/// Builds the package, and scores with it from Node.
pub(super) fn make(release: &mut Release) -> anyhow::Result<()> {
    // The page in the server is made with the package, which is thereby built.
    let programs = release.programs()?;
    let tarball = release.folder.join(release.keep(&npm::tarball()?)?);
    let package = npm::source()?;
    bom::write(
        &release.folder.join(format!("blindscore-{VERSION}-npm.cdx.json")),
        &Subject {
            kind: "library",
            name: "blindscore",
            version: VERSION,
            purl: format!("pkg:npm/blindscore@{VERSION}"),
        },
        &[CLIENT],
        &["client-wasm/npm"],
        &Linked(vec![package.join("dist/blindscore_bg.wasm")]),
        release.time,
    )?;
    let scratch = scratch("npm")?;
    let server = programs.start(&scratch)?;
    installed::prints_scores(
        "Scoring from Node, with the npm package",
        Command::new("node")
            .arg(paths::root()?.join("tests/release/score.mjs"))
            .env("BLINDSCORE_TARBALL", &tarball)
            .env("BLINDSCORE_URL", &server.url),
        &scratch,
    )
}
