//! Delimiter of a table's cells.

use std::fmt;

/// Character that separates cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delimiter {
    /// Comma, `,`.
    Comma,
    /// `;`, which spreadsheets write where the comma is the decimal point.
    Semicolon,
    /// Tab character.
    Tab,
}

/// Why the delimiter can't be determined.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DelimiterError {
    /// The first line has several possible delimiters.
    #[error(
        "the first line has {first} and {second}: --delimiter says which of them separates the columns (',', ';' or tab)"
    )]
    Several {
        /// One possible delimiter.
        first: Delimiter,
        /// Another possible delimiter.
        second: Delimiter,
    },
    /// The text is not a delimiter.
    #[error("{0:?} is none of ',', ';' and tab")]
    Unknown(String),
}

impl Delimiter {
    const ALL: [Self; 3] = [Self::Comma, Self::Semicolon, Self::Tab];

    /// Returns the delimiter as a byte.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Semicolon => b';',
            Self::Tab => b'\t',
        }
    }
}

impl fmt::Display for Delimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Comma => "','",
            Self::Semicolon => "';'",
            Self::Tab => "tabs",
        })
    }
}

impl std::str::FromStr for Delimiter {
    type Err = DelimiterError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "," | "comma" => Ok(Self::Comma),
            ";" | "semicolon" => Ok(Self::Semicolon),
            "\t" | "\\t" | "tab" => Ok(Self::Tab),
            _ => Err(DelimiterError::Unknown(text.to_owned())),
        }
    }
}

/// Returns the delimiter of a table with this first line. `columns` is the expected number of
/// columns, if known. If the line has several delimiters, the one that gives this number is chosen.
///
/// # Errors
/// If the delimiter is ambiguous.
pub fn find_delimiter(line: &str, columns: Option<usize>) -> Result<Delimiter, DelimiterError> {
    let present: Vec<(Delimiter, usize)> = Delimiter::ALL
        .into_iter()
        .map(|delimiter| (delimiter, cells(line, delimiter)))
        .filter(|(_, cells)| *cells > 1)
        .collect();
    match *present.as_slice() {
        [] => Ok(Delimiter::Comma),
        [(only, _)] => Ok(only),
        [(first, _), (second, _), ..] => {
            let mut fitting = present.iter().filter(|(_, cells)| Some(*cells) == columns);
            match (fitting.next(), fitting.next()) {
                (Some((only, _)), None) => Ok(*only),
                _ => Err(DelimiterError::Several { first, second }),
            }
        }
    }
}

/// Counts the cells of a line; delimiters in quotes don't count.
fn cells(line: &str, delimiter: Delimiter) -> usize {
    let mut quoted = false;
    let mut cells = 1;
    for byte in line.bytes() {
        quoted ^= byte == b'"';
        cells += usize::from(!quoted && byte == delimiter.byte());
    }
    cells
}

/// Returns whether a file that starts with these bytes is in UTF-16, like "Unicode text" from
/// spreadsheets.
pub fn utf16(start: &[u8]) -> bool {
    matches!(
        start,
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, _, ..] | [_, 0, ..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_shows_what_separates() {
        for (line, columns, expected) in [
            ("a,b,c", None, Delimiter::Comma),
            ("a;b;c", None, Delimiter::Semicolon),
            ("a\tb", Some(3), Delimiter::Tab),
            ("a", Some(1), Delimiter::Comma),
            ("\"a,b\";c", None, Delimiter::Semicolon),
            ("1,5;2,5", Some(2), Delimiter::Semicolon),
            ("mean (cm; left),b,c", Some(3), Delimiter::Comma),
        ] {
            assert_eq!(find_delimiter(line, columns), Ok(expected), "{line}");
        }
        for (line, columns) in [("1,5;2,5", None), ("1,5;2,5", Some(4)), ("a,b;c", Some(2))] {
            assert!(find_delimiter(line, columns).is_err(), "{line}");
        }
        assert_eq!("\\t".parse(), Ok(Delimiter::Tab));
        assert!("|".parse::<Delimiter>().is_err());
    }

    #[test]
    fn utf16_shows_at_the_start() {
        for little in [true, false] {
            for text in ["\u{feff}a,b", "a,b"] {
                let bytes: Vec<u8> = text
                    .encode_utf16()
                    .flat_map(|unit| {
                        if little {
                            unit.to_le_bytes()
                        } else {
                            unit.to_be_bytes()
                        }
                    })
                    .collect();
                assert!(utf16(&bytes));
            }
        }
        assert!(!utf16(b"a,b") && !utf16("\u{feff}a".as_bytes()) && !utf16(b"") && !utf16(b"a"));
    }
}
