//! `SHA256SUMS`: the hash of every file of a release.

use anyhow::{Context, ensure};
use sha2::{Digest, Sha256};
use std::{fs, path::Path};

/// Name of the file with the hashes.
pub(super) const NAME: &str = "SHA256SUMS";
/// Name of the file with its signature, a Sigstore bundle.
pub(super) const SIGNATURE: &str = "SHA256SUMS.sigstore.json";

/// Writes the hashes of all files in a folder, in the form that `sha256sum --check` reads.
pub(super) fn write(folder: &Path) -> anyhow::Result<()> {
    let mut text = String::new();
    for file in files(folder)? {
        let bytes = fs::read(folder.join(&file)).with_context(|| format!("reading {file}"))?;
        text += &format!("{}  {file}\n", hex::encode(Sha256::digest(bytes)));
    }
    ensure!(!text.is_empty(), "there is nothing in {}", folder.display());
    Ok(fs::write(folder.join(NAME), text)?)
}

/// Returns the names of the files in a folder, sorted, without the hashes and their signature.
pub(super) fn files(folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_str().with_context(|| format!("{name:?} is not text"))?;
        ensure!(
            entry.file_type()?.is_file() && !name.contains(['\n', '\\']),
            "{name:?} is no file that can be hashed"
        );
        if name != NAME && name != SIGNATURE {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}
