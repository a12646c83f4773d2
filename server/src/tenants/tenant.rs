//! Tenants and their names.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr, sync::Arc};

/// Longest tenant name: shorter than a key id in hexadecimal, so that the two can't be confused.
const LONGEST: usize = 40;

/// Name of the key store's lock file. It lies beside the tenants' folders, so no tenant may have
/// its name.
pub(crate) const STORE_LOCK: &str = "lock";
/// Name of the object that is written and read back to probe the key store, which no tenant may
/// have either.
pub(crate) const STORE_PROBE: &str = "probe";

/// Owner of keys; each tenant has its own namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tenant {
    /// Every caller, on servers without tokens.
    Anonymous,
    /// Holder of an API key.
    Named(TenantName),
}

/// Tenant name: lowercase letters, digits and hyphens.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct TenantName(Arc<str>);

/// Tenant and model that queries are charged to. All versions of a model share an account.
pub(super) type Account = (Option<TenantName>, String);

/// The text isn't a valid tenant name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a tenant's name has 1 to {LONGEST} lowercase letters, digits and hyphens and starts with a letter")]
pub struct BadTenantName;

impl FromStr for TenantName {
    type Err = BadTenantName;

    fn from_str(text: &str) -> Result<Self, BadTenantName> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let fits = text.len() <= LONGEST && text.bytes().all(allowed);
        if fits && text.starts_with(|first: char| first.is_ascii_lowercase()) {
            Ok(Self(text.into()))
        } else {
            Err(BadTenantName)
        }
    }
}

impl TryFrom<String> for TenantName {
    type Error = BadTenantName;

    fn try_from(text: String) -> Result<Self, BadTenantName> {
        text.parse()
    }
}

impl From<TenantName> for String {
    fn from(name: TenantName) -> Self {
        name.as_str().to_owned()
    }
}

impl TenantName {
    /// Checks whether the key store has a file of its own by this name, so that the tenant could
    /// store nothing.
    pub fn is_reserved(&self) -> bool {
        [STORE_LOCK, STORE_PROBE].contains(&self.as_str())
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Tenant {
    /// Returns the name of a tenant that has one.
    pub(super) fn name(&self) -> Option<TenantName> {
        match self {
            Self::Anonymous => None,
            Self::Named(name) => Some(name.clone()),
        }
    }
}

impl From<Option<TenantName>> for Tenant {
    fn from(name: Option<TenantName>) -> Self {
        name.map_or(Self::Anonymous, Self::Named)
    }
}

impl fmt::Display for TenantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("-"),
            Self::Named(name) => name.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_strict() {
        for good in ["a", "clinic-7", "x0"] {
            assert_eq!(good.parse::<TenantName>().unwrap().as_str(), good);
        }
        for bad in ["", "A", "-a", "7a", "a/b", "a..b", "a_b", "ä", &"a".repeat(41)] {
            assert!(bad.parse::<TenantName>().is_err(), "{bad:?} was accepted");
        }
    }

    proptest! {
        #[test]
        fn no_name_leaves_its_folder(text in ".{0,50}") {
            if let Ok(name) = text.parse::<TenantName>() {
                prop_assert!(!name.as_str().contains(['/', '.', '#', '\\']));
            }
        }
    }
}
