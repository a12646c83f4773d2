//! The npm package.

use super::{
    Release, VERSION,
    bom::{self, Linked, Subject},
    page::CLIENT,
    scratch,
};
use crate::{installed, npm, paths};
use std::process::Command;

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
