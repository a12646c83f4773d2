//! Header detection: whether the first line of a table names the columns.

use super::find_columns;

/// The user's choice of how to read the first line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeaderChoice {
    /// The line names the columns.
    Yes,
    /// The line is a row like the others.
    No,
    /// No choice: the line's content decides.
    #[default]
    Auto,
}

/// Meaning of the first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstLine {
    /// The line names the columns.
    Header,
    /// The line is a row like the others.
    Row,
}

/// Why the meaning of the first line is unclear.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The line may be a header or a row, for this reason.
    #[error(
        "the first line may be a header or a row, because {0}: pass --header yes if it names the columns, --header no if it is a row"
    )]
    Unclear(&'static str),
    /// The text is not a choice.
    #[error("{0:?} is not yes, no or auto")]
    Unknown(String),
}

impl std::str::FromStr for HeaderChoice {
    type Err = HeaderError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "yes" => Ok(Self::Yes),
            "no" => Ok(Self::No),
            "auto" => Ok(Self::Auto),
            _ => Err(HeaderError::Unknown(text.to_owned())),
        }
    }
}

/// Number of steps between neighbouring numbers from which a rising line is hardly a row.
const MANY: usize = 6;
/// Whole numbers that may be years.
const YEARS: std::ops::RangeInclusive<f64> = 1900.0..=2100.0;

/// Returns the number in a cell, if it is one. NaN and infinities don't count.
pub fn number(cell: &str) -> Option<f64> {
    cell.trim().parse().ok().filter(|value: &f64| value.is_finite())
}

/// Determines the meaning of a table's first line. `second` is the line after it, if there is one;
/// `names` are the names of the model's columns, if they have any; `all_text` says whether all of
/// them hold texts, so that a row has no numbers.
///
/// A line is a header if it has only text, if it has the names of the model's features (some of
/// which may be numbers), or if it counts 0, 1, 2, ... above texts or numbers with a decimal point,
/// which is how pandas names columns without names. Other numbers are a row, unless they look like
/// names.
///
/// Names that are all numbers prove nothing. A server could choose such names to learn, from the
/// number of rows that it receives, whether they are the values in the first row.
///
/// # Errors
/// If the meaning is unclear and the user made no choice.
pub fn first_line(
    first: &[&str],
    second: Option<&[&str]>,
    names: Option<&[&str]>,
    all_text: bool,
    choice: HeaderChoice,
) -> Result<FirstLine, HeaderError> {
    match choice {
        HeaderChoice::Yes => return Ok(FirstLine::Header),
        HeaderChoice::No => return Ok(FirstLine::Row),
        HeaderChoice::Auto => {}
    }
    let is_text = |cell: &&&str| !is_missing(cell) && number(cell).is_none();
    let texts = first.iter().filter(is_text).count();
    if let Some(names) = names
        && (names.len() > 1 || all_text)
    {
        if names.iter().all(|name| may_be_number(name)) {
            if texts == 0 {
                return Err(HeaderError::Unclear(
                    "the model's features have numbers for names",
                ));
            }
        } else if find_columns(names, first).is_ok() {
            return Ok(FirstLine::Header);
        }
    }
    let missing = first.iter().filter(|cell| is_missing(cell)).count();
    let numbers: Vec<f64> = first.iter().filter_map(|cell| number(cell)).collect();
    if numbers.is_empty() && texts > 0 {
        return if all_text {
            Err(HeaderError::Unclear("the model takes texts, and it may be one"))
        } else {
            Ok(FirstLine::Header)
        };
    }
    // The index column that pandas writes has no name.
    let named = if first.first().is_some_and(|cell| cell.trim().is_empty()) {
        &first[1..]
    } else {
        first
    };
    let counts = named
        .iter()
        .enumerate()
        .all(|(place, cell)| cell.trim() == place.to_string());
    let is_text_below = || second.is_some_and(|second| second.iter().any(|cell| is_text(&cell)));
    if counts && !named.is_empty() && is_text_below() {
        return Ok(FirstLine::Header);
    }
    if counts && named.len() > 1 {
        let has_point = |cell: &&str| number(cell).is_some() && cell.contains(['.', 'e', 'E']);
        return if second.is_some_and(|second| second.iter().any(has_point)) {
            Ok(FirstLine::Header)
        } else {
            Err(HeaderError::Unclear("it counts from 0"))
        };
    }
    if texts > 0 || numbers.is_empty() {
        return Err(HeaderError::Unclear(
            "some of its cells are numbers and some are not",
        ));
    }
    let steps: Vec<f64> = numbers.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let rising = steps.iter().all(|step| *step > 0.0);
    let even = steps
        .windows(2)
        .all(|pair| (pair[0] - pair[1]).abs() <= 1e-9 * pair[0].abs());
    let years = numbers
        .iter()
        .all(|value| value.fract() == 0.0 && YEARS.contains(value));
    match steps.len() {
        0 => Ok(FirstLine::Row),
        _ if missing > 0 => Ok(FirstLine::Row),
        _ if rising && years => Err(HeaderError::Unclear("its numbers may be years")),
        count if rising && (count >= MANY || count >= 2 && even) => {
            Err(HeaderError::Unclear("its numbers keep rising"))
        }
        _ => Ok(FirstLine::Row),
    }
}

/// Returns whether a feature's name may belong to a column whose name is a number, either unchanged
/// or as converters rename it (`_5_1` for `5.1`).
fn may_be_number(name: &str) -> bool {
    let in_number = |c: char| c.is_ascii_digit() || "_.eE+- ".contains(c);
    name.contains(|c: char| c.is_ascii_digit()) && name.chars().all(in_number)
}

/// Returns whether a cell stands for a missing value.
fn is_missing(cell: &str) -> bool {
    let cell = cell.trim();
    cell.is_empty()
        || ["na", "nan", "n/a", "null", "none"]
            .iter()
            .any(|word| cell.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auto(first: &str, second: &str, names: &[&str]) -> Result<FirstLine, HeaderError> {
        let first: Vec<&str> = first.split(',').collect();
        let second: Vec<&str> = second.split(',').collect();
        let names = (!names.is_empty()).then_some(names);
        first_line(&first, Some(&second), names, false, HeaderChoice::Auto)
    }

    #[test]
    fn headers_and_rows_are_told_apart() {
        for (first, second, names) in [
            ("a,b", "1,2", &[][..]),
            ("a,b,", "1,2,3", &[]),
            ("age,2020", "5,6", &["age", "2020"]),
            ("age,2020", "5,6", &["age", "_2020"]),
            ("0,1", "1,2.5", &[]),
            (",0,1,2", "0,1.0,2.0,3.0", &[]),
            ("0", "a text", &[]),
            ("0,1", "5,a text", &[]),
        ] {
            assert_eq!(auto(first, second, names), Ok(FirstLine::Header), "{first}");
        }
        for (first, second, names) in [
            ("1,2", "3,4", &["a", "b"][..]),
            ("5.1,3.5,1.4,0.2", "1,2,3,4", &[]),
            ("5.1,,1.4", "1,2,3", &[]),
            ("7", "8", &[]),
            ("1000,1000,1000", "1,2,3", &[]),
        ] {
            assert_eq!(auto(first, second, names), Ok(FirstLine::Row), "{first}");
        }
    }

    #[test]
    fn a_text_is_not_taken_for_a_header() {
        let read = |first: &str, second: &str, names: Option<&[&str]>| {
            first_line(&[first], Some(&[second]), names, true, HeaderChoice::Auto)
        };
        assert_eq!(read("text", "a text", Some(&["text"])), Ok(FirstLine::Header));
        assert_eq!(read("0", "a text", None), Ok(FirstLine::Header));
        for names in [None, Some(&["text"][..])] {
            let error = read("some text", "a text", names).unwrap_err().to_string();
            assert!(
                error.contains("takes texts") && error.contains("--header no"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_server_that_chooses_numbers_for_names_does_not_see_what_the_first_row_has() {
        let row = "5.1,-3e5";
        for names in [["5.1", "-3e5"], ["_5_1", "_3e5"], [" 5.1", "7"], ["1", "2"]] {
            for header in [row, "2,1", "2019,2020"] {
                let error = auto(header, "1,2", &names).unwrap_err();
                assert!(
                    error.to_string().contains("numbers for names"),
                    "{header}: {error}"
                );
            }
            assert_eq!(auto("a,b", "1,2", &names), Ok(FirstLine::Header));
        }
        assert_eq!(auto(row, "1,2", &["e", "5.1"]), Ok(FirstLine::Row));
    }

    #[test]
    fn what_may_be_either_is_for_the_user_to_say() {
        for (first, second) in [
            ("0,1", "3,4"),
            ("2019,2020", "5,6"),
            ("400,410,420", "0.1,0.2,0.3"),
            ("1,2,4,8,16,32,64", "1,1,1,1,1,1,1"),
            ("year,2019,2020", "1,2,3"),
            ("C0,63.5,7.1", "C1,3,4"),
            (",NaN", "1,2"),
        ] {
            let error = auto(first, second, &[]).unwrap_err().to_string();
            assert!(
                error.contains("--header yes") && error.contains("--header no"),
                "{error}"
            );
            let first: Vec<&str> = first.split(',').collect();
            assert_eq!(
                first_line(&first, None, None, false, HeaderChoice::Yes),
                Ok(FirstLine::Header)
            );
            assert_eq!(
                first_line(&first, None, None, false, HeaderChoice::No),
                Ok(FirstLine::Row)
            );
        }
    }
}
