//! Cells of a record.

use super::quoted;
use blindscore_protocol::{
    columns::number,
    descriptor::short,
    encoding::{Column, ColumnKind},
};
use std::borrow::Cow;

/// Largest magnitude of a whole number that is exact.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Value of a record's column.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell<'a> {
    /// A number, or 1 or 0 for true or false.
    Number(f64),
    /// A text.
    Text(Cow<'a, str>),
    /// There is none.
    Missing,
}

impl<'a> Cell<'a> {
    /// Reads a cell of a table.
    ///
    /// Numbers may have blanks around them; an empty cell is missing, and so is one that says `NaN`
    /// or `NA`. Texts are taken exactly as they are; see
    /// [`Encoder::resolved`](super::Encoder::resolved) for empty ones.
    ///
    /// # Errors
    /// If the text is not of the column's kind. The error describes the problem, to be put after
    /// the column's name.
    pub fn parse(column: &Column, text: &'a str) -> Result<Self, String> {
        let trimmed = text.trim();
        match column.kind {
            ColumnKind::Text | ColumnKind::Category => Ok(Self::Text(text.into())),
            _ if trimmed.is_empty() || ["nan", "na"].contains(&trimmed.to_ascii_lowercase().as_str()) => {
                Ok(Self::Missing)
            }
            ColumnKind::Flag => match trimmed.to_ascii_lowercase().as_str() {
                "true" => Ok(Self::Number(1.0)),
                "false" => Ok(Self::Number(0.0)),
                _ => match number(trimmed) {
                    Some(flag @ (0.0 | 1.0)) => Ok(Self::Number(flag)),
                    _ => Err(format!("{} is neither true nor false", quoted(trimmed))),
                },
            },
            ColumnKind::Number | ColumnKind::Integer => match number(trimmed) {
                Some(value) => Ok(Self::Number(value)),
                None => Err(not_a_number(trimmed)),
            },
        }
    }
}

impl Cell<'_> {
    /// Returns the same cell with a text of its own.
    pub fn into_owned(self) -> Cell<'static> {
        match self {
            Self::Number(number) => Cell::Number(number),
            Self::Text(text) => Cell::Text(Cow::Owned(text.into_owned())),
            Self::Missing => Cell::Missing,
        }
    }
}

fn not_a_number(text: &str) -> String {
    let point = text.replacen(',', ".", 1);
    if number(&point).is_some() {
        format!(
            "{} is not a number: write {point:.40} with a decimal point",
            quoted(text)
        )
    } else {
        format!("{} is not a number", quoted(text))
    }
}

/// Returns the number of a column, rounded as the original does.
pub(super) fn checked(column: &Column, number: f64) -> Result<f64, String> {
    let shown = short(number);
    let number = if column.single {
        f64::from(number as f32)
    } else {
        number
    };
    match column.kind {
        _ if !number.is_finite() => Err(format!("{shown} is not a finite number")),
        ColumnKind::Integer if number.fract() != 0.0 || number.abs() > EXACT => {
            Err(format!("{shown} is not a whole number"))
        }
        ColumnKind::Flag if number != 0.0 && number != 1.0 => Err(format!("{shown} is neither 0 nor 1")),
        _ => Ok(number),
    }
}
