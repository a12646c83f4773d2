//! CSV files, read by the same rules as in `blindscore predict`.

use super::{
    bounds::{MOST_COLUMNS, MOST_ROW, MOST_TABLE, megabytes},
    listed, quoted,
};
use blindscore_engine::files;
use blindscore_protocol::columns::{
    ColumnError, Delimiter, DelimiterError, FirstLine, HeaderChoice, HeaderError, QuoteScan, find_columns,
    find_delimiter, first_line, same_column, utf16,
};
use csv::StringRecord;
use std::{
    cell::RefCell,
    collections::HashSet,
    io::{self, BufRead, BufReader},
    path::Path,
    rc::Rc,
};

/// Longest column name in a message, in characters.
const SHOWN: usize = 60;

/// Caller's options for reading a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableOptions {
    /// Whether the first line names the columns.
    pub header: HeaderChoice,
    /// Delimiter of cells, if given.
    pub delimiter: Option<Delimiter>,
    /// Columns that are not features.
    pub ignore: Vec<String>,
}

/// Reason why a table can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The file can't be read, or isn't CSV.
    #[error("can't be read: {0}")]
    Csv(String),
    /// A row has more or fewer cells than the first one.
    #[error("line {line} has {found} cells, the first line has {expected}")]
    Width {
        /// Line of the file, from 1.
        line: u64,
        /// Cells of this line.
        found: u64,
        /// Cells of the first line.
        expected: u64,
    },
    /// A line of a table with one column is empty.
    #[error("line {0} is blank, and may be a row whose value is missing: fill it in, or remove the line")]
    Blank(u64),
    /// The file isn't text in UTF-8.
    #[error("it is {0}, not UTF-8: save it as \"CSV UTF-8\"")]
    Encoding(&'static str),
    /// A cell is not a number.
    #[error("row {row}, column {column}: {text} is not a number{hint}")]
    Cell {
        /// Line of the file, from 1.
        row: u64,
        /// Name of the column, or its number from 1.
        column: String,
        /// Content of the cell, in quotes.
        text: String,
        /// Possible remedy.
        hint: &'static str,
    },
    /// Features lack a column of their own.
    #[error(transparent)]
    Names(#[from] ColumnError),
    /// There are too few or too many columns.
    #[error(
        "there are {found} columns, the model has {expected} features. --ignore A,B leaves out other columns, such as an index or \
         what is to be predicted; --delimiter says what separates columns.{columns}"
    )]
    Columns {
        /// Number of the model's features.
        expected: usize,
        /// Number of the file's columns.
        found: usize,
        /// Names of the columns, as a sentence.
        columns: String,
    },
    /// Columns can't be left out.
    #[error("--ignore: {0}")]
    Ignore(String),
    /// It is unclear whether the first line is a header.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// It is unclear what delimits columns.
    #[error(transparent)]
    Delimiter(#[from] DelimiterError),
    /// A quote is never closed, so all rows after it are one cell.
    #[error("a quote in line {0} is never closed: all rows after it would be one cell")]
    Quote(u64),
    /// There are no rows, or too many values.
    #[error("{0}")]
    Size(String),
    /// A record has no features.
    #[error("line {line}{column}: {problem}")]
    Record {
        /// Line of the record.
        line: u64,
        /// The column, in words.
        column: String,
        /// Problem with it.
        problem: String,
    },
}

/// A table, opened at its first row.
pub(super) struct Table {
    records: csv::StringRecordsIntoIter<Box<dyn io::Read>>,
    header: Option<Vec<String>>,
    /// Rows read to tell whether the first line is a header.
    first: Vec<StringRecord>,
    width: usize,
    delimiter: Delimiter,
    /// State of the quotes in the bytes read so far.
    quotes: Rc<RefCell<QuoteScan>>,
}

/// Reader that scans for quotes.
struct Scanned<R> {
    source: R,
    quotes: Rc<RefCell<QuoteScan>>,
    read: u64,
}

impl<R: io::Read> io::Read for Scanned<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.source.read(buffer)?;
        self.read += length as u64;
        if self.read > MOST_TABLE {
            return Err(io::Error::other(format!(
                "it has more than {}, the limit; use a sample of the rows",
                megabytes(MOST_TABLE)
            )));
        }
        let mut quotes = self.quotes.borrow_mut();
        quotes.feed(&buffer[..length]);
        if quotes.longest() > MOST_ROW {
            let most = megabytes(MOST_ROW as u64);
            return Err(io::Error::other(match quotes.unclosed() {
                Some(line) => {
                    format!("the quote in line {line} isn't closed within {most}, the limit of a row")
                }
                None => format!("a row has more than {most}, the limit"),
            }));
        }
        Ok(length)
    }
}

impl Table {
    /// Opens a file. `names` are those of the model's columns, if they have names, `columns` is the
    /// expected number of columns, and `all_text` says whether all of them hold texts.
    pub(super) fn open(
        path: &Path,
        options: &TableOptions,
        names: Option<&[&str]>,
        columns: Option<usize>,
        all_text: bool,
    ) -> Result<Self, TableError> {
        if path == Path::new("-") {
            return Err(TableError::Csv(
                "standard input is not supported; write it into a file".into(),
            ));
        }
        let file = files::open(path).map_err(|error| TableError::Csv(error.to_string()))?;
        Self::read(Box::new(file), options, names, columns, all_text)
    }

    pub(super) fn read(
        source: Box<dyn io::Read>,
        options: &TableOptions,
        names: Option<&[&str]>,
        columns: Option<usize>,
        all_text: bool,
    ) -> Result<Self, TableError> {
        // The buffer holds the whole first line.
        let mut source = BufReader::with_capacity(MOST_ROW, source);
        let start = source.fill_buf().map_err(|error| csv_error(error.into()))?;
        if utf16(start) {
            return Err(TableError::Encoding("in UTF-16 (\"Unicode text\")"));
        }
        let line = start
            .split(|byte| [b'\n', b'\r'].contains(byte))
            .next()
            .unwrap_or_default();
        let line = String::from_utf8_lossy(line);
        let line = line.trim_start_matches('\u{feff}');
        let ignored = options.ignore.len();
        let delimiter = match options.delimiter {
            Some(delimiter) => delimiter,
            None => find_delimiter(line, columns.map(|columns| columns + ignored))?,
        };
        let quotes = Rc::new(RefCell::new(QuoteScan::new(delimiter)));
        let reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .delimiter(delimiter.byte())
            .from_reader(Box::new(Scanned {
                source,
                quotes: quotes.clone(),
                read: 0,
            }) as Box<dyn io::Read>);
        let mut records = reader.into_records();
        let mut next = || records.next().transpose().map_err(csv_error);
        let Some(first) = next()? else {
            return Err(TableError::Size("there are no rows".into()));
        };
        if first.len() > MOST_COLUMNS {
            return Err(TableError::Size(format!(
                "there are {} columns; at most {MOST_COLUMNS} are allowed",
                first.len()
            )));
        }
        let second = next()?;
        let cells: Vec<&str> = first.iter().collect();
        let second_cells: Option<Vec<&str>> = second.as_ref().map(|record| record.iter().collect());
        let is_header = first_line(&cells, second_cells.as_deref(), names, all_text, options.header)?
            == FirstLine::Header;
        let header = is_header.then(|| first.iter().map(str::to_owned).collect());
        let width = first.len();
        let first = (!is_header).then_some(first);
        Ok(Self {
            records,
            header,
            first: first.into_iter().chain(second).collect(),
            width,
            delimiter,
            quotes,
        })
    }

    /// Returns the header's names, with blanks as in the file.
    pub(super) fn header(&self) -> Option<&[String]> {
        self.header.as_deref()
    }

    /// Returns the indices of the columns that aren't ignored.
    pub(super) fn kept(&self, ignore: &[String]) -> Result<Vec<usize>, TableError> {
        let Some(header) = &self.header else {
            return match ignore {
                [] => Ok((0..self.width).collect()),
                _ => Err(TableError::Ignore(
                    "the table has no header, so its columns have no names".into(),
                )),
            };
        };
        let mut kept: Vec<usize> = (0..self.width).collect();
        for name in ignore {
            let before = kept.len();
            kept.retain(|&place| header[place].trim() != name.trim());
            if kept.len() == before {
                return Err(TableError::Ignore(format!(
                    "the header has no other column named {}; it has {}",
                    quoted(name),
                    listed(header)
                )));
            }
        }
        Ok(kept)
    }

    /// Returns the column of each feature, and the names of columns without a feature.
    pub(super) fn features(
        &self,
        count: usize,
        names: Option<&[&str]>,
        options: &TableOptions,
    ) -> Result<(Vec<usize>, Vec<String>), TableError> {
        let kept = self.kept(&options.ignore)?;
        match (&self.header, names) {
            // There is no other that it could be.
            (Some(_), Some([_])) if kept.len() == 1 => Ok((kept, Vec::new())),
            (Some(header), Some(names)) => {
                let columns: Vec<&str> = kept.iter().map(|&place| header[place].as_str()).collect();
                let found = find_columns(names, &columns).map_err(|error| needed(error, options))?;
                let taken: HashSet<usize> = found.iter().copied().collect();
                let others = (0..kept.len()).filter(|place| !taken.contains(place));
                let others = others.map(|place| columns[place].trim().to_owned()).collect();
                Ok((found.into_iter().map(|place| kept[place]).collect(), others))
            }
            _ if kept.len() == count => Ok((kept, Vec::new())),
            (header, _) => {
                let names = header
                    .as_ref()
                    .map(|header| format!(" The header has {}", listed(header)));
                Err(TableError::Columns {
                    expected: count,
                    found: kept.len(),
                    columns: names.unwrap_or_default(),
                })
            }
        }
    }

    /// Returns the rows, each with its line number.
    pub(super) fn rows(&mut self) -> impl Iterator<Item = Result<(u64, StringRecord), TableError>> {
        let first = std::mem::take(&mut self.first);
        let quotes = self.quotes.clone();
        let one_column = self.width == 1;
        // Only known at the end of the file.
        let unseen = move || {
            let quotes = quotes.borrow();
            let blank = quotes.blank().filter(|_| one_column).map(TableError::Blank);
            quotes.unclosed().map(TableError::Quote).or(blank)
        };
        let unseen = std::iter::once_with(unseen).flatten().map(Err);
        first
            .into_iter()
            .map(Ok)
            .chain(&mut self.records)
            .map(move |record| {
                let record = record.map_err(csv_error)?;
                Ok((record.position().map_or(0, csv::Position::line), record))
            })
            .chain(unseen)
    }

    /// Returns the delimiter of cells.
    pub(super) const fn delimiter(&self) -> Delimiter {
        self.delimiter
    }
}

/// Converts the error: a column that the caller left out is the cause if a feature needs it.
fn needed(error: ColumnError, options: &TableOptions) -> TableError {
    if let ColumnError::Missing { missing, .. } = &error
        && let Some((feature, column)) = missing.iter().find_map(|feature| {
            let column = options
                .ignore
                .iter()
                .find(|column| same_column(feature, column))?;
            Some((feature, column))
        })
    {
        return TableError::Ignore(format!(
            "the column {} is the model's feature {}, which it needs",
            quoted(column),
            quoted(feature)
        ));
    }
    error.into()
}

/// Returns the error of a cell that isn't what its column holds.
pub(super) fn bad_cell(text: &str, row: u64, column: String, delimiter: Delimiter) -> TableError {
    let text = text.trim();
    let is_decimal = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let decimal_comma = text
        .trim_start_matches(['-', '+'])
        .split_once(',')
        .is_some_and(|(whole, rest)| is_decimal(whole) && is_decimal(rest));
    let hint = if text.is_empty() {
        ": it is empty. Fill it in, or leave out the row"
    } else if decimal_comma {
        ": it has a decimal comma. Write it with a point"
    } else if text.contains([',', ';', '\t']) && !text.contains(char::from(delimiter.byte())) {
        ": it may be several cells. --delimiter says what separates columns"
    } else if text.parse::<f64>().is_ok() || text.eq_ignore_ascii_case("na") {
        ": it is not a finite number. Fill it in, or leave out the row"
    } else {
        ". --ignore leaves out a column that is not a feature"
    };
    TableError::Cell {
        row,
        column: column
            .replace(char::is_control, " ")
            .chars()
            .take(SHOWN)
            .collect(),
        text: quoted(text),
        hint,
    }
}

fn csv_error(error: csv::Error) -> TableError {
    match error.kind() {
        csv::ErrorKind::Utf8 { .. } => TableError::Encoding("in another encoding"),
        csv::ErrorKind::UnequalLengths {
            pos,
            expected_len,
            len,
        } => TableError::Width {
            line: pos.as_ref().map_or(0, csv::Position::line),
            found: *len,
            expected: *expected_len,
        },
        _ => TableError::Csv(error.to_string()),
    }
}
