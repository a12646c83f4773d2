//! Rows of features from a CSV file, checked.

use crate::{args::PredictArgs, columns::Columns};
use anyhow::{Context, bail, ensure};
use blindscore_client::check_features;
use blindscore_protocol::descriptor::Inputs;
use csv::{ReaderBuilder, StringRecord, Trim};
use std::{fmt::Write, fs::File};

/// Bad cells that are listed; more are counted.
const LISTED: usize = 100;

/// A CSV file, open at its first row.
pub(crate) struct Table<'a> {
    reader: csv::Reader<File>,
    columns: Columns,
    inputs: &'a Inputs,
    /// Rows read so far.
    rows: u64,
}

/// One line of a table.
#[derive(Debug, PartialEq)]
pub(crate) struct Row {
    /// From 1.
    pub(crate) number: u64,
    /// What the id column says, if there is one.
    pub(crate) id: Option<String>,
    /// As many as the model takes, and such as it takes.
    pub(crate) features: Vec<f64>,
}

/// What is wrong with a row: one entry for each bad cell.
type Complaints = Vec<String>;

impl<'a> Table<'a> {
    pub(crate) fn open(args: &PredictArgs, inputs: &'a Inputs) -> anyhow::Result<Self> {
        let path = &args.csv;
        let mut reader = ReaderBuilder::new()
            .has_headers(!args.no_header)
            .trim(Trim::All)
            .from_path(path)
            .with_context(|| format!("can't read {}", path.display()))?;
        let columns = columns(&mut reader, inputs, args).with_context(|| path.display().to_string())?;
        Ok(Self {
            reader,
            columns,
            inputs,
            rows: 0,
        })
    }

    /// Counts the rows of a file, all of which are sound.
    ///
    /// # Errors
    /// Lists every cell that is not.
    pub(crate) fn check(args: &PredictArgs, inputs: &'a Inputs) -> anyhow::Result<u64> {
        let mut table = Self::open(args, inputs)?;
        let mut report = String::new();
        let mut found = 0;
        while let Some(row) = table.next_row()? {
            for complaint in row.err().unwrap_or_default() {
                found += 1;
                if found <= LISTED {
                    let _ = write!(report, "\n  {complaint}");
                }
            }
        }
        let path = args.csv.display();
        if found > LISTED {
            let _ = write!(report, "\n  and {} more", found - LISTED);
        }
        ensure!(found == 0, "{path}: nothing was sent, because of{report}");
        ensure!(table.rows > 0, "{path} has no rows");
        Ok(table.rows)
    }

    /// Up to `count` rows more.
    ///
    /// # Errors
    /// If one of them is bad.
    pub(crate) fn next_rows(&mut self, count: usize) -> anyhow::Result<Vec<Row>> {
        let mut rows = Vec::new();
        while rows.len() < count
            && let Some(row) = self.next_row()?
        {
            match row {
                Ok(row) => rows.push(row),
                Err(complaints) => bail!("the file has changed: {}", complaints.join(", ")),
            }
        }
        Ok(rows)
    }

    fn next_row(&mut self) -> anyhow::Result<Option<Result<Row, Complaints>>> {
        let mut record = StringRecord::new();
        let found = self.reader.read_record(&mut record);
        if !found.context("the file can't be read on")? {
            return Ok(None);
        }
        self.rows += 1;
        Ok(Some(self.parse(&record)))
    }

    fn parse(&self, record: &StringRecord) -> Result<Row, Complaints> {
        let place = format!("row {}", self.rows);
        let mut complaints = Complaints::new();
        let mut features = Vec::with_capacity(self.inputs.count);
        for (index, &column) in self.columns.features.iter().enumerate() {
            match cell(&record[column], self.inputs.range(index)) {
                Ok(value) => features.push(value),
                Err(problem) => {
                    let name = &self.columns.names[index];
                    complaints.push(format!("{place}, column {name:?}: {problem}"));
                }
            }
        }
        if complaints.is_empty()
            && let Err(error) = check_features(self.inputs, &features)
        {
            complaints.push(format!("{place}: {error}"));
        }
        if !complaints.is_empty() {
            return Err(complaints);
        }
        Ok(Row {
            number: self.rows,
            id: self.columns.id.map(|column| record[column].to_owned()),
            features,
        })
    }
}

/// The columns, from the header or from the length of the first line.
fn columns(reader: &mut csv::Reader<File>, inputs: &Inputs, args: &PredictArgs) -> anyhow::Result<Columns> {
    if args.no_header {
        let start = reader.position().clone();
        let mut first = StringRecord::new();
        ensure!(reader.read_record(&mut first)?, "there are no rows");
        reader.seek(start)?;
        return Columns::without_header(first.len(), inputs);
    }
    let header = reader.headers()?;
    ensure!(
        !looks_like_a_row(header),
        "the first line has numbers in place of names; --no-header says that it is a row"
    );
    Columns::from_header(header, inputs, args)
}

/// Numbers, but not 0, 1, 2, ..., which is how pandas calls columns without names.
fn looks_like_a_row(header: &StringRecord) -> bool {
    let numbers = header.iter().all(|cell| cell.parse::<f64>().is_ok());
    let counted = header
        .iter()
        .enumerate()
        .all(|(place, cell)| cell == place.to_string());
    numbers && !counted
}

/// The number in a cell, if it is in the range.
fn cell(text: &str, (min, max): (f64, f64)) -> Result<f64, String> {
    if text.is_empty() {
        return Err("is empty".into());
    }
    match text.parse::<f64>() {
        Err(_) => Err(format!("{text:.40?} is not a number")),
        Ok(value) if !(min..=max).contains(&value) => Err(format!("{value} is outside {min} to {max}")),
        Ok(value) => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser;
    use proptest::prelude::*;
    use std::{fs, path::Path};
    use tempfile::TempDir;

    fn inputs() -> Inputs {
        Inputs::uniform(2, 0.0, 10.0, 11)
    }

    fn args(csv: &Path, more: &[&str]) -> PredictArgs {
        let csv = csv.to_string_lossy();
        let first = [
            "blindscore",
            "predict",
            "--url",
            "http://localhost",
            "--model",
            "m",
        ];
        let files = ["--out", "o", "--csv", &*csv];
        match Cli::parse_from(first.iter().chain(&files).chain(more)).command {
            Command::Predict(args) => args,
            _ => panic!("not predict"),
        }
    }

    fn file(content: impl AsRef<[u8]>) -> (TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.csv");
        fs::write(&path, content).unwrap();
        (dir, path)
    }

    fn rows(content: &str, more: &[&str]) -> anyhow::Result<Vec<Row>> {
        let (_dir, path) = file(content);
        let (args, inputs) = (args(&path, more), inputs());
        let count = Table::check(&args, &inputs)?;
        let rows = Table::open(&args, &inputs)?.next_rows(1000)?;
        assert_eq!(rows.len() as u64, count);
        Ok(rows)
    }

    fn refusal(content: &str, more: &[&str]) -> String {
        format!("{:#}", rows(content, more).unwrap_err())
    }

    #[test]
    fn rows_in_order() {
        let expected = |id: Option<&str>| {
            let row = |number, features| Row {
                number,
                id: id.map(|id| format!("{id}{number}")),
                features,
            };
            vec![row(1, vec![1.0, 2.5]), row(2, vec![0.0, 10.0])]
        };
        for same in [
            "a,b\n1,2.5\n0,10\n",
            "\u{feff}a,b\r\n 1 , 2.5\r\n\r\n0e0,\"1e1\"",
            "0,1\n1,2.5\n0,10",
        ] {
            assert_eq!(rows(same, &[]).unwrap(), expected(None), "{same:?}");
        }
        let bare = "1,2.5\n0,10\n";
        assert_eq!(rows(bare, &["--no-header"]).unwrap(), expected(None));
        let more = "x,a,who,b,y\n?,1,r1,2.5,\n?,0,r2,10,\n";
        assert_eq!(
            rows(more, &["--id", "who", "--ignore", "x,y"]).unwrap(),
            expected(Some("r"))
        );
    }

    #[test]
    fn every_bad_cell_is_listed() {
        let found = refusal("a,b\n1,2\nx,11\n3,\n4,NaN\n-0.1,inf\n", &[]);
        for line in [
            r#"row 2, column "a": "x" is not a number"#,
            r#"row 2, column "b": 11 is outside 0 to 10"#,
            r#"row 3, column "b": is empty"#,
            r#"row 4, column "b": NaN is outside"#,
            r#"row 5, column "a": -0.1 is outside"#,
            r#"row 5, column "b": inf is outside"#,
        ] {
            assert!(found.contains(line), "{line} is not in {found}");
        }
        assert!(!found.contains("row 1,"), "{found}");
        let many = refusal(&format!("a,b\n{}", "x,y\n".repeat(60)), &[]);
        assert!(
            many.contains("row 50, column \"b\"") && many.ends_with("and 20 more"),
            "{many}"
        );
    }

    #[test]
    fn what_is_no_table_of_features_is_refused() {
        for (content, more, words) in [
            ("", &[][..], "the header has 0 columns"),
            ("", &["--no-header"], "there are no rows"),
            ("a,b\n", &[], "has no rows"),
            (
                "a,b,c\n1,2,3\n",
                &[],
                "takes 2 features, without names, the header has 3",
            ),
            ("a\n1\n", &[], "the header has 1 columns"),
            ("a,a\n1,2\n", &[], "two columns named \"a\""),
            ("1,2\n3,4\n", &[], "--no-header"),
            (
                "1,2,3\n",
                &["--no-header"],
                "takes 2 features, the first line has 3",
            ),
            ("a,b\n1,2\n", &["--id", "c"], "no other column named \"c\""),
            (
                "a,b,c\n1,2,3\n",
                &["--id", "c", "--ignore", "c"],
                "no other column named \"c\"",
            ),
            ("a,b\n1,2\n1,2,3\n", &[], "record with 3 fields"),
        ] {
            let found = refusal(content, more);
            assert!(found.contains(words), "{content:?} {more:?}: {found}");
        }
        let missing = Table::check(&args(Path::new("/nothing/here.csv"), &[]), &inputs());
        assert!(format!("{:#}", missing.unwrap_err()).contains("/nothing/here.csv"));
    }

    proptest! {
        /// Whatever the file holds: rows that can be encrypted, or an error.
        #[test]
        fn any_bytes_are_rows_or_an_error(content: Vec<u8>, no_header: bool) {
            let (_dir, path) = file(content);
            let more: &[&str] = if no_header { &["--no-header"] } else { &[] };
            let (args, inputs) = (args(&path, more), inputs());
            if let Ok(count) = Table::check(&args, &inputs) {
                let rows = Table::open(&args, &inputs).unwrap().next_rows(usize::MAX).unwrap();
                prop_assert_eq!(rows.len() as u64, count);
                for row in rows {
                    prop_assert!(check_features(&inputs, &row.features).is_ok());
                }
            }
        }
    }
}
