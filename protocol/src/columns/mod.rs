//! Tables of features: header, delimiter, and matching of columns to features.
//!
//! `import` and `predict` share these rules, so that both read a file in the same way.

mod delimiter;
mod first_line;
mod quotes;

pub use delimiter::{Delimiter, DelimiterError, find_delimiter, utf16};
pub use first_line::{FirstLine, HeaderChoice, HeaderError, first_line, number};
pub use quotes::QuoteScan;

use std::collections::{HashMap, HashSet};

/// Why features can't be matched to columns.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ColumnError {
    /// Some features have no column in the header.
    #[error(
        "no column is called {}; the header has {}",
        quoted(.missing), quoted(.header)
    )]
    Missing {
        /// Names of the features without a column.
        missing: Vec<String>,
        /// Names of the columns without a feature.
        header: Vec<String>,
    },
    /// Several columns may be the same feature.
    #[error(
        "the model's {name:?} may be any of the columns {}, which converters rename identically: rename them before the model \
         is exported, or leave out all but one",
        quoted(.columns)
    )]
    Ambiguous {
        /// Name of the feature.
        name: String,
        /// Names of the candidate columns.
        columns: Vec<String>,
    },
    /// Several columns share this name.
    #[error("the header has several columns called {0:?}")]
    TwoColumns(String),
    /// Several features share this name.
    #[error("the model has several features called {0:?}")]
    TwoFeatures(String),
}

/// Maximum number of names in a message.
const SHOWN: usize = 12;

fn quoted(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("{name:?}")).collect();
    match names.len() {
        0 => "no other columns".to_owned(),
        count if count > SHOWN => format!("{} and {} more", shown.join(", "), count - SHOWN),
        _ => shown.join(", "),
    }
}

/// Returns whether a column of a table may be a feature of the model, by its own name or by the
/// name that converters to ONNX and other libraries give it.
///
/// skl2onnx writes `_` for every character other than a letter, a digit, `_` or `+`, and before a
/// leading digit. Its older versions keep only ASCII letters, and no `+`. LightGBM writes `_` for
/// blanks.
pub fn same_column(model_name: &str, header_name: &str) -> bool {
    same_columns(header_name).any(|name| name == model_name)
}

/// Returns all the names that a column of a table may have in a model.
pub fn same_columns(header_name: &str) -> impl Iterator<Item = String> {
    let own = [header_name, header_name.trim()].map(str::to_owned);
    own.into_iter().chain(possible_names(header_name))
}

fn renamed(name: &str, kept: impl Fn(char) -> bool) -> String {
    let first = name.starts_with(|c: char| c.is_ascii_digit()).then_some('_');
    let rest = name.chars().map(|c| if kept(c) { c } else { '_' });
    first.into_iter().chain(rest).collect()
}

/// Returns, for each of the model's features, the index of its column in `header`, whose names keep
/// the file's blanks.
///
/// Identical names are matched first. Other columns are matched as converters rename them, but only
/// if no other column may be meant: two features never share a column, and nothing is guessed.
///
/// # Errors
/// If a feature has no column, or more than one. The error names both sides.
pub fn find_columns(names: &[&str], header: &[&str]) -> Result<Vec<usize>, ColumnError> {
    let mut places = HashMap::with_capacity(header.len());
    for (place, column) in header.iter().enumerate() {
        places.entry(column.trim()).or_insert_with(Vec::new).push(place);
    }
    let mut own = HashMap::with_capacity(names.len());
    for name in names {
        if own.insert(name.trim(), ()).is_some() {
            return Err(ColumnError::TwoFeatures((*name).to_owned()));
        }
        if places.get(name.trim()).is_some_and(|places| places.len() > 1) {
            return Err(ColumnError::TwoColumns((*name).to_owned()));
        }
    }
    // Columns that match no feature by their own name may match one when renamed.
    let others: Vec<usize> = (0..header.len())
        .filter(|&place| !own.contains_key(header[place].trim()))
        .collect();
    let mut renamed: HashMap<String, Vec<usize>> = HashMap::new();
    for &place in &others {
        for name in possible_names(header[place]) {
            renamed.entry(name).or_default().push(place);
        }
    }
    let mut found = Vec::with_capacity(names.len());
    let mut missing = Vec::new();
    for name in names {
        let exact = places.get(name.trim()).and_then(|places| places.first());
        let alike = renamed.get(*name).map_or(&[][..], Vec::as_slice);
        match (exact, alike) {
            (Some(&place), []) => found.push(place),
            (None, &[place]) => found.push(place),
            (None, []) => missing.push((*name).to_owned()),
            (exact, alike) => {
                let columns = exact.into_iter().chain(alike);
                return Err(ColumnError::Ambiguous {
                    name: (*name).to_owned(),
                    columns: columns.map(|&place| header[place].to_owned()).collect(),
                });
            }
        }
    }
    if missing.is_empty() {
        return unshared(names, header, found);
    }
    let taken: HashSet<usize> = found.into_iter().collect();
    let unused = others.iter().filter(|place| !taken.contains(place));
    Err(ColumnError::Missing {
        missing,
        header: unused.map(|&place| header[place].to_owned()).collect(),
    })
}

/// Returns the names that a column may have in a model besides its own, without duplicates.
fn possible_names(column: &str) -> Vec<String> {
    let mut names: Vec<String> = [column, column.trim()]
        .into_iter()
        .flat_map(|name| {
            [
                renamed(name, |c| c.is_alphanumeric() || c == '+'),
                renamed(name, |c| c.is_ascii_alphanumeric()),
                name.replace(' ', "_"),
            ]
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Returns the indices, if no two features have the same one.
fn unshared(names: &[&str], header: &[&str], found: Vec<usize>) -> Result<Vec<usize>, ColumnError> {
    let mut taken = HashMap::with_capacity(found.len());
    for (name, &place) in names.iter().zip(&found) {
        if let Some(other) = taken.insert(place, name) {
            return Err(ColumnError::Missing {
                missing: vec![(*other).to_owned(), (*name).to_owned()],
                header: vec![header[place].to_owned()],
            });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Columns of a data frame, and the names that skl2onnx 1.20 gives them.
    const RENAMED: [(&str, &str); 9] = [
        ("mean radius", "mean_radius"),
        (" lead", "_lead"),
        ("a-b", "a_b"),
        ("output_label", "output_label"),
        ("1st", "_1st"),
        ("größe", "größe"),
        ("%", "_"),
        ("a  b", "a__b"),
        ("x+y", "x+y"),
    ];

    #[test]
    fn columns_are_known_by_the_names_that_converters_give_them() {
        for (column, name) in RENAMED {
            assert!(same_column(name, column), "{column}");
            assert!(same_column(column, column), "{column}");
        }
        assert!(same_column("gr__e", "größe"), "by older versions");
        assert!(same_column("größe_(cm)", "größe (cm)"), "by LightGBM");
        for (name, column) in [
            ("mean_radius", "mean_radius2"),
            ("a_b", "a__b"),
            ("lead", "_lead"),
            ("A", "a"),
        ] {
            assert!(!same_column(name, column), "{name}, {column}");
        }
        let (header, names): (Vec<&str>, Vec<&str>) = RENAMED.into_iter().unzip();
        assert_eq!(find_columns(&names, &header), Ok((0..header.len()).collect()));
        let mut other_way: Vec<&str> = header.clone();
        other_way.reverse();
        other_way.push("target");
        let places: Vec<usize> = (0..header.len()).rev().collect();
        assert_eq!(find_columns(&names, &other_way), Ok(places));
        assert_eq!(find_columns(&["b", "a"], &[" a", "x", "b "]), Ok(vec![2, 0]));
    }

    #[test]
    fn columns_that_may_be_meant_too_are_named() {
        // Given "a-b" and "a_b", skl2onnx calls the first one "a_b" and the second one "a_b1".
        let error = find_columns(&["a_b", "x"], &["a-b", "a_b", "x"]).unwrap_err();
        assert!(
            matches!(&error, ColumnError::Ambiguous { name, columns } if name == "a_b" && columns == &["a_b", "a-b"]),
            "{error}"
        );
        let error = find_columns(&["a_b", "a_b1"], &["a-b", "a b"]).unwrap_err();
        assert!(matches!(error, ColumnError::Ambiguous { .. }), "{error}");
        // A model with the user's own names tells them apart.
        assert_eq!(
            find_columns(&["a-b", "a b", "a_b"], &["a_b", "a b", "a-b"]),
            Ok(vec![2, 1, 0])
        );
        // One column never serves two features.
        let error = find_columns(&["größe", "gr__e"], &["größe", "y"]).unwrap_err();
        assert!(error.to_string().contains("\"gr__e\""), "{error}");
        let error = find_columns(&["gr_e", "gr+e"], &["gr+e"]).unwrap_err();
        assert!(matches!(error, ColumnError::Missing { .. }), "{error}");
        let error = find_columns(&["_1+_", "_1__"], &["1+ ", "y"]).unwrap_err();
        assert!(matches!(error, ColumnError::Missing { .. }), "{error}");
    }

    #[test]
    fn what_is_missing_or_there_twice_is_named() {
        let error = find_columns(&["a", "b"], &["b", "c"]).unwrap_err().to_string();
        assert_eq!(error, r#"no column is called "a"; the header has "c""#);
        let error = find_columns(&["a", "b"], &["b"]).unwrap_err().to_string();
        assert_eq!(
            error,
            r#"no column is called "a"; the header has no other columns"#
        );
        assert_eq!(
            find_columns(&["a"], &["a", "a "]),
            Err(ColumnError::TwoColumns("a".into()))
        );
        assert_eq!(
            find_columns(&["a", "a"], &["a", "b"]),
            Err(ColumnError::TwoFeatures("a".into()))
        );
    }
}
