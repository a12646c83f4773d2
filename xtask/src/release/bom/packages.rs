//! Npm packages that ours ship: those that they name as dependencies, and what these need in turn,
//! as the lock file has them. What only builds or tests them is not inside.

use super::Component;
use anyhow::{Context, bail};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Deserialize)]
struct Lock {
    packages: BTreeMap<String, Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: Option<String>,
    version: Option<String>,
    license: Option<String>,
    integrity: Option<String>,
    /// Folder of a package of ours that this is a link to.
    resolved: Option<String>,
    #[serde(default)]
    link: bool,
    #[serde(default)]
    dependencies: BTreeMap<String, String>,
}

/// Returns what the packages in folders of the repository ship, without our own.
pub(super) fn components(lock: &str, folders: &[&str]) -> anyhow::Result<Vec<Component>> {
    let lock: Lock = serde_json::from_str(lock).context("package-lock.json")?;
    let mut found = BTreeMap::new();
    for folder in folders {
        lock.collect(folder, true, &mut found)?;
    }
    Ok(found.into_values().collect())
}

impl Lock {
    /// Adds what the package at a path needs. Returns the package URLs of what it needs itself.
    fn collect(
        &self,
        path: &str,
        direct: bool,
        found: &mut BTreeMap<String, Component>,
    ) -> anyhow::Result<BTreeSet<String>> {
        let package = self
            .packages
            .get(path)
            .with_context(|| format!("package-lock.json has no {path}"))?;
        let mut uses = BTreeSet::new();
        for name in package.dependencies.keys() {
            let (place, needed) = self.find(path, name)?;
            if needed.link {
                let folder = needed.resolved.as_deref().context("a link leads nowhere")?;
                uses.extend(self.collect(folder, direct, found)?);
                continue;
            }
            let component =
                component(name, needed).with_context(|| format!("{place} in package-lock.json"))?;
            let purl = component.purl();
            uses.insert(purl.clone());
            if let Some(known) = found.get_mut(&purl) {
                known.direct |= direct;
                continue;
            }
            found.insert(purl.clone(), Component { direct, ..component });
            let inner = self.collect(place, false, found)?;
            if let Some(component) = found.get_mut(&purl) {
                component.uses = inner;
            }
        }
        Ok(uses)
    }

    /// Finds a package as Node does: in the innermost `node_modules` around a path.
    fn find(&self, mut path: &str, name: &str) -> anyhow::Result<(&str, &Locked)> {
        loop {
            let folder = if path.is_empty() { "" } else { "/" };
            if let Some((place, package)) = self
                .packages
                .get_key_value(&format!("{path}{folder}node_modules/{name}"))
            {
                return Ok((place, package));
            }
            if path.is_empty() {
                bail!("package-lock.json has no {name}");
            }
            path = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        }
    }
}

fn component(name: &str, package: &Locked) -> anyhow::Result<Component> {
    let integrity = package.integrity.as_deref().context("there is no hash")?;
    let hash = integrity
        .strip_prefix("sha512-")
        .context("its hash is not SHA-512")?;
    Ok(Component {
        // An alias has the real name in a field.
        name: package.name.as_deref().unwrap_or(name).to_owned(),
        version: package.version.clone().context("there is no version")?,
        registry: "npm",
        licence: package.license.clone().context("there is no licence")?,
        hash: Some(("SHA-512", hex::encode(BASE64.decode(hash)?))),
        uses: BTreeSet::new(),
        direct: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"{ "packages": {
        "web": {
            "name": "our-web",
            "dependencies": { "ours": "1", "a": "1" },
            "devDependencies": { "tool": "1" }
        },
        "npm/ours": { "name": "ours", "version": "1.0.0", "dependencies": { "@s/c": "1" } },
        "node_modules/ours": { "resolved": "npm/ours", "link": true },
        "node_modules/a": {
            "version": "1.0.0", "license": "MIT", "integrity": "sha512-AAE=",
            "dependencies": { "b": "2", "d": "1" }
        },
        "node_modules/a/node_modules/b": {
            "version": "2.0.0", "license": "ISC", "integrity": "sha512-AAE=",
            "dependencies": { "a": "1" }
        },
        "node_modules/b": { "version": "1.0.0", "license": "MIT", "integrity": "sha512-AAE=" },
        "node_modules/@s/c": {
            "version": "1.0.0", "license": "0BSD", "integrity": "sha512-AAE=",
            "dependencies": { "d": "1" }
        },
        "node_modules/d": { "version": "1.0.0", "license": "MIT", "integrity": "sha512-AAE=" },
        "node_modules/tool": { "version": "1.0.0", "dev": true }
    } }"#;

    #[test]
    fn what_is_shipped_is_found_as_node_finds_it_and_tools_are_left_out() {
        let components = components(LOCK, &["web"]).expect("a list");
        let list: Vec<_> = components
            .iter()
            .map(|component| (component.purl(), component.direct, component.uses.clone()))
            .collect();
        let set = |uses: &[&str]| {
            uses.iter()
                .map(|purl| (*purl).to_owned())
                .collect::<BTreeSet<_>>()
        };
        assert_eq!(
            list,
            [
                ("pkg:npm/%40s/c@1.0.0".to_owned(), true, set(&["pkg:npm/d@1.0.0"])),
                (
                    "pkg:npm/a@1.0.0".to_owned(),
                    true,
                    set(&["pkg:npm/b@2.0.0", "pkg:npm/d@1.0.0"])
                ),
                ("pkg:npm/b@2.0.0".to_owned(), false, set(&["pkg:npm/a@1.0.0"])),
                ("pkg:npm/d@1.0.0".to_owned(), false, set(&[])),
            ]
        );
        assert_eq!(components[0].hash, Some(("SHA-512", "0001".to_owned())));
    }

    #[test]
    fn a_package_that_is_missing_or_has_no_hash_is_refused() {
        components(LOCK, &["elsewhere"]).expect_err("a refusal");
        for (from, to) in [
            ("sha512-AAE=", "sha1-AAE="),
            ("\"license\": \"0BSD\", ", ""),
            ("@s/c\": {", "e\": {"),
        ] {
            components(&LOCK.replace(from, to), &["web"]).expect_err(from);
        }
    }
}
