//! Builds the npm package: WebAssembly, bindings, TypeScript and tarball.

use crate::{
    command::{cargo, npm, output, run, say},
    paths, size, targets,
    workspace::{self, Packages, node_modules},
};
use anyhow::{Context, ensure};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use sha2::{Digest, Sha384};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use wasm_bindgen_cli_support::Bindgen;

/// Rust's target for the package's WebAssembly.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// Builds the package and its tarball.
pub(crate) fn build() -> anyhow::Result<()> {
    workspace::install(Packages::Page)?;
    targets::install(TARGET)?;
    let source = source()?;
    let out = paths::target()?.join("npm");
    let (bindings, dist) = (out.join("bindings"), source.join("dist"));

    cargo(
        "Building the client for WebAssembly",
        &[
            "build",
            "--package",
            "blindscore-wasm",
            "--target",
            TARGET,
            "--profile",
            "wasm",
        ],
    )?;
    say("Making the bindings");
    let wasm = paths::target()?
        .join(TARGET)
        .join("wasm")
        .join("blindscore_wasm.wasm");
    Bindgen::new()
        .input_path(&wasm)
        .web(true)?
        .typescript(true)
        .remove_producers_section(true)
        .remove_name_section(true)
        .out_name("blindscore")
        .generate(&bindings)?;

    // Files of an older build would be packed too.
    empty(&dist)?;
    let optimised = dist.join("blindscore_bg.wasm");
    run(
        "Optimising the WebAssembly",
        Command::new("node")
            .arg(node_modules()?.join("binaryen").join("bin").join("wasm-opt"))
            // The compiler has inlined what is worth it.
            .args([
                "-O3",
                "--skip-pass=inlining-optimizing",
                "--enable-simd",
                "--enable-bulk-memory",
                "--enable-nontrapping-float-to-int",
            ])
            .args([
                "--enable-sign-ext",
                "--enable-mutable-globals",
                "--enable-reference-types",
                "--enable-multivalue",
            ])
            .arg(bindings.join("blindscore_bg.wasm"))
            .arg("-o")
            .arg(&optimised),
    )?;
    write_integrity(&fs::read(&optimised)?, &bindings)?;
    run(
        "Compiling the package's TypeScript",
        npm(&source).args(["run", "--silent", "types"]),
    )?;
    for name in ["blindscore.js", "blindscore.d.ts", "integrity.js"] {
        fs::copy(bindings.join(name), dist.join(name))?;
    }
    let types = "blindscore_bg.wasm.d.ts";
    fs::copy(source.join(types), dist.join(types))?;
    pack(&source, &out)
}

/// Packs what the workspace's package has built, with the licences and without what only its
/// developers need.
fn pack(source: &Path, out: &Path) -> anyhow::Result<()> {
    let package = out.join("blindscore");
    empty(&package)?;
    fs::create_dir(package.join("dist"))?;
    for entry in fs::read_dir(source.join("dist"))? {
        let entry = entry?;
        fs::copy(entry.path(), package.join("dist").join(entry.file_name()))?;
    }
    for name in ["package.json", "README.md"] {
        fs::copy(source.join(name), package.join(name))
            .with_context(|| format!("no {name} in {}", source.display()))?;
    }
    for name in ["LICENSE-MIT", "LICENSE-APACHE", "NOTICE"] {
        fs::copy(name, package.join(name)).with_context(|| format!("no {name}"))?;
    }
    let version = output("npm", &["pkg", "get", "version", "--workspace", "blindscore"])?;
    ensure!(
        version.contains(env!("CARGO_PKG_VERSION")),
        "the npm package has another version than the workspace of crates: {version}"
    );
    run(
        "Packing",
        npm(&package).args(["pkg", "delete", "scripts", "devDependencies"]),
    )?;
    let packed = npm(&package)
        .args(["pack", "--silent", "--pack-destination"])
        .arg(out)
        .output()?;
    ensure!(
        packed.status.success(),
        "npm pack failed: {}",
        String::from_utf8_lossy(&packed.stderr)
    );
    size::check(&package, &tarball()?)
}

/// Returns the folder of the package's sources.
pub(crate) fn source() -> anyhow::Result<PathBuf> {
    Ok(paths::root()?.join("client-wasm").join("npm"))
}

fn empty(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    Ok(fs::create_dir_all(folder)?)
}

/// Returns the path of the tarball that [`build`] makes; its version is the workspace's.
pub(crate) fn tarball() -> anyhow::Result<PathBuf> {
    Ok(paths::target()?
        .join("npm")
        .join(concat!("blindscore-", env!("CARGO_PKG_VERSION"), ".tgz")))
}

/// Writes a module with the hash of the WebAssembly, so that browsers run no other file with these
/// bindings (subresource integrity).
fn write_integrity(wasm: &[u8], folder: &Path) -> anyhow::Result<()> {
    let hash = BASE64.encode(Sha384::digest(wasm));
    fs::write(
        folder.join("integrity.js"),
        format!("export const WASM_INTEGRITY = \"sha384-{hash}\";\n"),
    )?;
    let types =
        "/** Hash of `blindscore_bg.wasm`, as `fetch` takes it. */\nexport const WASM_INTEGRITY: string;\n";
    fs::write(folder.join("integrity.d.ts"), types)?;
    Ok(())
}
