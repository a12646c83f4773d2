//! Names of models with versions.

use std::{fmt, path::Path};

/// Name and version of a model: `churn@2`, and `churn@2.safetensors` as a file. Version 0 stands
/// for no version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionedName {
    /// Name in addresses.
    pub name: String,
    /// Version, counted from 1; 0 for none.
    pub version: u32,
}

/// Returns whether a model may have this name, which is part of addresses and file names: a-z, 0-9
/// and `-`.
pub fn is_name(text: &str) -> bool {
    let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty() && text.bytes().all(fine)
}

impl VersionedName {
    /// Combines a name and a version.
    pub fn new(name: &str, version: u32) -> Self {
        Self {
            name: name.to_owned(),
            version,
        }
    }

    /// Parses the name of a model file; `None` if the file isn't one.
    pub fn of_file(path: &Path) -> Option<Self> {
        let is_model = path
            .extension()
            .is_some_and(|extension| extension == "safetensors");
        is_model
            .then(|| path.file_stem()?.to_str()?.parse().ok())
            .flatten()
    }

    /// Returns the name of the file.
    pub fn file_name(&self) -> String {
        format!("{self}.safetensors")
    }
}

impl fmt::Display for VersionedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            0 => f.write_str(&self.name),
            version => write!(f, "{}@{version}", self.name),
        }
    }
}

/// The text is not a name with a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a model's name with a version, such as churn@2")]
pub struct NotAVersion;

impl std::str::FromStr for VersionedName {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        let Some((name, version)) = text.split_once('@') else {
            return Ok(Self::new(text, 0));
        };
        // A version has a single spelling, so that no two files have the same version.
        let version: u32 = version.parse().map_err(|_| NotAVersion)?;
        let parsed = Self::new(name, version);
        if version == 0 || parsed.to_string() != text {
            return Err(NotAVersion);
        }
        Ok(parsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for (text, name, version) in [
            ("churn@2", "churn", 2),
            ("churn", "churn", 0),
            ("a@4294967295", "a", u32::MAX),
        ] {
            assert_eq!(text.parse(), Ok(VersionedName::new(name, version)));
            assert_eq!(VersionedName::new(name, version).to_string(), text);
        }
        for bad in [
            "churn@",
            "churn@0",
            "churn@02",
            "churn@+2",
            "churn@-1",
            "churn@x",
            "a@b@1",
            "a@4294967296",
        ] {
            assert_eq!(bad.parse::<VersionedName>(), Err(NotAVersion), "{bad}");
        }
        assert_eq!(
            VersionedName::of_file(Path::new("m/churn@3.safetensors")),
            Some(VersionedName::new("churn", 3))
        );
        assert_eq!(VersionedName::of_file(Path::new("m/churn@3.unfinished")), None);
    }
}
