//! `package`: the crates and the Python package as registries would get their sources.

use crate::{command::cargo, wheel};

/// The crates that others may depend on.
pub(crate) const CRATES: [&str; 8] = [
    "blindscore-protocol",
    "blindscore-client",
    "blindscore-remote",
    "blindscore-models",
    "blindscore-engine",
    "blindscore-import",
    "blindscore-cli",
    "blindscore-server",
];

/// Packs the crates and the Python package, and builds them from what was packed.
pub(crate) fn package() -> anyhow::Result<()> {
    let mut arguments = vec!["package", "--locked", "--allow-dirty"];
    for name in CRATES {
        arguments.extend(["--package", name]);
    }
    cargo("Packing the crates", &arguments)?;
    wheel::package().map(drop)
}
