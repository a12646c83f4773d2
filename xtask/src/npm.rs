//! Builds the npm package: WebAssembly, bindings, TypeScript and tarball.

use crate::{
    command::{self, cargo, npm, npm_install, output, run, say},
    paths, size,
};
use anyhow::Context;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use sha2::{Digest, Sha384};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use wasm_bindgen_cli_support::Bindgen;

const TARGET: &str = "wasm32-unknown-unknown";

/// Builds the package and its tarball.
pub(crate) fn build() -> anyhow::Result<()> {
    command::check_node()?;
    install_target()?;
    let source = paths::root()?.join("client-wasm").join("npm");
    let out = paths::target()?.join("npm");
    let (bindings, package) = (out.join("bindings"), out.join("blindscore"));
    npm_install(&source)?;

    cargo(
        "Building the client for WebAssembly",
        &[
            "rustc",
            "--package",
            "blindscore-client",
            "--lib",
            // For this build only: everything else links the crate as a Rust library.
            "--crate-type",
            "cdylib",
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
        .join("blindscore_client.wasm");
    Bindgen::new()
        .input_path(&wasm)
        .web(true)?
        .typescript(true)
        .remove_producers_section(true)
        .remove_name_section(true)
        .out_name("blindscore")
        .generate(&bindings)?;

    // Files of an older build would be packed too.
    if package.exists() {
        fs::remove_dir_all(&package)?;
    }
    fs::create_dir_all(package.join("dist"))?;
    let optimised = package.join("dist").join("blindscore_bg.wasm");
    run(
        "Optimising the WebAssembly",
        Command::new("node")
            .arg(
                source
                    .join("node_modules")
                    .join("binaryen")
                    .join("bin")
                    .join("wasm-opt"),
            )
            .args([
                "-O3",
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
        fs::copy(bindings.join(name), package.join("dist").join(name))?;
    }
    fs::copy(
        source.join("blindscore_bg.wasm.d.ts"),
        package.join("dist").join("blindscore_bg.wasm.d.ts"),
    )?;
    for name in ["package.json", "README.md"] {
        fs::copy(source.join(name), package.join(name))
            .with_context(|| format!("no {name} in {}", source.display()))?;
    }
    for name in ["LICENSE-MIT", "LICENSE-APACHE", "NOTICE"] {
        fs::copy(name, package.join(name)).with_context(|| format!("no {name}"))?;
    }
    run(
        "Packing",
        npm(&package)
            .args(["pack", "--silent", "--pack-destination"])
            .arg(&out),
    )?;
    size::check(&package, &tarball()?)
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

/// Adds Rust's WebAssembly target if it is missing.
fn install_target() -> anyhow::Result<()> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let libraries = output(rustc, &["--print", "target-libdir", "--target", TARGET])?;
    if fs::read_dir(&libraries).is_ok_and(|mut entries| entries.next().is_some()) {
        return Ok(());
    }
    run(
        "Adding Rust's WebAssembly target",
        Command::new("rustup").args(["target", "add", TARGET]),
    )
}
