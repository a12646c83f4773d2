//! Size of the npm package, file by file, and its limits.

use anyhow::{Context, ensure};
use flate2::{Compression, write::GzEncoder};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

/// Limit on the compressed WebAssembly in bytes, a requirement of the product.
const MAX_WASM_GZIP: usize = 116_000;
/// Limit on the packed package in bytes.
const MAX_TARBALL: usize = 190_000;

/// Prints the table of sizes. Fails if the package is too large or has more than one WebAssembly
/// file.
pub(crate) fn check(package: &Path, tarball: &Path) -> anyhow::Result<()> {
    let mut wasm = Vec::new();
    row("file", "bytes", "gzip", "");
    for path in files(package)? {
        let bytes = fs::read(&path)?;
        let compressed = gzip(&bytes)?;
        let is_wasm = path.extension().is_some_and(|extension| extension == "wasm");
        let bar = if is_wasm {
            wasm.push(compressed);
            format!("gzip at most {MAX_WASM_GZIP}")
        } else {
            String::new()
        };
        let name = path.strip_prefix(package)?.display();
        row(name, bytes.len(), compressed, &bar);
    }
    let packed = usize::try_from(fs::metadata(tarball).context("npm pack left no tarball")?.len())?;
    let name = tarball.file_name().unwrap_or_default().display();
    row(name, packed, "", &format!("at most {MAX_TARBALL}"));

    ensure!(
        wasm.len() == 1,
        "the package has {} WebAssembly files, not one",
        wasm.len()
    );
    ensure!(
        wasm.iter().all(|&bytes| bytes <= MAX_WASM_GZIP),
        "the WebAssembly may be at most {MAX_WASM_GZIP} bytes with gzip"
    );
    ensure!(
        packed <= MAX_TARBALL,
        "the tarball may be at most {MAX_TARBALL} bytes"
    );
    Ok(())
}

fn row(name: impl ToString, bytes: impl ToString, gzip: impl ToString, bar: &str) {
    let (name, bytes, gzip) = (name.to_string(), bytes.to_string(), gzip.to_string());
    let line = format!("    {name:<30}{bytes:>8}{gzip:>8}  {bar}");
    eprintln!("{}", line.trim_end());
}

/// Lists every file below a folder, sorted by name.
fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn gzip(bytes: &[u8]) -> anyhow::Result<usize> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?.len())
}
