//! Crates that a build links, as cargo resolves them for its features and its target.

use super::Component;
use crate::command::output;
use anyhow::{Context, ensure};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// The name that Rust's standard library has in lists.
const RUST: &str = "rust-std";

/// Something that cargo builds.
pub(in super::super) struct Build<'a> {
    pub(in super::super) packages: &'a [&'a str],
    pub(in super::super) features: &'a [&'a str],
    pub(in super::super) target: &'a str,
}

/// Returns what a build links: its crates without those that only run while it is compiled (build
/// scripts and macros), and Rust's standard library.
pub(super) fn components(build: &Build, lock: &str) -> anyhow::Result<Vec<Component>> {
    let mut arguments = vec!["tree", "--locked", "--quiet", "--target", build.target];
    arguments.extend(["--edges", "normal,no-proc-macro", "--prefix", "depth"]);
    arguments.extend(["--format", "\t{p}\t{l}"]);
    arguments.extend(build.packages.iter().flat_map(|name| ["--package", name]));
    arguments.extend(build.features.iter().flat_map(|name| ["--features", name]));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut components = parse(&output(cargo, &arguments)?, &checksums(lock)?)?;
    components.push(standard_library()?);
    Ok(components)
}

/// Name and version of a package.
type Package = (String, String);

/// Returns the hash of each package in Cargo.lock; `None` for our own.
fn checksums(lock: &str) -> anyhow::Result<BTreeMap<Package, Option<String>>> {
    #[derive(Deserialize)]
    struct Lock {
        package: Vec<Locked>,
    }
    #[derive(Deserialize)]
    struct Locked {
        name: String,
        version: String,
        source: Option<String>,
        checksum: Option<String>,
    }
    let lock: Lock = toml::from_str(lock).context("Cargo.lock")?;
    let mut checksums = BTreeMap::new();
    for package in lock.package {
        ensure!(
            package.source.is_some() == package.checksum.is_some(),
            "Cargo.lock has no hash of {} {}: it doesn't come from a registry",
            package.name,
            package.version
        );
        checksums.insert((package.name, package.version), package.checksum);
    }
    Ok(checksums)
}

/// Reads the lines of `cargo tree`: depth, package and licence. A package that was there before has
/// no lines of what it uses.
fn parse(tree: &str, checksums: &BTreeMap<Package, Option<String>>) -> anyhow::Result<Vec<Component>> {
    let mut found: BTreeMap<String, Component> = BTreeMap::new();
    // Ancestors of the next line in the tree, outermost first.
    let mut above: Vec<String> = Vec::new();
    for line in tree.lines().filter(|line| !line.is_empty()) {
        let parsed = component(line, checksums).with_context(|| format!("cargo tree says {line:?}"));
        let (depth, component) = parsed?;
        ensure!(depth <= above.len(), "cargo tree leaves a step out at {line:?}");
        above.truncate(depth);
        let purl = component.purl();
        if let Some(user) = above.last().and_then(|user| found.get_mut(user)) {
            user.uses.insert(purl.clone());
        }
        above.push(purl.clone());
        found.entry(purl).or_insert(component).direct |= depth == 0;
    }
    Ok(found.into_values().collect())
}

/// Reads a line such as `2\tserde v1.0.229\tMIT OR Apache-2.0 (*)`.
fn component(
    line: &str,
    checksums: &BTreeMap<Package, Option<String>>,
) -> anyhow::Result<(usize, Component)> {
    let mut fields = line.split('\t');
    let (Some(depth), Some(package), Some(licence), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        anyhow::bail!("it should have three fields");
    };
    let mut words = package.split(' ');
    let name = words.next().unwrap_or_default().to_owned();
    let version = words.next().and_then(|word| word.strip_prefix('v'));
    let version = version.context("it has no version")?.to_owned();
    let licence = licence.strip_suffix(" (*)").unwrap_or(licence);
    ensure!(!licence.is_empty(), "it has no licence");
    let hash = checksums
        .get(&(name.clone(), version.clone()))
        .context("it is not in Cargo.lock")?;
    let component = Component {
        name,
        version,
        registry: "cargo",
        licence: expression(licence),
        hash: hash.clone().map(|hash| ("SHA-256", hash)),
        uses: BTreeSet::new(),
        direct: false,
    };
    Ok((depth.parse()?, component))
}

/// Returns an SPDX expression. Older crates write `/` for OR.
fn expression(licence: &str) -> String {
    let parts: Vec<&str> = licence.split('/').map(str::trim).collect();
    parts.join(" OR ")
}

/// Returns Rust's standard library, which cargo doesn't list.
fn standard_library() -> anyhow::Result<Component> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = output(rustc, &["--version"])?;
    let version = version.split(' ').nth(1).context("rustc has no version")?;
    Ok(Component {
        name: RUST.to_owned(),
        version: version.to_owned(),
        registry: "generic",
        licence: "MIT OR Apache-2.0".to_owned(),
        hash: None,
        uses: BTreeSet::new(),
        direct: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"
version = 4
[[package]]
name = "ours"
version = "0.1.0"
[[package]]
name = "a"
version = "1.0.0"
source = "registry+https://example.org"
checksum = "aa"
[[package]]
name = "b"
version = "2.0.0+x"
source = "registry+https://example.org"
checksum = "bb"
"#;

    fn parsed(tree: &str) -> anyhow::Result<Vec<Component>> {
        parse(tree, &checksums(LOCK)?)
    }

    #[test]
    fn the_tree_of_cargo_becomes_a_list_with_hashes_licences_and_edges() {
        let tree = "0\tours v0.1.0 (/home/me/ours)\tMIT\n1\ta v1.0.0\tMIT/Apache-2.0\n\
            2\tb v2.0.0+x\tISC AND MIT\n\
            1\tb v2.0.0+x\tISC AND MIT\n\n0\ta v1.0.0\tMIT/Apache-2.0 (*)\n";
        let [a, b, ours] = <[Component; 3]>::try_from(parsed(tree).expect("a list")).expect("three");
        assert_eq!(
            (a.purl().as_str(), a.licence.as_str()),
            ("pkg:cargo/a@1.0.0", "MIT OR Apache-2.0")
        );
        assert_eq!(a.hash, Some(("SHA-256", "aa".to_owned())));
        assert_eq!(a.uses, BTreeSet::from([b.purl()]));
        assert_eq!(b.licence, "ISC AND MIT");
        assert_eq!(
            (ours.hash.clone(), ours.uses),
            (None, BTreeSet::from([a.purl(), b.purl()]))
        );
        assert_eq!([a.direct, b.direct, ours.direct], [true, false, true]);
    }

    #[test]
    fn a_crate_without_licence_hash_or_place_in_the_tree_is_refused() {
        for (tree, words) in [
            ("0\ta v1.0.0\t\n", "no licence"),
            ("0\tunknown v1.0.0\tMIT\n", "Cargo.lock"),
            ("1\ta v1.0.0\tMIT\n", "a step"),
            ("0\ta\tMIT\n", "no version"),
            ("0 a v1.0.0 MIT\n", "three fields"),
        ] {
            let refusal = format!("{:#}", parsed(tree).expect_err("a refusal"));
            assert!(refusal.contains(words), "{refusal}");
        }
        let git = "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nsource = \"git+https://example.org\"\n";
        checksums(git).expect_err("a refusal");
    }
}
