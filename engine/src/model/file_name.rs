//! Names of model files.

use blindscore_protocol::name::parse_version;
use std::{fmt, path::Path};

/// Name of a model file: `churn@2.safetensors` holds version 2 of the model `churn`; a file without
/// a version may have any name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName {
    /// Part before the version: the model's name, if there is a version.
    pub stem: String,
    /// Version, counted from 1.
    pub version: Option<u32>,
}

impl FileName {
    /// Parses the name of a model file; `None` if the file isn't one.
    pub fn of(path: &Path) -> Option<Self> {
        if path.extension()? != "safetensors" {
            return None;
        }
        let stem = path.file_stem()?.to_str()?;
        Some(match stem.split_once('@') {
            Some((stem, version)) => Self {
                stem: stem.to_owned(),
                version: Some(parse_version(version)?),
            },
            None => Self {
                stem: stem.to_owned(),
                version: None,
            },
        })
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            None => write!(f, "{}.safetensors", self.stem),
            Some(version) => write!(f, "{}@{version}.safetensors", self.stem),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for (file, stem, version) in [
            ("churn@3.safetensors", "churn", Some(3)),
            ("My model.safetensors", "My model", None),
        ] {
            let name = FileName::of(&Path::new("m").join(file)).unwrap();
            assert_eq!((name.stem.as_str(), name.version), (stem, version));
            assert_eq!(name.to_string(), file);
        }
        for other in [
            "churn@3.unfinished",
            "churn@x.safetensors",
            "churn@0.safetensors",
            "churn",
        ] {
            assert_eq!(FileName::of(Path::new(other)), None, "{other}");
        }
    }
}
