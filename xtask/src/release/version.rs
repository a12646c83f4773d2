//! The rule of versions: one number, in every file that names it, in the changelog, and in the tag.

use crate::paths;
use anyhow::{Context, bail, ensure};
use serde_json::Value;
use std::fs;

/// Version of the workspace, which xtask is a part of.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Fails unless every file names the same version. With a tag, it has to be `v` and that version,
/// and the changelog has to describe it; without one, the changelog may still call it "Unreleased".
pub(super) fn check(tag: Option<&str>) -> anyhow::Result<()> {
    let read = |name: &str| -> anyhow::Result<String> {
        fs::read_to_string(paths::root()?.join(name)).with_context(|| format!("reading {name}"))
    };
    let mut places = cargo(&read("Cargo.toml")?)?;
    places.extend(python(
        &read("client-python/pyproject.toml")?,
        &read("client-python/Cargo.toml")?,
    )?);
    for (name, pointer) in [
        ("client-wasm/npm/package.json", "/version"),
        ("web/package.json", "/dependencies/blindscore"),
        ("package-lock.json", "/packages/client-wasm~1npm/version"),
        ("package-lock.json", "/packages/web/dependencies/blindscore"),
    ] {
        places.push(json(name, &read(name)?, pointer)?);
    }
    agree(VERSION, &places)?;
    let dated = describes(&read("CHANGELOG.md")?, VERSION)?;
    match tag {
        Some(tag) => tagged(VERSION, tag, dated),
        None if dated => Ok(()),
        None => {
            eprintln!("    CHANGELOG.md has no heading for {VERSION} yet: a tag would be refused");
            Ok(())
        }
    }
}

/// A place that names the version, and the version there.
type Place = (String, String);

/// Returns the places in the workspace's manifest.
fn cargo(manifest: &str) -> anyhow::Result<Vec<Place>> {
    let manifest: toml::Table = manifest.parse().context("Cargo.toml")?;
    let workspace = manifest.get("workspace").context("Cargo.toml has no workspace")?;
    let text = |value: Option<&toml::Value>, place: &str| -> anyhow::Result<Place> {
        let version = value.and_then(toml::Value::as_str);
        Ok((
            format!("Cargo.toml, {place}"),
            version
                .with_context(|| format!("no version at {place}"))?
                .to_owned(),
        ))
    };
    let mut places = vec![text(
        workspace
            .get("package")
            .and_then(|package| package.get("version")),
        "workspace.package",
    )?];
    let dependencies = workspace.get("dependencies").and_then(toml::Value::as_table);
    for (name, dependency) in dependencies.context("Cargo.toml has no workspace.dependencies")? {
        if dependency.get("path").is_some() {
            places.push(text(dependency.get("version"), name)?);
        }
    }
    Ok(places)
}

/// Checks that the Python package takes its version from Cargo; it names none of its own.
fn python(project: &str, crate_: &str) -> anyhow::Result<Vec<Place>> {
    let project: toml::Table = project.parse().context("client-python/pyproject.toml")?;
    let crate_: toml::Table = crate_.parse().context("client-python/Cargo.toml")?;
    let dynamic = project
        .get("project")
        .and_then(|project| project.get("dynamic")?.as_array());
    ensure!(
        dynamic.is_some_and(|fields| fields.iter().any(|field| field.as_str() == Some("version"))),
        "client-python/pyproject.toml should list \"version\" as dynamic, so that it is Cargo's"
    );
    let version = crate_
        .get("package")
        .and_then(|package| package.get("version")?.get("workspace"));
    ensure!(
        version.and_then(toml::Value::as_bool) == Some(true),
        "client-python/Cargo.toml should have version.workspace = true"
    );
    Ok(Vec::new())
}

fn json(name: &str, text: &str, pointer: &str) -> anyhow::Result<Place> {
    let file: Value = serde_json::from_str(text).with_context(|| name.to_owned())?;
    let version = file.pointer(pointer).and_then(Value::as_str);
    Ok((
        format!("{name}, {pointer}"),
        version
            .with_context(|| format!("{name} has no {pointer}"))?
            .to_owned(),
    ))
}

/// Fails if a place names another version, and says which.
fn agree(version: &str, places: &[Place]) -> anyhow::Result<()> {
    let others: Vec<String> = places
        .iter()
        .filter(|(_, there)| there != version)
        .map(|(place, there)| format!("{place}: {there}"))
        .collect();
    ensure!(
        others.is_empty(),
        "the version is {version}, but not everywhere:\n{}",
        others.join("\n")
    );
    Ok(())
}

/// Returns whether the changelog has a heading for a version, such as `## [0.1.0] - 2026-11-27`.
/// Fails if it has one without a date, or neither that nor "Unreleased".
fn describes(changelog: &str, version: &str) -> anyhow::Result<bool> {
    let headings: Vec<&str> = changelog
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(str::trim)
        .collect();
    let name = format!("[{version}]");
    if let Some(rest) = headings.iter().find_map(|heading| heading.strip_prefix(&name)) {
        let date = rest.strip_prefix(" - ").unwrap_or_default();
        ensure!(
            chrono::NaiveDate::parse_from_str(date, "%Y-%m-%d").is_ok(),
            "CHANGELOG.md: the heading for {version} should be \"## {name} - YEAR-MONTH-DAY\""
        );
        return Ok(true);
    }
    ensure!(
        headings.contains(&"[Unreleased]"),
        "CHANGELOG.md has neither a heading for {version} nor \"## [Unreleased]\""
    );
    Ok(false)
}

fn tagged(version: &str, tag: &str, dated: bool) -> anyhow::Result<()> {
    ensure!(
        tag == format!("v{version}"),
        "the tag is {tag}, and the version {version}: the tag should be v{version}"
    );
    if !dated {
        bail!("CHANGELOG.md should have a heading \"## [{version}] - YEAR-MONTH-DAY\"");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(result: anyhow::Result<impl std::fmt::Debug>) -> String {
        result.expect_err("a refusal").to_string()
    }

    #[test]
    fn the_versions_of_this_repository_agree() {
        check(None).expect("one version");
    }

    #[test]
    fn a_place_with_another_version_is_named() {
        let manifest = "[workspace.package]\nversion = \"1.2.3\"\n[workspace.dependencies]\n\
            ours = { path = \"ours\", version = \"1.2.2\" }\ntheirs = \"7\"\n";
        let places = cargo(manifest).expect("places");
        assert_eq!(places.len(), 2);
        let refusal = refusal(agree("1.2.3", &places));
        assert!(
            refusal.ends_with("everywhere:\nCargo.toml, ours: 1.2.2"),
            "{refusal}"
        );
    }

    #[test]
    fn a_python_package_with_a_version_of_its_own_is_refused() {
        let own = python(
            "[project]\nversion = \"1\"",
            "[package]\nversion.workspace = true",
        );
        assert!(refusal(own).contains("dynamic"));
    }

    #[test]
    fn a_tag_is_accepted_if_it_names_the_version_and_the_changelog_has_its_date() {
        let changelog = "# Changelog\n\n## [Unreleased]\n\n## [1.2.3] - 2026-11-27\n";
        assert!(describes(changelog, "1.2.3").expect("a date"));
        tagged("1.2.3", "v1.2.3", true).expect("a tag");
        for tag in ["1.2.3", "v1.2.4", "v1.2.3-rc1", "refs/tags/v1.2.3"] {
            assert!(refusal(tagged("1.2.3", tag, true)).contains(tag));
        }
        assert!(refusal(tagged("1.2.3", "v1.2.3", false)).contains("CHANGELOG.md"));
    }

    #[test]
    fn a_changelog_names_the_version_with_a_date_or_says_unreleased() {
        assert!(!describes("## [Unreleased]\n\n## [1.2.2] - 2026-01-01\n", "1.2.3").expect("no date"));
        for heading in [
            "## [1.2.3]",
            "## [1.2.3] - soon",
            "## [1.2.3] - 2026-13-01",
            "## 1.2.3",
        ] {
            let refusal = refusal(describes(heading, "1.2.3"));
            assert!(refusal.contains("1.2.3"), "{refusal}");
        }
    }
}
