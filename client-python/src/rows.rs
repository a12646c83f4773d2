//! Rows of features, from columns that Python has prepared.

use crate::cells;
use blindscore_client::{Cell, ClientError, Encoder, check_features};
use blindscore_protocol::descriptor::CheckedDescriptor;
use pyo3::{exceptions::PyValueError, prelude::*, types::PyBytes};
use zeroize::Zeroizing;

/// Why a row can't be scored: its place, the name of the column if the problem is in one, and a
/// description.
pub(crate) type RowProblem = (usize, Option<String>, String);

/// Features of a row. They are wiped when they are no longer used.
pub(crate) type Features = Zeroizing<Vec<f64>>;

/// Cells of a column.
#[derive(FromPyObject)]
pub(crate) enum Values<'py> {
    /// Floats of eight bytes in this machine's byte order. NaN is a missing value.
    #[pyo3(transparent)]
    Floats(Bound<'py, PyBytes>),
    /// Objects, one for each row.
    #[pyo3(transparent)]
    Objects(Vec<Bound<'py, PyAny>>),
}

/// Rows, in one of the forms that Python prepares.
pub(crate) enum Rows {
    /// All numbers, row by row.
    Matrix(Zeroizing<Vec<f64>>),
    /// Columns in the model's order.
    Columns(Vec<Column>),
}

/// Cells of a column.
pub(crate) enum Column {
    Numbers(Zeroizing<Vec<f64>>),
    Cells(Vec<Result<Cell<'static>, String>>),
}

impl Rows {
    /// Copies rows out of Python's objects: a matrix, or a value for each of `count` columns.
    ///
    /// # Errors
    /// If there are not as many numbers as `rows` times `count`.
    pub(crate) fn read(
        matrix: Option<&Bound<'_, PyBytes>>,
        columns: Vec<Values<'_>>,
        rows: usize,
        count: usize,
    ) -> PyResult<Self> {
        let wrong = || PyValueError::new_err("the columns don't have the stated number of rows");
        if let Some(bytes) = matrix {
            let numbers = floats(bytes.as_bytes());
            return if Some(numbers.len()) == rows.checked_mul(count) {
                Ok(Self::Matrix(numbers))
            } else {
                Err(wrong())
            };
        }
        if columns.len() != count {
            return Err(wrong());
        }
        let columns = columns.into_iter().map(|column| {
            let column = match column {
                Values::Floats(bytes) => Column::Numbers(floats(bytes.as_bytes())),
                Values::Objects(objects) => Column::Cells(objects.iter().map(cells::read).collect()),
            };
            if column.len() == rows {
                Ok(column)
            } else {
                Err(wrong())
            }
        });
        Ok(Self::Columns(columns.collect::<PyResult<_>>()?))
    }

    /// Returns the features of a row.
    ///
    /// # Errors
    /// With all problems of the row that can be found at once.
    pub(crate) fn features(
        &self,
        row: usize,
        encoder: &Encoder,
        model: &CheckedDescriptor,
    ) -> Result<Features, Vec<RowProblem>> {
        let count = encoder.columns().len();
        let mut problems = Vec::new();
        let cells: Vec<Cell<'_>> = match self {
            Self::Matrix(numbers) => {
                let row = &numbers[row * count..][..count];
                row.iter().map(|&number| of_float(number)).collect()
            }
            Self::Columns(columns) => {
                let mut cells = Vec::with_capacity(count);
                for (place, column) in columns.iter().enumerate() {
                    match column.cell(row) {
                        Ok(cell) => cells.push(cell),
                        Err(problem) => problems.push((row, Some(encoder.name(place)), problem.clone())),
                    }
                }
                cells
            }
        };
        if !problems.is_empty() {
            return Err(problems);
        }
        let features = encoder.encode(&cells).map_err(|error| {
            let problems = error.problems.into_iter();
            let named = |name: String| (!name.is_empty()).then_some(name);
            problems
                .map(|problem| (row, named(problem.name), problem.problem))
                .collect::<Vec<RowProblem>>()
        })?;
        match check_features(&model.inputs, &features) {
            Ok(()) => Ok(features),
            Err(ClientError::FeatureRange {
                feature,
                value,
                min,
                max,
            }) => {
                let name = if encoder.is_plain() {
                    Some(encoder.name(feature.index))
                } else {
                    // A feature that is a column as it stands has the column's name.
                    let column = |name: &String| {
                        let mut columns = encoder.columns().iter();
                        columns.any(|column| column.name.as_ref() == Some(name))
                    };
                    feature.name.filter(column)
                };
                let problem = match &name {
                    Some(_) => format!("{value} is outside {min} to {max}"),
                    None => format!("a feature made from the row is {value}, outside {min} to {max}"),
                };
                Err(vec![(row, name, problem)])
            }
            Err(error) => Err(vec![(row, None, error.to_string())]),
        }
    }
}

impl Column {
    fn len(&self) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.len(),
            Self::Cells(cells) => cells.len(),
        }
    }

    fn cell(&self, row: usize) -> Result<Cell<'_>, &String> {
        match self {
            Self::Numbers(numbers) => Ok(of_float(numbers[row])),
            Self::Cells(cells) => match &cells[row] {
                Ok(Cell::Text(text)) => Ok(Cell::Text(text.as_ref().into())),
                Ok(Cell::Number(number)) => Ok(Cell::Number(*number)),
                Ok(Cell::Missing) => Ok(Cell::Missing),
                Err(problem) => Err(problem),
            },
        }
    }
}

/// Returns the cell of a number, of which NaN is a missing one.
fn of_float(number: f64) -> Cell<'static> {
    if number.is_nan() {
        Cell::Missing
    } else {
        Cell::Number(number)
    }
}

/// Reads floats of eight bytes; a rest is left out, so that lengths differ.
fn floats(bytes: &[u8]) -> Zeroizing<Vec<f64>> {
    let (floats, _) = bytes.as_chunks::<8>();
    Zeroizing::new(floats.iter().map(|bytes| f64::from_ne_bytes(*bytes)).collect())
}
