//! Bills of materials (SBOM, CycloneDX 1.6): the third-party components in each file of a release.

mod crates;
mod linked;
mod packages;

pub(super) use crates::Build;
pub(super) use linked::Programs as Linked;

use crate::{
    command::{run, say},
    paths,
    python::python,
};
use anyhow::{Context, ensure};
use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

/// What a bill of materials is about.
pub(super) struct Subject<'a> {
    /// CycloneDX's word for its kind.
    pub(super) kind: &'a str,
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    /// Its package URL.
    pub(super) purl: String,
}

/// Something that is inside.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Component {
    name: String,
    version: String,
    /// Kind of its package URL: cargo, npm or generic.
    registry: &'static str,
    /// SPDX expression.
    licence: String,
    /// CycloneDX's name of an algorithm, and the hash of the package as its registry has it.
    hash: Option<(&'static str, String)>,
    /// Package URLs of what it uses itself.
    uses: BTreeSet<String>,
    /// Whether the subject uses it itself.
    direct: bool,
}

impl Component {
    fn purl(&self) -> String {
        purl(self.registry, &self.name, &self.version)
    }
}

/// Returns a package URL. `@` and `+` have meanings in it.
fn purl(registry: &str, name: &str, version: &str) -> String {
    let (name, version) = (name.replace('@', "%40"), version.replace('+', "%2B"));
    format!("pkg:{registry}/{name}@{version}")
}

/// Writes what is in the crates of builds and in the npm packages of folders. Checks the file
/// against CycloneDX's schema, and that no crate that has code in `linked` is missing.
pub(super) fn write(
    file: &Path,
    subject: &Subject,
    builds: &[Build],
    folders: &[&str],
    linked: &Linked,
    time: u64,
) -> anyhow::Result<()> {
    let name = file.file_name().unwrap_or_default().display();
    say(&format!("Listing third-party components: {name}"));
    let lock = fs::read_to_string(paths::root()?.join("Cargo.lock"))?;
    let mut components = Vec::new();
    for build in builds {
        components.extend(crates::components(build, &lock)?);
    }
    let lock = fs::read_to_string(paths::root()?.join("package-lock.json"))?;
    components.extend(packages::components(&lock, folders)?);
    let components = merged(components);
    linked.check(&components)?;
    let text = serde_json::to_string_pretty(&document(subject, &components, time)?)?;
    fs::write(file, text + "\n").with_context(|| format!("writing {}", file.display()))?;
    run(
        "Checking it against the schema",
        Command::new(python("release")?.join("bin/python"))
            .arg(paths::root()?.join("tests/release/bom.py"))
            .arg(file),
    )
}

/// Sorts components, and merges those that are there several times.
fn merged(components: Vec<Component>) -> Vec<Component> {
    let mut all: BTreeMap<String, Component> = BTreeMap::new();
    for component in components {
        match all.get_mut(&component.purl()) {
            Some(first) => {
                first.uses.extend(component.uses);
                first.direct |= component.direct;
            }
            None => drop(all.insert(component.purl(), component)),
        }
    }
    all.into_values().collect()
}

fn document(subject: &Subject, components: &[Component], time: u64) -> anyhow::Result<Value> {
    ensure!(!components.is_empty(), "{} lists no components", subject.name);
    let time = DateTime::from_timestamp(i64::try_from(time)?, 0).context("the commit has no time")?;
    let direct = components.iter().filter(|component| component.direct);
    let uses: Vec<String> = direct.map(Component::purl).collect();
    let list: Vec<Value> = components.iter().map(entry).collect();
    let mut dependencies = vec![json!({ "ref": subject.purl, "dependsOn": uses })];
    dependencies.extend(
        components
            .iter()
            .map(|component| json!({ "ref": component.purl(), "dependsOn": component.uses })),
    );
    Ok(json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": time.to_rfc3339_opts(SecondsFormat::Secs, true),
            "component": {
                "type": subject.kind,
                "bom-ref": subject.purl,
                "name": subject.name,
                "version": subject.version,
                "purl": subject.purl,
                "licenses": [{ "expression": env!("CARGO_PKG_LICENSE") }],
            },
        },
        "components": list,
        "dependencies": dependencies,
    }))
}

fn entry(component: &Component) -> Value {
    let mut entry = json!({
        "type": "library",
        "bom-ref": component.purl(),
        "name": component.name,
        "version": component.version,
        "purl": component.purl(),
        "licenses": [{ "expression": component.licence }],
    });
    if let Some((algorithm, hash)) = &component.hash {
        entry["hashes"] = json!([{ "alg": algorithm, "content": hash }]);
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(name: &str, uses: &[&str], direct: bool) -> Component {
        Component {
            name: name.to_owned(),
            version: "1.0.0+a".to_owned(),
            registry: "cargo",
            licence: "MIT".to_owned(),
            hash: Some(("SHA-256", "00".to_owned())),
            uses: uses.iter().map(|name| (*name).to_owned()).collect(),
            direct,
        }
    }

    #[test]
    fn a_component_of_two_builds_is_listed_once_with_what_it_uses_in_either() {
        let merged = merged(vec![
            component("b", &["x"], false),
            component("a", &[], false),
            component("b", &["y"], true),
        ]);
        assert_eq!(
            merged,
            [component("a", &[], false), component("b", &["x", "y"], true)]
        );
    }

    #[test]
    fn a_document_names_its_subject_what_is_inside_and_who_uses_it() {
        let subject = Subject {
            kind: "application",
            name: "program",
            version: "2.0.0",
            purl: "pkg:generic/program@2.0.0".to_owned(),
        };
        let inner = purl("cargo", "inner", "1.0.0+a");
        let components = [
            component("inner", &[], false),
            component("outer", &[&inner], true),
        ];
        let document = document(&subject, &components, 1_700_000_000).expect("a document");
        assert_eq!(document["metadata"]["timestamp"], "2023-11-14T22:13:20Z");
        assert_eq!(
            document["metadata"]["component"]["purl"],
            "pkg:generic/program@2.0.0"
        );
        assert_eq!(
            document["components"][0],
            json!({
                "type": "library",
                "bom-ref": "pkg:cargo/inner@1.0.0%2Ba",
                "name": "inner",
                "version": "1.0.0+a",
                "purl": "pkg:cargo/inner@1.0.0%2Ba",
                "licenses": [{ "expression": "MIT" }],
                "hashes": [{ "alg": "SHA-256", "content": "00" }],
            })
        );
        assert_eq!(
            document["dependencies"],
            json!([
                { "ref": "pkg:generic/program@2.0.0", "dependsOn": ["pkg:cargo/outer@1.0.0%2Ba"] },
                { "ref": "pkg:cargo/inner@1.0.0%2Ba", "dependsOn": [] },
                { "ref": "pkg:cargo/outer@1.0.0%2Ba", "dependsOn": [inner] },
            ])
        );
    }

    #[test]
    fn nothing_inside_is_refused() {
        let subject = Subject {
            kind: "application",
            name: "program",
            version: "2.0.0",
            purl: String::new(),
        };
        document(&subject, &[], 0).expect_err("a refusal");
    }
}
