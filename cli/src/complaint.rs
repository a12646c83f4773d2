//! Complaints about a row, worded so that its owner can act on them.

use blindscore_protocol::descriptor::short;
use std::fmt;

/// Maximum number of complaints that the output shows for one row; the rest are counted.
const SHOWN: usize = 5;

/// One problem of a row.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Complaint {
    /// Name of the column, if the problem is in one.
    column: Option<String>,
    problem: String,
}

/// Why a row can't be scored.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) complaints: Vec<Complaint>,
    /// Whether some feature has no number, regardless of ranges.
    pub(crate) unreadable: bool,
}

impl Complaint {
    /// Creates a complaint about one cell.
    pub(crate) fn of_column(name: &str, problem: String) -> Self {
        Self {
            column: Some(name.to_owned()),
            problem,
        }
    }

    /// Creates a complaint about the whole row.
    pub(crate) fn of_row(problem: impl fmt::Display) -> Self {
        Self {
            column: None,
            problem: problem.to_string(),
        }
    }

    /// Formats the complaint with its row.
    pub(crate) fn at(&self, row: u64) -> String {
        let mark = if self.column.is_some() { ',' } else { ':' };
        format!("row {row}{mark} {self}")
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.column {
            Some(column) => write!(f, "column {column:?}: {}", self.problem),
            None => f.write_str(&self.problem),
        }
    }
}

impl Refusal {
    /// Refuses a row that is malformed as a whole.
    pub(crate) fn of_row(problem: impl fmt::Display) -> Self {
        Self {
            complaints: vec![Complaint::of_row(problem)],
            unreadable: true,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, complaint) in self.complaints.iter().take(SHOWN).enumerate() {
            let separator = if place == 0 { "" } else { "; " };
            write!(f, "{separator}{complaint}")?;
        }
        match self.complaints.len() {
            count if count > SHOWN => write!(f, "; and {} more", count - SHOWN),
            _ => Ok(()),
        }
    }
}

/// Describes a cell without a value, in a column that needs one.
pub(crate) fn unfilled(text: &str) -> String {
    match text.trim() {
        "" => "is empty".to_owned(),
        text => format!("{text:.40?} is not a number"),
    }
}

/// Checks that a number is in its range.
pub(crate) fn in_range(value: f64, (min, max): (f64, f64)) -> Result<f64, String> {
    if (min..=max).contains(&value) {
        Ok(value)
    } else {
        let [value, min, max] = [value, min, max].map(short);
        Err(format!("{value} is outside {min} to {max}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_in_their_range_or_it_is_named() {
        assert_eq!(unfilled(" "), "is empty");
        assert_eq!(unfilled("NaN"), "\"NaN\" is not a number");
        assert_eq!(in_range(11.0, (0.0, 10.0)), Err("11 is outside 0 to 10".into()));
        assert_eq!(
            in_range(1e308, (-1e300, 0.5)),
            Err("1e308 is outside -1e300 to 0.5".into())
        );
    }

    #[test]
    fn many_complaints_of_one_row_are_counted() {
        let complaints = (0..7).map(|column| Complaint::of_column(&column.to_string(), "is empty".into()));
        let refusal = Refusal {
            complaints: complaints.collect(),
            unreadable: true,
        };
        let text = refusal.to_string();
        assert!(
            text.starts_with("column \"0\": is empty; column \"1\"") && text.ends_with("; and 2 more"),
            "{text}"
        );
        assert_eq!(refusal.complaints[0].at(3), "row 3, column \"0\": is empty");
        assert_eq!(Complaint::of_row("too far").at(4), "row 4: too far");
    }
}
