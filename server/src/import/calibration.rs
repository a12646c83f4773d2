//! Examples of the features, as a CSV file.

use blindscore_protocol::descriptor::FEATURES;
use std::{io, path::Path};

/// Values that are kept, at most: 800 MB of them.
const MOST_VALUES: usize = 100_000_000;

/// Why a CSV file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum CalibrationError {
    /// It can't be read, or isn't CSV.
    #[error("can't read {path}: {source}")]
    Csv {
        /// The file.
        path: String,
        /// Why.
        source: csv::Error,
    },
    /// A cell is no number.
    #[error("row {row}, column {column}: {text:?} is not a number")]
    Cell {
        /// Row of the file, from 1.
        row: u64,
        /// Name of the column, or its number from 1.
        column: String,
        /// What is there.
        text: String,
    },
    /// A feature has no column.
    #[error("there is no column {0:?}")]
    NoColumn(String),
    /// Columns are too few or too many.
    #[error("there are {found} columns, the model has {expected} features")]
    Columns {
        /// The model's features.
        expected: usize,
        /// The file's columns.
        found: usize,
    },
    /// No rows, or too many values.
    #[error("{0}")]
    Size(&'static str),
}

/// Rows of features.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    rows: Vec<Vec<f64>>,
    names: Option<Vec<String>>,
}

impl Calibration {
    /// Reads a file with `features` columns. A first row that isn't numbers is a header, and so is 0, 1, 2, ..., which is how pandas calls columns
    /// without names; where both it and the model have names, columns are found by name.
    ///
    /// # Errors
    /// If it can't be read, a cell isn't a number, or the columns aren't the model's.
    pub fn read(path: &Path, features: usize, names: Option<&[String]>) -> Result<Self, CalibrationError> {
        let failed = |source| CalibrationError::Csv {
            path: path.display().to_string(),
            source,
        };
        let file = std::fs::File::open(path).map_err(|error| failed(error.into()))?;
        Self::parse(file, features, names, failed)
    }

    fn parse(
        source: impl io::Read,
        features: usize,
        names: Option<&[String]>,
        failed: impl Fn(csv::Error) -> CalibrationError,
    ) -> Result<Self, CalibrationError> {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .trim(csv::Trim::All)
            .from_reader(source);
        let mut records = reader.records();
        let Some(first) = records.next().transpose().map_err(&failed)? else {
            return Err(CalibrationError::Size("there are no rows"));
        };
        let counted = first
            .iter()
            .enumerate()
            .all(|(place, cell)| cell == place.to_string());
        let named = first.iter().any(|cell| cell.parse::<f64>().is_err());
        let header: Option<Vec<String>> =
            (named || counted && first.len() > 1).then(|| first.iter().map(str::to_owned).collect());
        let columns = columns(header.as_deref().filter(|_| named), first.len(), features, names)?;
        let mut rows = Vec::new();
        let data = header.is_none().then_some(Ok(first)).into_iter().chain(records);
        for record in data {
            let record = record.map_err(&failed)?;
            let number = record.position().map_or(0, csv::Position::line);
            let cell = |&column: &usize| {
                let text = record.get(column).unwrap_or_default();
                match text.parse::<f64>() {
                    Ok(value) if value.is_finite() => Ok(value),
                    _ => Err(CalibrationError::Cell {
                        row: number,
                        column: header
                            .as_ref()
                            .map_or_else(|| (column + 1).to_string(), |names| names[column].clone()),
                        text: text.to_owned(),
                    }),
                }
            };
            rows.push(columns.iter().map(cell).collect::<Result<Vec<f64>, _>>()?);
            if rows.len() * features > MOST_VALUES {
                return Err(CalibrationError::Size(
                    "there are too many values; a sample of the rows will do",
                ));
            }
        }
        if rows.is_empty() {
            return Err(CalibrationError::Size("there are no rows"));
        }
        let name = |header: &Vec<String>| columns.iter().map(|&column| header[column].clone()).collect();
        Ok(Self {
            rows,
            names: header.as_ref().filter(|_| named).map(name),
        })
    }

    /// What the header calls the features, in the model's order.
    pub fn names(&self) -> Option<&[String]> {
        self.names.as_deref()
    }

    /// The rows; never none.
    pub fn rows(&self) -> &[Vec<f64>] {
        &self.rows
    }
}

/// Where each feature's column is.
fn columns(
    header: Option<&[String]>,
    found: usize,
    features: usize,
    names: Option<&[String]>,
) -> Result<Vec<usize>, CalibrationError> {
    debug_assert!(FEATURES.contains(&features));
    match (header, names) {
        (Some(header), Some(names)) => names
            .iter()
            .map(|name| {
                let exact = header.iter().position(|column| column == name);
                // skl2onnx has `_` in the place of spaces and the like.
                let column = exact.or_else(|| header.iter().position(|column| plain(column) == plain(name)));
                column.ok_or_else(|| CalibrationError::NoColumn(name.clone()))
            })
            .collect(),
        _ if found != features => Err(CalibrationError::Columns {
            expected: features,
            found,
        }),
        _ => Ok((0..features).collect()),
    }
}

/// A name with one `_` for whatever an identifier can't have.
fn plain(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    for c in name.chars() {
        match c.is_alphanumeric() {
            true => plain.push(c),
            false if plain.ends_with('_') => {}
            false => plain.push('_'),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, features: usize, names: Option<&[&str]>) -> Result<Calibration, CalibrationError> {
        let names: Option<Vec<String>> =
            names.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        let failed = |source| CalibrationError::Csv {
            path: "test".into(),
            source,
        };
        Calibration::parse(text.as_bytes(), features, names.as_deref(), failed)
    }

    #[test]
    fn columns_are_found_by_name_or_by_position() {
        let by_name = parse("b, other, a\n1,9,2\n3,9,4\n", 2, Some(&["a", "b"])).unwrap();
        assert_eq!(by_name.rows(), [[2.0, 1.0], [4.0, 3.0]]);
        assert_eq!(by_name.names().unwrap(), ["a", "b"]);
        let alike = parse("mean area (cm),x\n1,2\n", 2, Some(&["x", "mean_area_cm_"])).unwrap();
        assert_eq!(alike.names().unwrap(), ["x", "mean area (cm)"]);
        let by_position = parse("1,2\n3,4\n", 2, Some(&["a", "b"])).unwrap();
        assert_eq!((by_position.rows().len(), by_position.names()), (2, None));
        let counted = parse("0,1\n3,4\n", 2, Some(&["a", "b"])).unwrap();
        assert_eq!((counted.rows(), counted.names()), (&[vec![3.0, 4.0]][..], None));
        assert!(matches!(
            parse("a\n1\n", 2, Some(&["a", "b"])),
            Err(CalibrationError::NoColumn(_))
        ));
        assert!(matches!(
            parse("1,2,3\n", 2, None),
            Err(CalibrationError::Columns { .. })
        ));
    }

    #[test]
    fn cells_that_are_no_numbers_are_named() {
        for bad in ["", "x", "NaN", "inf", "1;2"] {
            let error = parse(&format!("a,b\n1,2\n3,{bad}\n"), 2, None).unwrap_err();
            assert!(
                matches!(&error, CalibrationError::Cell { row: 3, column, .. } if column == "b"),
                "{error}"
            );
        }
        assert!(matches!(parse("a,b\n", 2, None), Err(CalibrationError::Size(_))));
        assert!(matches!(parse("", 2, None), Err(CalibrationError::Size(_))));
        assert!(matches!(
            parse("1,2\n3\n", 2, None),
            Err(CalibrationError::Csv { .. })
        ));
    }
}
