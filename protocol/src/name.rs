//! Names of models.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Name of a model: `a` to `z`, `0` to `9` and `-`, so that it stands in URLs and in file names as
/// it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ModelName(String);

/// Error of a text that isn't the name of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not made of a-z, 0-9 and '-'")]
pub struct BadModelName;

impl ModelName {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ModelName {
    type Err = BadModelName;

    fn from_str(text: &str) -> Result<Self, BadModelName> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if text.is_empty() || !text.bytes().all(allowed) {
            return Err(BadModelName);
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for ModelName {
    type Error = BadModelName;

    fn try_from(text: String) -> Result<Self, BadModelName> {
        text.parse()
    }
}

impl From<ModelName> for String {
    fn from(name: ModelName) -> Self {
        name.0
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Address of a model on a server: `churn` for its newest version, `churn@2` for one version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelAddress {
    /// Name of the model.
    pub name: ModelName,
    /// Version, counted from 1; the newest if there is none.
    pub version: Option<u32>,
}

/// Error of a text that isn't the address of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a model's name, made of a-z, 0-9 and '-', with or without a version, as in churn or churn@2")]
pub struct BadModelAddress;

impl FromStr for ModelAddress {
    type Err = BadModelAddress;

    fn from_str(text: &str) -> Result<Self, BadModelAddress> {
        let (name, version) = match text.split_once('@') {
            Some((name, version)) => (name, Some(parse_version(version).ok_or(BadModelAddress)?)),
            None => (text, None),
        };
        let name = name.parse().map_err(|_| BadModelAddress)?;
        Ok(Self { name, version })
    }
}

/// Parses a version. It has a single spelling, so that no two addresses have the same version.
pub fn parse_version(text: &str) -> Option<u32> {
    let version: u32 = text.parse().ok()?;
    (version > 0 && version.to_string() == text).then_some(version)
}

impl fmt::Display for ModelAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            None => self.name.fmt(f),
            Some(version) => write!(f, "{}@{version}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_written() {
        for (text, name, version) in [
            ("churn@2", "churn", Some(2)),
            ("churn", "churn", None),
            ("a-1@4294967295", "a-1", Some(u32::MAX)),
        ] {
            let address: ModelAddress = text.parse().unwrap();
            assert_eq!((address.name.as_str(), address.version), (name, version));
            assert_eq!(address.to_string(), text);
        }
        for bad in [
            "",
            "@2",
            "churn@",
            "churn@0",
            "churn@02",
            "churn@+2",
            "churn@-1",
            "churn@x",
            "a@b@1",
            "a@4294967296",
            "Churn",
            "a/b",
            "a?b",
            "a b",
            "ä",
            "..",
            "a_b",
        ] {
            assert_eq!(bad.parse::<ModelAddress>(), Err(BadModelAddress), "{bad:?}");
        }
    }
}
