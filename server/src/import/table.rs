//! CSV files, by the rules that `blindscore predict` reads them by too.

use blindscore_protocol::columns::{
    ColumnError, Delimiter, DelimiterError, FirstLine, HeaderChoice, HeaderError, QuoteScan, find_columns,
    find_delimiter, first_line, number, same_column, utf16,
};
use csv::StringRecord;
use std::{
    cell::RefCell,
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    rc::Rc,
};

/// Bytes in which the first line has to end.
const FIRST: usize = 1 << 20;

/// Names that a message shows, at most.
const SHOWN: usize = 12;

/// How the caller says that a table is to be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableOptions {
    /// Whether the first line names the columns.
    pub header: HeaderChoice,
    /// What separates cells, if it is given.
    pub delimiter: Option<Delimiter>,
    /// Columns that are no features.
    pub ignore: Vec<String>,
}

/// Why a table can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// It can't be read, or isn't CSV.
    #[error("can't read {path}: {source}")]
    Csv {
        /// The file.
        path: String,
        /// Why.
        source: csv::Error,
    },
    /// It isn't text in UTF-8.
    #[error("{path} is {encoding}, not UTF-8: save it as \"CSV UTF-8\"")]
    Encoding {
        /// The file.
        path: String,
        /// What it is.
        encoding: &'static str,
    },
    /// A cell is no number.
    #[error("row {row}, column {column}: {text:.40?} is not a number{hint}")]
    Cell {
        /// Line of the file, from 1.
        row: u64,
        /// Name of the column, or its number from 1.
        column: String,
        /// What is there.
        text: String,
        /// What to do.
        hint: &'static str,
    },
    /// Features have no columns of their own.
    #[error(transparent)]
    Names(#[from] ColumnError),
    /// Columns are too few or too many.
    #[error(
        "there are {found} columns, the model has {expected} features. --ignore A,B leaves out columns that are none, such as an index or \
         what is to be predicted; --delimiter says what separates columns.{columns}"
    )]
    Columns {
        /// The model's features.
        expected: usize,
        /// The file's columns.
        found: usize,
        /// Their names, in words.
        columns: String,
    },
    /// Columns can't be left out.
    #[error("--ignore: {0}")]
    Ignore(String),
    /// It isn't clear what the first line is.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// It isn't clear what separates columns.
    #[error(transparent)]
    Delimiter(#[from] DelimiterError),
    /// All rows after a quote are one cell.
    #[error("a quote in line {0} is never closed: all rows after it would be one cell")]
    Quote(u64),
    /// No rows, or too many values.
    #[error("{0}")]
    Size(&'static str),
}

/// A table, open at its first row.
pub(super) struct Table {
    path: PathBuf,
    records: csv::StringRecordsIntoIter<Box<dyn io::Read>>,
    header: Option<Vec<String>>,
    /// Rows that were read to see what the first line is.
    first: Vec<StringRecord>,
    width: usize,
    delimiter: Delimiter,
    /// What the bytes that were read say of quotes.
    quotes: Rc<RefCell<QuoteScan>>,
}

/// A file whose quotes are watched while it is read.
struct Scanned<R> {
    source: R,
    quotes: Rc<RefCell<QuoteScan>>,
}

impl<R: io::Read> io::Read for Scanned<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.source.read(buffer)?;
        self.quotes.borrow_mut().feed(&buffer[..length]);
        Ok(length)
    }
}

impl Table {
    /// Opens a file; `names` are the model's features, if they have names, and `columns` how many columns are to be expected.
    pub(super) fn open(
        path: &Path,
        options: &TableOptions,
        names: Option<&[&str]>,
        columns: Option<usize>,
    ) -> Result<Self, TableError> {
        let file = File::open(path).map_err(|error| TableError::Csv {
            path: path.display().to_string(),
            source: error.into(),
        })?;
        Self::read(path, Box::new(file), options, names, columns)
    }

    pub(super) fn read(
        path: &Path,
        source: Box<dyn io::Read>,
        options: &TableOptions,
        names: Option<&[&str]>,
        columns: Option<usize>,
    ) -> Result<Self, TableError> {
        let failed = |source| csv_error(path, source);
        let mut source = BufReader::with_capacity(FIRST, source);
        let start = source.fill_buf().map_err(|error| failed(error.into()))?;
        if utf16(start) {
            return Err(TableError::Encoding {
                path: path.display().to_string(),
                encoding: "in UTF-16 (\"Unicode text\")",
            });
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
            }) as Box<dyn io::Read>);
        let mut records = reader.into_records();
        let mut next = || records.next().transpose().map_err(failed);
        let Some(first) = next()? else {
            return Err(TableError::Size("there are no rows"));
        };
        let second = next()?;
        let cells: Vec<&str> = first.iter().collect();
        let second_cells: Option<Vec<&str>> = second.as_ref().map(|record| record.iter().collect());
        let is_header =
            first_line(&cells, second_cells.as_deref(), names, options.header)? == FirstLine::Header;
        let header = is_header.then(|| first.iter().map(str::to_owned).collect());
        let width = first.len();
        let first = (!is_header).then_some(first);
        Ok(Self {
            path: path.to_owned(),
            records,
            header,
            first: first.into_iter().chain(second).collect(),
            width,
            delimiter,
            quotes,
        })
    }

    /// The header's names, with blanks as they stand in the file.
    pub(super) fn header(&self) -> Option<&[String]> {
        self.header.as_deref()
    }

    /// Places of the columns that aren't to be ignored.
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
                    "the header has no other column named {name:?}; it has {}",
                    quoted(header)
                )));
            }
        }
        Ok(kept)
    }

    /// Where each of the features has its column, and the names of columns that none has.
    pub(super) fn features(
        &self,
        count: usize,
        names: Option<&[&str]>,
        options: &TableOptions,
    ) -> Result<(Vec<usize>, Vec<String>), TableError> {
        let kept = self.kept(&options.ignore)?;
        match (&self.header, names) {
            (Some(header), Some(names)) => {
                let columns: Vec<&str> = kept.iter().map(|&place| header[place].as_str()).collect();
                let found = find_columns(names, &columns)?;
                let others = (0..kept.len()).filter(|place| !found.contains(place));
                let others = others.map(|place| columns[place].trim().to_owned()).collect();
                Ok((found.into_iter().map(|place| kept[place]).collect(), others))
            }
            _ if kept.len() == count => Ok((kept, Vec::new())),
            (header, _) => {
                let names = header
                    .as_ref()
                    .map(|header| format!(" The header has {}", quoted(header)));
                Err(TableError::Columns {
                    expected: count,
                    found: kept.len(),
                    columns: names.unwrap_or_default(),
                })
            }
        }
    }

    /// The rows, each with its line.
    pub(super) fn rows(&mut self) -> impl Iterator<Item = Result<(u64, StringRecord), TableError>> {
        let path = self.path.clone();
        let first = std::mem::take(&mut self.first);
        let quotes = self.quotes.clone();
        // Known when the file has ended.
        let unclosed = std::iter::once_with(move || quotes.borrow().unclosed())
            .flatten()
            .map(|line| Err(TableError::Quote(line)));
        first
            .into_iter()
            .map(Ok)
            .chain(&mut self.records)
            .map(move |record| {
                let record = record.map_err(|source| csv_error(&path, source))?;
                Ok((record.position().map_or(0, csv::Position::line), record))
            })
            .chain(unclosed)
    }

    /// What separates its cells.
    pub(super) const fn delimiter(&self) -> Delimiter {
        self.delimiter
    }
}

/// The first of some names.
fn quoted(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("{name:?}")).collect();
    let more = if names.len() > SHOWN { ", ..." } else { "" };
    shown.join(", ") + more
}

/// Whether a column that no feature has is one of those that the model knows and doesn't use.
pub(super) fn is_unused(column: &str, unused: &[String]) -> bool {
    unused.iter().any(|name| same_column(name, column))
}

/// The number in a cell.
pub(super) fn cell(
    text: &str,
    row: u64,
    column: impl FnOnce() -> String,
    delimiter: Delimiter,
) -> Result<f64, TableError> {
    number(text).ok_or_else(|| {
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
        } else if text.parse::<f64>().is_ok() {
            ": it is no value. Fill it in, or leave out the row"
        } else {
            ". --ignore leaves out a column that is no feature"
        };
        TableError::Cell {
            row,
            column: column(),
            text: text.to_owned(),
            hint,
        }
    })
}

fn csv_error(path: &Path, source: csv::Error) -> TableError {
    let path = path.display().to_string();
    match source.kind() {
        csv::ErrorKind::Utf8 { .. } => TableError::Encoding {
            path,
            encoding: "in another encoding",
        },
        _ => TableError::Csv { path, source },
    }
}
