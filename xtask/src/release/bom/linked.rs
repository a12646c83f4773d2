//! Crates whose code is in a program, by the paths of sources in it: a check of the list that
//! doesn't ask cargo. Messages of panics have such paths, and debug info has those of every crate.

use super::Component;
use anyhow::{Context, ensure};
use memchr::memmem;
use std::{collections::BTreeSet, fs, path::PathBuf};

/// Cargo's folder of the sources of crates; below it are one folder for each registry.
const SOURCES: &[u8] = b"/registry/src/";

/// Programs, with the files that have their debug info.
pub(in super::super) struct Programs(pub(in super::super) Vec<PathBuf>);

impl Programs {
    /// Fails if a program has code of a crate that is not in the list, or names none.
    pub(super) fn check(&self, listed: &[Component]) -> anyhow::Result<()> {
        let listed: BTreeSet<String> = listed
            .iter()
            .map(|component| format!("{}-{}", component.name, component.version))
            .collect();
        let mut linked = BTreeSet::new();
        for file in &self.0 {
            let bytes = fs::read(file).with_context(|| format!("reading {}", file.display()))?;
            let named = crates_in(&bytes);
            ensure!(
                !named.is_empty(),
                "{} names no crate, so that the list can't be compared with it",
                file.display()
            );
            linked.extend(named);
        }
        let missing: Vec<_> = linked.difference(&listed).map(String::as_str).collect();
        ensure!(
            missing.is_empty(),
            "these crates have code inside and are not listed: {}",
            missing.join(", ")
        );
        eprintln!(
            "    source paths of {} crates found in the programs; all are among the {} listed",
            linked.len(),
            listed.len()
        );
        Ok(())
    }
}

/// Returns the crates that bytes name, as `name-version`.
fn crates_in(bytes: &[u8]) -> BTreeSet<String> {
    memmem::find_iter(bytes, SOURCES)
        .filter_map(|start| {
            let path = &bytes[start + SOURCES.len()..];
            let registry = path.iter().position(|&byte| byte == b'/')?;
            let folder = path.get(registry + 1..)?;
            let end = folder.iter().position(|byte| !is_of_name(*byte))?;
            let name = String::from_utf8_lossy(&folder[..end]).into_owned();
            (!name.is_empty() && path[..registry].iter().all(|byte| is_of_name(*byte))).then_some(name)
        })
        .collect()
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_are_found_by_the_paths_of_their_sources() {
        let bytes = b"\x00/home/me/.cargo/registry/src/index.example-0123/ring-0.17.8/src/lib.rs\
            /srv/cargo/registry/src/index.example-0123/zstd-sys-2.0.1+zstd.1.5\x00more\
            /registry/src/ no /x-1/y /rust/deps/hashbrown-0.16.1/src /registry/src/cut-short";
        let expected = ["ring-0.17.8", "zstd-sys-2.0.1+zstd.1.5"].map(str::to_owned);
        assert_eq!(crates_in(bytes), BTreeSet::from(expected));
    }
}
