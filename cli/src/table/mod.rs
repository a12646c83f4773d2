//! Rows of features from a CSV file.

use crate::{
    args::CsvFile,
    columns::Columns,
    complaint::{Complaint, Refusal, in_range, unfilled},
    source::{self, NOT_UTF8},
};
use anyhow::{Context, ensure};
use blindscore_client::{Cell, Encoder, check_features};
use blindscore_protocol::descriptor::Inputs;
use csv::{ByteRecord, StringRecord};
use std::{fmt::Write, fs::File};

/// Maximum number of complaints listed; the rest are counted.
const LISTED_CELLS: usize = 100;

/// CSV file, opened at its first row.
pub(crate) struct Table<'a> {
    reader: csv::Reader<File>,
    columns: Columns,
    inputs: &'a Inputs,
    encoder: Encoder,
    /// Number of rows read so far.
    rows: u64,
}

/// One row of a table.
#[derive(Debug, PartialEq)]
pub(crate) struct Row {
    /// Number of the row, from 1.
    pub(crate) number: u64,
    /// Cells of the columns that are read besides the features.
    pub(crate) beside: Vec<String>,
    /// Features that the model takes, or why there are none.
    pub(crate) features: Result<Vec<f64>, Refusal>,
}

/// Result of checking a whole table.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// Name of the output's first column.
    pub(crate) first_column: String,
    pub(crate) rows: u64,
    /// Rows that the model can't take.
    pub(crate) refused: u64,
    /// Rows among these in which not every feature has a number.
    unreadable: u64,
    /// Complaints about these rows, one line per cell.
    complaints: Vec<String>,
    found: usize,
}

impl<'a> Table<'a> {
    pub(crate) fn open(csv: CsvFile<'_>, inputs: &'a Inputs) -> anyhow::Result<Self> {
        let (reader, columns) = source::open(csv, inputs)?;
        Ok(Self {
            reader,
            columns,
            inputs,
            encoder: Encoder::new(inputs),
            rows: 0,
        })
    }

    /// Reads up to `count` more rows.
    pub(crate) fn next_rows(&mut self, count: usize) -> anyhow::Result<Vec<Row>> {
        let mut rows = Vec::new();
        while rows.len() < count
            && let Some(row) = self.next_row()?
        {
            rows.push(row);
        }
        Ok(rows)
    }

    fn next_row(&mut self) -> anyhow::Result<Option<Row>> {
        let mut record = ByteRecord::new();
        let found = self.reader.read_byte_record(&mut record);
        if !found.context("can't continue reading the file")? {
            return Ok(None);
        }
        self.rows += 1;
        let text = |(column, _): &(usize, String)| {
            let cell = record.get(*column).unwrap_or_default();
            String::from_utf8_lossy(cell).trim().to_owned()
        };
        let beside = self.columns.beside.iter().map(text).collect();
        let features = match StringRecord::from_byte_record(record) {
            Ok(record) => self.parse(&record),
            Err(_) => Err(Refusal::of_row(NOT_UTF8)),
        };
        Ok(Some(Row {
            number: self.rows,
            beside,
            features,
        }))
    }

    fn parse(&self, record: &StringRecord) -> Result<Vec<f64>, Refusal> {
        if record.len() != self.columns.count {
            let (has, count) = (record.len(), self.columns.count);
            return Err(Refusal::of_row(format_args!(
                "has {has} cells, where the first line has {count}"
            )));
        }
        let mut refusal = Refusal {
            complaints: Vec::new(),
            unreadable: false,
        };
        let complaint = |column: usize, problem| Complaint::of_column(&self.columns.names[column], problem);
        let mut cells = Vec::with_capacity(self.columns.features.len());
        for (index, (&column, kind)) in self
            .columns
            .features
            .iter()
            .zip(self.encoder.columns())
            .enumerate()
        {
            let cell = match Cell::parse(kind, &record[column]) {
                Ok(Cell::Missing) if !self.encoder.takes_missing(index) => Err(unfilled(&record[column])),
                cell => cell,
            };
            refusal.unreadable |= cell.is_err();
            match cell.and_then(|cell| self.in_range(index, cell)) {
                Ok(cell) => cells.push(cell),
                Err(problem) => refusal.complaints.push(complaint(index, problem)),
            }
        }
        if !refusal.complaints.is_empty() {
            return Err(refusal);
        }
        let features = match self.encoder.encode(&cells) {
            Ok(features) => features,
            Err(error) => {
                let problems = error.problems.into_iter();
                refusal
                    .complaints
                    .extend(problems.map(|problem| match problem.column {
                        Some(column) => complaint(column, problem.problem),
                        None => Complaint::of_row(problem.problem),
                    }));
                return Err(refusal);
            }
        };
        match check_features(self.inputs, &features) {
            Ok(()) => Ok(features.to_vec()),
            Err(error) => {
                refusal.complaints.push(Complaint::of_row(error));
                Err(refusal)
            }
        }
    }

    /// Checks the range of a column whose numbers are the features.
    fn in_range<'c>(&self, index: usize, cell: Cell<'c>) -> Result<Cell<'c>, String> {
        match cell {
            Cell::Number(value) if self.encoder.is_plain() => {
                in_range(value, self.inputs.range(index)).map(Cell::Number)
            }
            cell => Ok(cell),
        }
    }
}

impl Survey {
    /// Checks every row.
    ///
    /// # Errors
    /// If no row can be scored whatever the ranges are: then the file is not the table that it was
    /// taken for. With `strict`, if any row can't be scored.
    pub(crate) fn of(csv: CsvFile<'_>, inputs: &Inputs, strict: bool) -> anyhow::Result<Self> {
        let mut table = Table::open(csv, inputs)?;
        let first = table.columns.beside.first().map_or("row", |(_, name)| name);
        let mut survey = Self {
            first_column: first.to_owned(),
            ..Self::default()
        };
        while let Some(row) = table.next_row()? {
            survey.add(&row);
        }
        let path = csv.path.display();
        ensure!(survey.rows > 0, "{path} has no rows");
        ensure!(
            survey.unreadable < survey.rows,
            "{path}: no row has a number for each feature, so nothing was sent:{}",
            survey.listed(LISTED_CELLS)
        );
        ensure!(
            !strict || survey.refused == 0,
            "{path}: nothing was sent, because of{}",
            survey.listed(LISTED_CELLS)
        );
        Ok(survey)
    }

    fn add(&mut self, row: &Row) {
        self.rows += 1;
        let Err(refusal) = &row.features else { return };
        self.refused += 1;
        self.unreadable += u64::from(refusal.unreadable);
        self.found += refusal.complaints.len();
        let room = LISTED_CELLS.saturating_sub(self.complaints.len());
        let lines = refusal.complaints.iter().take(room);
        self.complaints
            .extend(lines.map(|complaint| complaint.at(row.number)));
    }

    /// Lists the first `count` complaints, one per line, and how many more there are.
    pub(crate) fn listed(&self, count: usize) -> String {
        let mut text = String::new();
        for complaint in self.complaints.iter().take(count) {
            let _ = write!(text, "\n  {complaint}");
        }
        if self.found > count {
            let _ = write!(text, "\n  and {} more", self.found - count);
        }
        text
    }
}

#[cfg(test)]
mod tests;
