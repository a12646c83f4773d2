//! What is inside wherever the page is.

use super::bom::Build;
use crate::npm;

/// The client in WebAssembly, which is in the npm package, too.
pub(super) const CLIENT: Build = Build {
    packages: &["blindscore-wasm"],
    features: &[],
    target: npm::TARGET,
};
/// Folder of the page in the repository, with its npm packages.
pub(super) const WEB: &str = "web";
