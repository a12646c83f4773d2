//! CSV input, opened at its first row: encoding, delimiter and header.

use crate::{args::CsvFile, columns::Columns};
use anyhow::{Context, bail, ensure};
use blindscore_protocol::{
    columns::{Delimiter, FirstLine, QuoteScan, find_delimiter, first_line, utf16},
    descriptor::Inputs,
};
use csv::{ByteRecord, Reader, ReaderBuilder, StringRecord};
use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Seek},
};

/// Maximum length of a first line that is inspected, in bytes.
const FIRST_LINE: u64 = 16 << 20;

/// Opens the file and returns a reader at the first row, and the columns.
pub(crate) fn open(csv: CsvFile<'_>, inputs: &Inputs) -> anyhow::Result<(Reader<File>, Columns)> {
    let path = csv.path;
    let file = File::open(path).with_context(|| format!("can't read {}", path.display()))?;
    read_start(file, csv, inputs).with_context(|| path.display().to_string())
}

fn read_start(mut file: File, csv: CsvFile<'_>, inputs: &Inputs) -> anyhow::Result<(Reader<File>, Columns)> {
    ensure!(
        file.metadata()?.is_file(),
        "is not a regular file, and it has to be read twice: save it as a file first"
    );
    let delimiter = match csv.layout.delimiter {
        Some(delimiter) => delimiter,
        None => delimiter(&mut file, csv, inputs)?,
    };
    file.rewind()?;
    let mut quotes = QuoteScan::new(delimiter);
    let mut bytes = BufReader::new(&mut file);
    loop {
        let piece = bytes.fill_buf()?;
        let length = piece.len();
        if length == 0 {
            break;
        }
        quotes.feed(piece);
        bytes.consume(length);
    }
    if let Some(line) = quotes.unclosed() {
        bail!("a quote in line {line} is never closed: all rows after it would be one cell");
    }
    file.rewind()?;
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter.byte())
        .from_reader(file);
    let start = reader.position().clone();
    let Some(first) = next_line(&mut reader)? else {
        bail!("there are no rows");
    };
    let second = next_line(&mut reader)?;
    let cells: Vec<&str> = first.iter().collect();
    let second: Option<Vec<&str>> = second.as_ref().map(|line| line.iter().collect());
    let names = inputs.column_names();
    let all_text = inputs.all_text();
    let found = match first_line(
        &cells,
        second.as_deref(),
        names.as_deref(),
        all_text,
        csv.layout.header(),
    ) {
        Ok(found) => found,
        Err(error) => bail!("{error}; --no-header is short for --header no"),
    };
    reader.seek(start)?;
    let columns = match found {
        FirstLine::Header => {
            reader.read_byte_record(&mut ByteRecord::new())?;
            Columns::from_header(&first, names.as_deref(), inputs, csv)?
        }
        FirstLine::Row => Columns::without_header(first.len(), inputs, csv)?,
    };
    Ok((reader, columns))
}

/// Finds the delimiter in the first line that isn't empty.
fn delimiter(file: &mut File, csv: CsvFile<'_>, inputs: &Inputs) -> anyhow::Result<Delimiter> {
    let mut lines = BufReader::new(file.take(FIRST_LINE));
    let mut line = Vec::new();
    while line.trim_ascii().is_empty() {
        line.clear();
        if lines.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        ensure!(
            !utf16(&line),
            "the file is in UTF-16: save it as CSV in UTF-8, or convert it with `iconv -f UTF-16 -t UTF-8`"
        );
    }
    let line = String::from_utf8_lossy(&line);
    let line = line.split(['\r', '\n']).next().unwrap_or_default();
    let expected = inputs.columns() + csv.beside.len() + csv.layout.ignore.len();
    Ok(find_delimiter(line, Some(expected))?)
}

fn next_line(reader: &mut Reader<File>) -> anyhow::Result<Option<StringRecord>> {
    let mut record = ByteRecord::new();
    if !reader.read_byte_record(&mut record)? {
        return Ok(None);
    }
    match StringRecord::from_byte_record(record) {
        Ok(record) => Ok(Some(record)),
        Err(_) => bail!(NOT_UTF8),
    }
}

/// Message for text that is not in UTF-8, with its remedy.
pub(crate) const NOT_UTF8: &str = "is not in UTF-8: save the file as CSV in UTF-8";
