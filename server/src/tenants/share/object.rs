//! Form of the object in which a server tells others what it has counted.

use crate::{
    objects::LONGEST,
    tenants::tenant::{Account, TenantName},
    time::days_elsewhere,
};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use std::{collections::HashSet, fmt, str::FromStr};

/// Ending of the objects' names.
const ENDING: &str = ".json";
/// Version of the objects' form.
pub(super) const FORMAT: u32 = 1;
/// Random bytes in a server's name.
const NAME_BYTES: usize = 16;

/// Random name of a server, new at each start. Its object is `NAME.json`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ServerName(String);

/// What a server has counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Counted {
    /// [`FORMAT`].
    pub(super) format: u32,
    /// Number of the write, by which others see that the server lives.
    pub(super) beat: u64,
    /// Day of the queries.
    pub(super) day: NaiveDate,
    /// Queries of the day by tenant and model, if there are daily budgets.
    pub(super) queries: Vec<Queries>,
    /// Units that each tenant's rate was charged since the server started, if there are rates.
    pub(super) units: Vec<Units>,
}

/// Queries of a tenant to a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::tenants) struct Queries {
    /// `None` on servers without tokens.
    pub(in crate::tenants) tenant: Option<TenantName>,
    pub(in crate::tenants) model: String,
    /// Queries that were scored or are being scored.
    pub(in crate::tenants) used: u64,
    /// Queries that the server may score before it writes again, and those used: what counts once
    /// the server has ended.
    pub(in crate::tenants) kept: u64,
}

/// Units of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Units {
    /// `None` on servers without tokens.
    pub(super) tenant: Option<TenantName>,
    pub(super) units: u64,
}

/// The format of an object, whatever else is in it.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// Why another server's object can't be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadObject {
    /// It is too long.
    #[error("it may have {LONGEST} bytes at most")]
    TooLong,
    /// It isn't an object of counts.
    #[error("it holds no counts: {0}")]
    Malformed(#[from] serde_json::Error),
    /// It was written by another version of the program.
    #[error(
        "it has format {found}, and this server reads {FORMAT}: does another version of Blindscore count there?"
    )]
    Format {
        /// Its format.
        found: u32,
    },
    /// An account or a tenant is in it twice.
    #[error("an account or a tenant is in it twice")]
    Twice,
    /// More queries were used than may have been.
    #[error("it counts {used} queries, more than the {kept} that it reserved")]
    Used {
        /// Queries used.
        used: u64,
        /// Queries that may have been used.
        kept: u64,
    },
    /// The other server's clock is wrong: it doesn't share counts, and scores no query that a
    /// budget limits.
    #[error("it counts the queries of {day}, and today is {today}: set the clocks")]
    Day {
        /// Day of its queries.
        day: NaiveDate,
        /// Today.
        today: NaiveDate,
    },
}

impl ServerName {
    /// Makes up a name.
    pub(super) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; NAME_BYTES];
        getrandom::getrandom(&mut bytes)?;
        Ok(Self(hex::encode(bytes)))
    }

    /// Returns the name of the server's object.
    pub(super) fn object(&self) -> object_store::path::Path {
        object_store::path::Path::from(format!("{self}{ENDING}"))
    }

    /// Returns the server whose object has this name, if any has.
    pub(super) fn of_object(name: &str) -> Option<Self> {
        name.strip_suffix(ENDING)?.parse().ok()
    }
}

/// The text isn't a server's name.
#[derive(Debug)]
pub(super) struct NoName;

impl FromStr for ServerName {
    type Err = NoName;

    fn from_str(text: &str) -> Result<Self, NoName> {
        let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == 2 * NAME_BYTES && text.bytes().all(hexadecimal) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NoName)
        }
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Counted {
    /// Parses another server's object.
    pub(super) fn parse(content: &[u8], today: NaiveDate) -> Result<Self, BadObject> {
        // Read on its own first: the fields of another format aren't known here.
        let Format { format: found } = serde_json::from_slice(content)?;
        if found != FORMAT {
            return Err(BadObject::Format { found });
        }
        let counted: Self = serde_json::from_slice(content)?;
        let mut accounts: HashSet<(&Option<TenantName>, &str)> = HashSet::new();
        for Queries {
            tenant,
            model,
            used,
            kept,
        } in &counted.queries
        {
            if used > kept {
                return Err(BadObject::Used {
                    used: *used,
                    kept: *kept,
                });
            }
            if !accounts.insert((tenant, model)) {
                return Err(BadObject::Twice);
            }
        }
        let mut tenants = HashSet::new();
        if !counted.units.iter().all(|units| tenants.insert(&units.tenant)) {
            return Err(BadObject::Twice);
        }
        if counted.day > *days_elsewhere(today).end() {
            return Err(BadObject::Day {
                day: counted.day,
                today,
            });
        }
        Ok(counted)
    }
}

impl Queries {
    /// Returns the tenant and model that the queries are charged to.
    pub(super) fn account(&self) -> Account {
        (self.tenant.clone(), self.model.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn parse(queries: &str, units: &str) -> Result<Counted, BadObject> {
        let text =
            format!(r#"{{"format":1,"beat":1,"day":"2100-01-02","queries":[{queries}],"units":[{units}]}}"#);
        Counted::parse(text.as_bytes(), day("2100-01-01"))
    }

    #[test]
    fn only_counts_that_can_be_true_are_read() {
        let one = r#"{"tenant":"a","model":"m","used":1,"kept":2}"#;
        let two = r#"{"tenant":null,"model":"m","used":18446744073709551615,"kept":18446744073709551615}"#;
        let units = r#"{"tenant":"a","units":7}"#;
        let read = parse(&format!("{one},{two}"), units).unwrap();
        assert_eq!((read.queries.len(), read.units[0].units), (2, 7));
        assert!(matches!(
            parse(&format!("{one},{one}"), ""),
            Err(BadObject::Twice)
        ));
        assert!(matches!(
            parse("", &format!("{units},{units}")),
            Err(BadObject::Twice)
        ));
        let used = r#"{"tenant":"a","model":"m","used":3,"kept":2}"#;
        assert!(matches!(
            parse(used, ""),
            Err(BadObject::Used { used: 3, kept: 2 })
        ));
        for bad in [
            r#"{"tenant":"a","model":"m","used":-1,"kept":2}"#,
            r#"{"tenant":"a","model":"m","used":1e3,"kept":2000}"#,
            r#"{"tenant":"A/..","model":"m","used":1,"kept":2}"#,
            r#"{"tenant":"a","model":"m","used":1,"kept":2,"more":0}"#,
            r#"{"tenant":"a","model":"m","used":1}"#,
        ] {
            assert!(matches!(parse(bad, ""), Err(BadObject::Malformed(_))), "{bad}");
        }
        let text = r#"{"format":1,"beat":1,"day":"2100-01-02","queries":[],"units":[]}"#;
        assert!(matches!(
            Counted::parse(text.as_bytes(), day("2099-12-31")),
            Err(BadObject::Day { .. })
        ));
        assert!(Counted::parse(text.as_bytes(), day("2100-06-01")).is_ok());
        let other = r#"{"format":2,"shards":[]}"#;
        assert!(matches!(
            Counted::parse(other.as_bytes(), day("2100-01-02")),
            Err(BadObject::Format { found: 2 })
        ));
    }

    #[test]
    fn names_are_strict() {
        let name = ServerName::random().unwrap();
        let object = name.object();
        assert_eq!(ServerName::of_object(object.as_ref()), Some(name.clone()));
        for other in [
            "tokens.json",
            ".json",
            "probe",
            &name.to_string(),
            &format!("{name}.json#1"),
        ] {
            assert_eq!(ServerName::of_object(other), None, "{other}");
        }
        let upper = format!("{}.json", name.to_string().replace(char::is_numeric, "A"));
        assert_eq!(ServerName::of_object(&upper), None);
    }

    proptest! {
        #[test]
        fn junk_is_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "[\\[\\]{}\",:a-z0-9]{0,100}") {
            prop_assert!(Counted::parse(&bytes, day("2100-01-01")).is_err());
            prop_assert!(Counted::parse(text.as_bytes(), day("2100-01-01")).is_err());
        }
    }
}
