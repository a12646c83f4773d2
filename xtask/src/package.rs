//! `package`: the crates as a registry would get them.

use crate::command::cargo;

/// Packs the crates that others may depend on, and builds them from what was packed.
pub(crate) fn package() -> anyhow::Result<()> {
    let crates = [
        "blindscore-protocol",
        "blindscore-client",
        "blindscore-models",
        "blindscore-engine",
        "blindscore-import",
        "blindscore-cli",
        "blindscore-server",
    ];
    let mut arguments = vec!["package", "--locked", "--allow-dirty"];
    for name in crates {
        arguments.extend(["--package", name]);
    }
    cargo("Packing the crates", &arguments)
}
