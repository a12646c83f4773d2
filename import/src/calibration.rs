//! Examples of a model's records, from a CSV file.

use super::{
    bounds::MOST_VALUES,
    table::{Table, TableError, TableOptions, bad_cell},
};
use blindscore_client::{Cell, Encoder};
use blindscore_protocol::columns::{ColumnError, same_columns};
use std::{collections::HashSet, path::Path};

/// Overhead of a row, in values.
const ROW: usize = 8;

/// Columns expected of a table.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Encoder of the model's records, which knows their columns.
    pub encoder: &'a Encoder,
    /// Columns that the model knows but does not use.
    pub unused: &'a [String],
}

/// Records, and the features that they give.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    rows: Vec<Vec<f64>>,
    /// Cells of each record, if they aren't the features themselves.
    records: Option<Vec<Vec<Cell<'static>>>>,
    names: Option<Vec<String>>,
    others: Vec<String>,
    has_header: bool,
}

impl Calibration {
    /// Reads a file. Columns are matched by name if both its header and the model have names, else
    /// by position.
    ///
    /// # Errors
    /// If it can't be read, a cell isn't a number, or the columns don't match the model.
    pub fn read(path: &Path, wanted: Wanted<'_>, options: &TableOptions) -> Result<Self, TableError> {
        let columns = wanted.encoder.columns();
        let names: Option<Vec<&str>> = columns.iter().map(|column| column.name.as_deref()).collect();
        let all_text = columns.iter().all(|column| column.kind.is_text());
        let table = Table::open(path, options, names.as_deref(), Some(columns.len()), all_text)?;
        Self::parse(table, wanted, names.as_deref(), options)
    }

    pub(crate) fn parse(
        mut table: Table,
        wanted: Wanted<'_>,
        names: Option<&[&str]>,
        options: &TableOptions,
    ) -> Result<Self, TableError> {
        let encoder = wanted.encoder;
        let (columns, others) = table.features(encoder.columns().len(), names, options)?;
        let header: Option<Vec<String>> = table
            .header()
            .map(|header| header.iter().map(|name| name.trim().to_owned()).collect());
        let delimiter = table.delimiter();
        let (mut rows, mut records, mut values) = (Vec::new(), Vec::new(), 0usize);
        for row in table.rows() {
            let (line, record) = row?;
            let called = |column: usize| match &header {
                Some(names) => names[columns[column]].clone(),
                None => (columns[column] + 1).to_string(),
            };
            let cells = columns.iter().zip(encoder.columns()).enumerate();
            let cells = cells.map(|(place, (&column, kind))| {
                let text = record.get(column).unwrap_or_default();
                match Cell::parse(kind, text) {
                    Ok(Cell::Missing) if !encoder.takes_missing(place) => {
                        Err(bad_cell(text, line, called(place), delimiter))
                    }
                    Ok(cell) => Ok(cell),
                    Err(_) => Err(bad_cell(text, line, called(place), delimiter)),
                }
            });
            let cells: Vec<Cell<'_>> = cells.collect::<Result<_, _>>()?;
            let features = encoder.encode(&cells).map_err(|error| {
                let first = error.problems.into_iter().next();
                let (column, problem) =
                    first.map_or((None, String::new()), |first| (first.column, first.problem));
                TableError::Record {
                    line,
                    column: column
                        .map_or_else(String::new, |column| format!(", column {:?}", called(column))),
                    problem,
                }
            })?;
            values += features.len() + ROW;
            if encoder.is_plain() {
                rows.push(features.to_vec());
            } else {
                values += cells.iter().map(size).sum::<usize>();
                rows.push(features.to_vec());
                records.push(cells.into_iter().map(Cell::into_owned).collect());
            }
            if values > MOST_VALUES {
                return Err(TableError::Size(format!(
                    "there are more than {} rows of {} values, the limit; use a sample of the rows",
                    rows.len() - 1,
                    features.len()
                )));
            }
        }
        if rows.is_empty() {
            return Err(TableError::Size("there are no rows".into()));
        }
        if let Some(header) = &header {
            check_names(
                &columns
                    .iter()
                    .map(|&column| header[column].as_str())
                    .collect::<Vec<_>>(),
            )?;
        }
        // pandas calls unnamed columns 0, 1, 2, ...
        let counted = |names: &Vec<String>| {
            names
                .iter()
                .enumerate()
                .all(|(place, name)| *name == place.to_string())
        };
        let names = header
            .as_ref()
            .map(|header| {
                columns
                    .iter()
                    .map(|&column| header[column].clone())
                    .collect::<Vec<String>>()
            })
            .filter(|names| !counted(names));
        Ok(Self {
            rows,
            records: (!encoder.is_plain()).then_some(records),
            names,
            others: without(others, wanted.unused),
            has_header: header.is_some(),
        })
    }

    /// Returns the header's names of the features, in the model's order.
    pub fn names(&self) -> Option<&[String]> {
        self.names.as_deref()
    }

    /// Returns the columns that don't belong to the model.
    pub fn others(&self) -> &[String] {
        &self.others
    }

    /// Returns whether the first line named the columns.
    pub const fn has_header(&self) -> bool {
        self.has_header
    }

    /// Returns the rows, at least one.
    pub fn rows(&self) -> &[Vec<f64>] {
        &self.rows
    }

    /// Returns the places of at most `most` rows, spread over the file because it may be sorted.
    pub(crate) fn sample(&self, most: usize) -> impl Iterator<Item = usize> + use<> {
        let every = self.rows.len().div_ceil(most.max(1)).max(1);
        (0..self.rows.len()).step_by(every)
    }

    /// Returns the cells of a record.
    pub(crate) fn record(&self, row: usize) -> Vec<Cell<'_>> {
        match &self.records {
            Some(records) => records[row].clone(),
            None => self.rows[row].iter().copied().map(Cell::Number).collect(),
        }
    }
}

/// Returns the size of a cell in memory, in values.
fn size(cell: &Cell<'_>) -> usize {
    4 + match cell {
        Cell::Text(text) => text.len() / 8,
        Cell::Number(_) | Cell::Missing => 0,
    }
}

/// Returns the columns that the model doesn't know.
fn without(columns: Vec<String>, unused: &[String]) -> Vec<String> {
    let unused: HashSet<&str> = unused.iter().map(String::as_str).collect();
    let known = |column: &String| same_columns(column).any(|name| unused.contains(name.as_str()));
    columns.into_iter().filter(|column| !known(column)).collect()
}

/// Checks that names are unique and not empty, because clients match columns by name.
fn check_names(names: &[&str]) -> Result<(), TableError> {
    let mut seen = HashSet::new();
    for name in names {
        if name.is_empty() {
            return Err(TableError::Ignore(
                "a column has no name. pandas writes its index so: save the table with index=False, or leave that column out with \
                 --ignore \"\""
                    .into(),
            ));
        }
        if !seen.insert(name) {
            return Err(ColumnError::TwoColumns((*name).to_owned()).into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use blindscore_protocol::columns::{Delimiter, HeaderChoice};
    use std::io;

    fn parse_with(
        bytes: &[u8],
        count: usize,
        names: Option<&[&str]>,
        options: &TableOptions,
    ) -> Result<Calibration, TableError> {
        let source: Box<dyn io::Read> = Box::new(io::Cursor::new(bytes.to_vec()));
        let table = Table::read(source, options, names, Some(count), false)?;
        let encoder = match names {
            Some(names) => Encoder::plain(names.iter().map(|&name| Some(name.to_owned()))),
            None => Encoder::plain(vec![None; count]),
        };
        let wanted = Wanted {
            encoder: &encoder,
            unused: &["known".to_owned()],
        };
        Calibration::parse(table, wanted, names, options)
    }

    fn parse(text: &str, count: usize, names: Option<&[&str]>) -> Result<Calibration, TableError> {
        parse_with(text.as_bytes(), count, names, &TableOptions::default())
    }

    #[test]
    fn columns_are_found_by_name_or_by_position() {
        let by_name = parse("b, other, a\n1,9,2\n3,9,4\n", 2, Some(&["a", "b"])).unwrap();
        assert_eq!(by_name.rows(), [[2.0, 1.0], [4.0, 3.0]]);
        assert_eq!(by_name.names().unwrap(), ["a", "b"]);
        assert_eq!(by_name.others(), ["other"]);
        let known = parse("b,known,a\n1,text,2\n", 2, Some(&["a", "b"])).unwrap();
        assert!(known.others().is_empty());
        let alike = parse("mean area (cm),x\n1,2\n", 2, Some(&["x", "mean_area__cm_"])).unwrap();
        assert_eq!(alike.names().unwrap(), ["x", "mean area (cm)"]);
        let by_position = parse("1,2\n3,4\n", 2, Some(&["a", "b"])).unwrap();
        assert_eq!((by_position.rows().len(), by_position.names()), (2, None));
        let counted = parse("0,1\n3.5,4\n", 2, Some(&["a", "b"]));
        assert!(matches!(counted, Err(TableError::Names(_))));
        let counted = parse("0,1\n3.5,4\n", 2, None).unwrap();
        assert_eq!((counted.rows(), counted.names()), (&[vec![3.5, 4.0]][..], None));
        assert!(matches!(
            parse("a\n1\n", 2, Some(&["a", "b"])),
            Err(TableError::Names(_))
        ));
    }

    #[test]
    fn columns_that_are_no_features_are_left_out_by_name() {
        let error = parse("id,a,b\nx,1,2\n", 2, None).unwrap_err().to_string();
        assert!(
            error.contains("3 columns") && error.contains("--ignore") && error.contains(r#""id", "a", "b""#),
            "{error}"
        );
        let ignoring = |names: &[&str]| TableOptions {
            ignore: names.iter().map(|&name| name.to_owned()).collect(),
            ..TableOptions::default()
        };
        let found = parse_with(b"id,a,b\nx,1,2\n", 2, None, &ignoring(&["id"])).unwrap();
        assert_eq!(
            (found.rows(), found.names().unwrap()),
            (&[vec![1.0, 2.0]][..], &["a".to_owned(), "b".to_owned()][..])
        );
        let index = parse_with(b",a,b\n0,1,2\n", 2, None, &ignoring(&[""])).unwrap();
        assert_eq!(index.rows(), [[1.0, 2.0]]);
        for (text, words) in [
            (",a\n0,1.5\n", "has no name"),
            ("a,a\n1,2\n", "several columns called \"a\""),
        ] {
            let error = parse(text, 2, None).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        for (text, names) in [("id,a,b\nx,1,2\n", &["ids"][..]), ("1,2\n3,4\n", &["id"])] {
            let error = parse_with(text.as_bytes(), 2, None, &ignoring(names)).unwrap_err();
            assert!(matches!(error, TableError::Ignore(_)), "{error}");
        }
    }

    #[test]
    fn headers_of_numbers_are_headers_if_the_caller_says_so() {
        let years = b"2019,2020\n1,2\n";
        assert!(matches!(
            parse_with(years, 2, None, &TableOptions::default()),
            Err(TableError::Header(_))
        ));
        for (header, rows) in [(HeaderChoice::Yes, 1), (HeaderChoice::No, 2)] {
            let options = TableOptions {
                header,
                ..TableOptions::default()
            };
            assert_eq!(parse_with(years, 2, None, &options).unwrap().rows().len(), rows);
        }
    }

    #[test]
    fn other_delimiters_and_encodings_are_read_or_named() {
        for text in ["a;b\n1;2\n", "a\tb\n1\t2\n", "\u{feff}a,b\r\n1,2\r\n"] {
            let found = parse(text, 2, Some(&["a", "b"])).unwrap();
            assert_eq!(found.rows(), [[1.0, 2.0]], "{text}");
        }
        let utf16: Vec<u8> = "\u{feff}a,b\n1,2\n"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        let latin1 = b"gr\xf6\xdfe,b\n1,2\n";
        for (bytes, encoding) in [(&utf16[..], "UTF-16"), (&latin1[..], "another encoding")] {
            let error = parse_with(bytes, 2, None, &TableOptions::default())
                .unwrap_err()
                .to_string();
            assert!(
                error.contains(encoding) && error.contains("not UTF-8: save it as"),
                "{error}"
            );
        }
        let comma = TableOptions {
            delimiter: Some(Delimiter::Comma),
            ..TableOptions::default()
        };
        let error = parse_with(b"a\n1;2\n", 1, None, &comma).unwrap_err().to_string();
        assert!(error.contains("--delimiter"), "{error}");
        let error = parse("a;b\n1,5;2\n", 2, None).unwrap_err().to_string();
        assert!(error.contains("decimal comma"), "{error}");
    }

    #[test]
    fn cells_that_are_no_numbers_are_named() {
        for (bad, words) in [
            ("", "empty"),
            ("x", "--ignore"),
            ("NaN", "finite"),
            ("inf", "finite"),
            ("1;2", "--delimiter"),
        ] {
            let error = parse(&format!("a,b\n1,2\n3,{bad}\n"), 2, None).unwrap_err();
            assert!(
                matches!(&error, TableError::Cell { row: 3, column, .. } if column == "b"),
                "{error}"
            );
            assert!(error.to_string().contains(words), "{error}");
        }
        assert!(matches!(parse("a,b\n", 2, None), Err(TableError::Size(_))));
        assert!(matches!(parse("", 2, None), Err(TableError::Size(_))));
        let error = parse("1,2\n3\n", 2, None).unwrap_err().to_string();
        assert_eq!(error, "line 2 has 1 cells, the first line has 2");
    }
}
