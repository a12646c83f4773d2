//! The server's container image, for this machine's architecture.

use super::{
    Release, VERSION,
    bom::{self, Build, Linked, Subject},
    page::{CLIENT, WEB},
};
use crate::{image, server::PAGE};

/// Builds the image, starts it, and scores against it.
pub(super) fn make(release: &mut Release) -> anyhow::Result<()> {
    let client = release.programs.as_ref().map(super::Programs::client);
    let built = image::build_and_test(client.as_deref())?;
    release.keep(&built.archive)?;
    let list = format!("blindscore-server-{VERSION}-{}.cdx.json", built.arch);
    bom::write(
        &release.folder.join(list),
        &Subject {
            kind: "container",
            name: "blindscore-server",
            version: VERSION,
            purl: format!(
                "pkg:docker/blindscore/blindscore-server@{VERSION}?arch={}&repository_url=ghcr.io",
                built.arch
            ),
        },
        &[
            Build {
                packages: &["blindscore-server"],
                features: &[PAGE],
                target: &built.target,
            },
            CLIENT,
        ],
        &[WEB],
        &Linked(vec![built.program]),
        release.time,
    )
}
