//! Builds the demo page.

use crate::{
    command::{npm, run},
    npm as package, paths,
};

/// Builds the demo page and the npm package that it uses.
pub(crate) fn build() -> anyhow::Result<()> {
    package::build()?;
    let web = paths::root()?.join("web");
    run("Building the page", npm(&web).args(["run", "--silent", "build"]))
}
