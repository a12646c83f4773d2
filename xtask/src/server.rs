use crate::command::cargo;

/// The page is part of the program.
pub(crate) const FEATURES: &str = "blindscore-server/page";

/// Builds the server with the page, which must have been built.
pub(crate) fn build() -> anyhow::Result<()> {
    cargo(
        "Building the server",
        &[
            "build",
            "--release",
            "--package",
            "blindscore-server",
            "--features",
            FEATURES,
        ],
    )
}
