//! From a record to the features that are encrypted: the public part of a model, run in the clear.

mod cell;
mod hash;
mod letters;
mod numbers;
mod splines;
mod vocabulary;

pub use cell::Cell;
pub use hash::bucket;

use blindscore_protocol::{
    descriptor::{Inputs, short},
    encoding::{Categories, Column, ColumnKind, Encoding, RECORD_TEXT_BYTES, Step, Unknown},
};
use std::{borrow::Cow, fmt};
use vocabulary::{Index, Tokens};
use zeroize::Zeroizing;

/// Maximum number of categories that a message lists.
const SHOWN: usize = 12;

/// A model's encoding, ready to run. A model without one takes its features as they are: one column
/// of numbers each.
#[derive(Clone, Debug)]
pub struct Encoder {
    columns: Vec<Column>,
    encoding: Option<Encoding>,
    /// For each step with categories or a vocabulary, how to find them.
    indices: Vec<Option<Index>>,
    /// For each column, whether a missing value is filled in.
    takes_missing: Vec<bool>,
}

/// A record that has no features.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordError {
    /// Problems, by column; at least one.
    pub problems: Vec<ColumnProblem>,
}

/// Problem with one column of a record, or with the whole record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnProblem {
    /// Position of the column, if the problem is in one.
    pub column: Option<usize>,
    /// Name of the column, or its number from 1.
    pub name: String,
    /// Description of the problem.
    pub problem: String,
}

impl fmt::Display for ColumnProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.column {
            Some(_) => write!(f, "column {:?}: {}", self.name, self.problem),
            None => f.write_str(&self.problem),
        }
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, problem) in self.problems.iter().enumerate() {
            let separator = if place == 0 { "" } else { "; " };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for RecordError {}

/// Numbers and texts of a record while it is encoded. Both may be secret.
struct Slots<'r> {
    /// One number per slot; NaN is a missing number, or stands for a text.
    numbers: Zeroizing<Vec<f64>>,
    /// Texts of the columns.
    texts: Vec<Option<Cow<'r, str>>>,
}

impl Encoder {
    /// Prepares the encoding of a model.
    pub fn new(inputs: &Inputs) -> Self {
        match &inputs.encoding {
            Some(encoding) => Self::of(encoding),
            None => Self::plain((0..inputs.count).map(|index| inputs.name(index).map(str::to_owned))),
        }
    }

    /// Returns the encoder of a model that takes numbers as they are, in columns with these names.
    pub fn plain(names: impl IntoIterator<Item = Option<String>>) -> Self {
        let column = |name| Column {
            name,
            kind: ColumnKind::Number,
            single: false,
        };
        let columns: Vec<Column> = names.into_iter().map(column).collect();
        Self {
            takes_missing: vec![false; columns.len()],
            columns,
            encoding: None,
            indices: Vec::new(),
        }
    }

    /// Prepares an encoding, which must have been checked as part of a model's descriptor.
    pub fn of(encoding: &Encoding) -> Self {
        let mut takes_missing = vec![true; encoding.columns.len()];
        for step in &encoding.steps {
            step.visit(|slot, _| {
                if let Some(takes) = takes_missing.get_mut(slot) {
                    *takes &= step.takes_missing();
                }
            });
        }
        for slot in encoding.features.iter() {
            if let Some(takes) = takes_missing.get_mut(slot) {
                *takes = false;
            }
        }
        Self {
            columns: encoding.columns.clone(),
            indices: encoding.steps.iter().map(Index::of).collect(),
            encoding: Some(encoding.clone()),
            takes_missing,
        }
    }

    /// Returns whether the features are the record's numbers as they are.
    pub fn is_plain(&self) -> bool {
        self.encoding.is_none()
    }

    /// Returns the columns of a record.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Returns whether records need not have a value in a column.
    pub fn takes_missing(&self, column: usize) -> bool {
        self.takes_missing.get(column).copied().unwrap_or(false)
    }

    /// Returns a cell as the steps take it. An empty text in a column of categories is the empty
    /// category if the model has one, else it is missing: tables can't tell these apart.
    pub fn resolved<'c>(&self, column: usize, cell: &'c Cell<'_>) -> Cell<'c> {
        match cell {
            Cell::Number(number) => Cell::Number(*number),
            Cell::Missing => Cell::Missing,
            Cell::Text(text) => {
                let is_category = self
                    .columns
                    .get(column)
                    .is_some_and(|column| column.kind == ColumnKind::Category);
                if text.is_empty() && is_category && !self.has_empty(column) {
                    Cell::Missing
                } else {
                    Cell::Text(Cow::Borrowed(text.as_ref()))
                }
            }
        }
    }

    /// Returns whether the empty text is a category of a column.
    fn has_empty(&self, column: usize) -> bool {
        let steps = self.encoding.iter().flat_map(|encoding| &encoding.steps);
        steps.zip(&self.indices).any(|(step, index)| {
            let reads = match step {
                Step::OneHot { of, .. } | Step::Lookup { of, .. } => *of as usize == column,
                _ => false,
            };
            reads && index.as_ref().is_some_and(|index| index.text("").is_some())
        })
    }

    /// Returns the texts that a column may hold, if it may hold no others.
    pub fn categories(&self, column: usize) -> Option<&[String]> {
        let steps = self.encoding.iter().flat_map(|encoding| &encoding.steps);
        let mut known = steps.filter_map(|step| match step {
            Step::OneHot {
                of,
                categories: Categories::Texts(texts),
                unknown: Unknown::Refuse,
            }
            | Step::Lookup {
                of,
                categories: Categories::Texts(texts),
                unknown: Unknown::Refuse,
                ..
            } if *of as usize == column => Some(texts.as_slice()),
            _ => None,
        });
        known.next()
    }

    /// Returns the features of a record, which has one cell per column.
    ///
    /// # Errors
    /// If a cell is not of its column's kind, is missing and not filled in, or has no features. All
    /// such cells are named.
    pub fn encode(&self, cells: &[Cell<'_>]) -> Result<Zeroizing<Vec<f64>>, RecordError> {
        if cells.len() != self.columns.len() {
            let (found, expected) = (cells.len(), self.columns.len());
            return Err(self.refused(
                None,
                format!("the record has {found} values, the model takes {expected}"),
            ));
        }
        let mut slots = self.read(cells)?;
        let Some(encoding) = &self.encoding else {
            return Ok(slots.numbers);
        };
        let mut problems = Vec::new();
        for (step, index) in encoding.steps.iter().zip(&self.indices) {
            if let Err((slot, problem)) = numbers::run(step, index.as_ref(), &mut slots) {
                let column = (slot < self.columns.len()).then_some(slot);
                problems.push(self.problem(column, problem));
                // Later steps still find the results in their places.
                let results = slots.numbers.len() + step.results();
                slots.numbers.resize(results, f64::NAN);
            }
        }
        if !problems.is_empty() {
            return Err(RecordError { problems });
        }
        let features: Zeroizing<Vec<f64>> =
            Zeroizing::new(encoding.features.iter().map(|slot| slots.numbers[slot]).collect());
        match features.iter().position(|value| !value.is_finite()) {
            None => Ok(features),
            Some(feature) => Err(self.refused(
                None,
                format!(
                    "{} is not a finite number for this record",
                    encoding.describe(feature)
                ),
            )),
        }
    }

    /// Checks the cells and puts them in the first slots.
    fn read<'r>(&self, cells: &'r [Cell<'_>]) -> Result<Slots<'r>, RecordError> {
        let mut slots = Slots {
            numbers: Zeroizing::new(Vec::with_capacity(self.slots())),
            texts: Vec::with_capacity(cells.len()),
        };
        let mut problems = Vec::new();
        for (index, (column, cell)) in self.columns.iter().zip(cells).enumerate() {
            let (number, text) = match (column.kind.is_text(), self.resolved(index, cell)) {
                (_, Cell::Missing) if self.takes_missing[index] => (f64::NAN, None),
                (_, Cell::Missing) => {
                    problems.push(self.problem(
                        Some(index),
                        "is empty, and the model has no value for that".into(),
                    ));
                    (f64::NAN, None)
                }
                (true, Cell::Text(text)) if text.len() > RECORD_TEXT_BYTES => {
                    let problem = format!(
                        "has {} bytes; at most {RECORD_TEXT_BYTES} are allowed",
                        text.len()
                    );
                    problems.push(self.problem(Some(index), problem));
                    (f64::NAN, None)
                }
                (true, Cell::Text(text)) => (f64::NAN, Some(text)),
                (false, Cell::Number(number)) => match cell::checked(column, number) {
                    Ok(number) => (number, None),
                    Err(problem) => {
                        problems.push(self.problem(Some(index), problem));
                        (f64::NAN, None)
                    }
                },
                (true, Cell::Number(_)) => {
                    problems.push(self.problem(Some(index), "is a number, and the model takes text".into()));
                    (f64::NAN, None)
                }
                (false, Cell::Text(_)) => {
                    problems.push(self.problem(Some(index), "is text, and the model takes a number".into()));
                    (f64::NAN, None)
                }
            };
            slots.numbers.push(number);
            slots.texts.push(text);
        }
        if problems.is_empty() {
            Ok(slots)
        } else {
            Err(RecordError { problems })
        }
    }

    /// Returns the number of slots, so that the numbers never move in memory and leave a copy.
    fn slots(&self) -> usize {
        let steps = self.encoding.iter().flat_map(|encoding| &encoding.steps);
        self.columns.len() + steps.map(Step::results).sum::<usize>()
    }

    fn problem(&self, column: Option<usize>, problem: String) -> ColumnProblem {
        ColumnProblem {
            column,
            name: column.map_or_else(String::new, |column| self.name(column)),
            problem,
        }
    }

    fn refused(&self, column: Option<usize>, problem: String) -> RecordError {
        RecordError {
            problems: vec![self.problem(column, problem)],
        }
    }

    /// Returns the name of a column, or its number from 1.
    pub fn name(&self, column: usize) -> String {
        let name = self.columns.get(column).and_then(|column| column.name.clone());
        name.unwrap_or_else(|| (column + 1).to_string())
    }
}

/// Quotes the start of a text for a message.
fn quoted(text: &str) -> String {
    format!("{:?}", text.chars().take(60).collect::<String>())
}

/// Lists categories for a message.
fn listed(categories: &Categories) -> String {
    let shown: Vec<String> = match categories {
        Categories::Texts(texts) => texts.iter().take(SHOWN).map(|text| quoted(text)).collect(),
        Categories::Numbers(numbers) => numbers.iter().take(SHOWN).copied().map(short).collect(),
    };
    match categories.len() {
        count if count > SHOWN => format!("{} and {} more", shown.join(", "), count - SHOWN),
        _ => shown.join(", "),
    }
}

#[cfg(test)]
mod tests;
