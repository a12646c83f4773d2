//! Predictions of the caller's own program for the calibration rows.

use super::{
    ImportError, Stated,
    allowed::{Allowed, Difference},
    bounds::MOST_PREDICTIONS,
    compare::Compared,
    listed, quoted,
    suspects::Suspects,
    table::{Table, TableError, TableOptions},
};
use blindscore_client::{Scores, one_vs_one};
use blindscore_protocol::{
    columns::{HeaderChoice, number},
    descriptor::{Link, ModelDescriptor, Task},
};
use csv::StringRecord;
use std::path::Path;

/// Tolerance for rounding a model to single precision, as a share of the range of a score or a
/// probability.
const SHARE: f64 = 1e-4;
/// Names of the column with the answer.
const PREDICTED: [&str; 4] = ["predicted", "prediction", "predict", "label"];
/// Overhead of a row's record, in words, besides its cells.
const RECORD: usize = 24;

/// Meaning of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Column {
    /// Decision, or value of a regression with one target; a JSON list for several outputs.
    Predicted,
    /// Value of one target, or whether one label holds.
    Output(usize),
    /// Probability of a class.
    Probability(usize),
    /// Score of a class.
    Score(usize),
    /// Score or probability of a class; the numbers show which.
    Class(usize),
    /// Decision function of a class among pairs.
    Decision(usize),
}

/// The caller's predictions.
pub struct Expected {
    columns: Vec<(usize, String, Column)>,
    rows: Vec<StringRecord>,
    /// First line of a single column: its name, or a prediction.
    only: Option<String>,
}

impl Expected {
    /// Reads a file for a model. Columns are `predicted` or `label`, `predicted_NAME`,
    /// `proba_NAME`, `score_NAME`, or the names of the outputs. A single column may have any name.
    ///
    /// # Errors
    /// If it can't be read, or has other columns.
    pub fn read(path: &Path, model: &ModelDescriptor) -> Result<Self, ImportError> {
        let options = TableOptions {
            header: HeaderChoice::Yes,
            ignore: Vec::new(),
            // The caller's delimiter applies to the other file.
            delimiter: None,
        };
        let mut table = Table::open(path, &options, None, None, false)?;
        let header: Vec<String> = table
            .header()
            .unwrap_or_default()
            .iter()
            .map(|name| name.trim().to_owned())
            .collect();
        let columns = columns(&header, model)?;
        let (mut rows, mut bytes) = (Vec::new(), 0);
        for row in table.rows() {
            let (_, row) = row?;
            bytes += row.as_slice().len() + (row.len() + RECORD) * size_of::<usize>();
            if bytes > MOST_PREDICTIONS {
                return Err(TableError::Size(format!(
                    "its rows take more than {MOST_PREDICTIONS} bytes, the limit; give a sample of the rows, and the same ones as \
                     --calibrate"
                ))
                .into());
            }
            rows.push(row);
        }
        let only = <[String; 1]>::try_from(header).ok().map(|[name]| name);
        if let Some(only) = &only {
            check_single(only, rows.first(), model)?;
        }
        Ok(Self { columns, rows, only })
    }

    /// Compares all rows with the model in the clear. `suspects` are named if they differ.
    ///
    /// # Errors
    /// If the number of rows differs, or a row differs by more than the stated error.
    pub(crate) fn compare(
        &self,
        rows: &[Vec<f64>],
        stated: &Stated<'_>,
        suspects: &Suspects,
    ) -> Result<Compared, ImportError> {
        let (ours, theirs) = (rows.len(), self.rows.len());
        // pandas writes 0 above an unnamed column, numpy nothing; the number of rows tells them
        // apart.
        let first = self.only.iter().filter(|_| theirs + 1 == ours);
        let first: Option<StringRecord> = first.map(|cell| StringRecord::from(vec![cell.clone()])).next();
        let records: Vec<&StringRecord> = first.iter().chain(&self.rows).collect();
        if ours != records.len() {
            let header = match &self.only {
                Some(only) if !PREDICTED.contains(&only.as_str()) => {
                    format!(" below its first line, {}", quoted(only))
                }
                _ => String::new(),
            };
            return Err(ImportError::Options(format!(
                "--expect has {theirs} rows{header}, --calibrate has {ours}: it must have one prediction for each of those rows, in the same order"
            )));
        }
        let model = stated.descriptor;
        let allowed = Allowed::new(stated, SHARE);
        let mut compared = Compared {
            rows: ours,
            largest: 0.0,
            close: 0,
        };
        let columns = self.resolved(&records, model);
        let mut differing = Vec::new();
        for (index, (row, record)) in rows.iter().zip(&records).enumerate() {
            let scores = Scores::new(model, (stated.plain)(row));
            let close = model.task == Task::Classification && allowed.is_close(&scores, model);
            compared.close += usize::from(close);
            for (place, name, column) in &columns {
                let text = record.get(*place).unwrap_or_default().trim();
                match differs(text, name, column, &scores, model, &allowed, close) {
                    Ok(difference) => compared.largest = compared.largest.max(difference),
                    Err(difference) => {
                        differing.push((index + 1, difference));
                        break;
                    }
                }
            }
        }
        match differing.first() {
            None => Ok(compared),
            Some((row, Difference { what, theirs, ours })) => Err(ImportError::Options(format!(
                "--expect and the file's model differ on {} of {} rows. The first is row {row}: {what} is {theirs} by --expect and {ours} by \
                 the model. What may be wrong: {}",
                differing.len(),
                compared.rows,
                suspects.words(model.task == Task::Classification),
            ))),
        }
    }
}

impl Expected {
    /// Returns whether there is a column with the model's answer.
    pub(crate) fn has_answers(&self) -> bool {
        let is_answer = |column: &Column| matches!(column, Column::Predicted | Column::Output(_));
        self.columns.iter().any(|(_, _, column)| is_answer(column))
    }

    /// Returns the columns. Those with names of classes are probabilities if each row adds up to
    /// one, else scores.
    fn resolved(&self, records: &[&StringRecord], model: &ModelDescriptor) -> Vec<(usize, String, Column)> {
        let classes = || {
            self.columns
                .iter()
                .filter(|(_, _, column)| matches!(column, Column::Class(_)))
        };
        let adds_up = |record: &&StringRecord| {
            let numbers: Option<Vec<f64>> =
                classes().map(|(place, ..)| number(record.get(*place)?)).collect();
            numbers.is_some_and(|numbers| {
                numbers.iter().all(|share| (0.0..=1.0).contains(share))
                    && (numbers.iter().sum::<f64>() - 1.0).abs() < 1e-3
            })
        };
        let shares = classes().count() > 1 && records.iter().all(adds_up);
        let last = model.outputs.len() - 1;
        let resolve = |(place, name, column): &(usize, String, Column)| {
            let column = match column {
                Column::Class(class) if shares || model.link == Link::Mean => Column::Probability(*class),
                Column::Class(class) if has_pairs(model) => Column::Decision(*class),
                // A single score is that of the second of two classes.
                Column::Class(class) => Column::Score((*class).min(last)),
                other => other.clone(),
            };
            (*place, name.clone(), column)
        };
        self.columns.iter().map(resolve).collect()
    }
}

/// Returns the meaning of each column of a header.
fn columns(header: &[String], model: &ModelDescriptor) -> Result<Vec<(usize, String, Column)>, ImportError> {
    let labels: Vec<&str> = model.outputs.iter().map(|output| output.label.as_str()).collect();
    let classes = names_of_classes(model);
    let place = |names: &[&str], name: &str| names.iter().position(|other| same_label(other, name));
    let column = |name: &str| {
        if PREDICTED.contains(&name) {
            return Some(Column::Predicted);
        }
        let after = |prefix: &str| name.strip_prefix(prefix);
        if let Some(class) = after("proba_").filter(|_| !has_pairs(model)) {
            return place(&classes, class).map(Column::Probability);
        }
        if let Some(output) = after("predicted_") {
            return place(&labels, output).map(Column::Output);
        }
        if let Some(output) = after("score_") {
            return place(&labels, output).map(Column::Score);
        }
        match model.task {
            Task::Classification => place(&classes, name).map(Column::Class),
            Task::Multilabel | Task::Regression => place(&labels, name).map(Column::Output),
        }
    };
    if let [only] = header {
        // A single column is the answer, whatever its name, unless its prefix says otherwise.
        let says = ["proba_", "score_", "predicted_"]
            .iter()
            .any(|prefix| only.starts_with(prefix));
        if !says {
            return Ok(vec![(0, only.clone(), Column::Predicted)]);
        }
    }
    let mut known = Vec::new();
    for (index, name) in header.iter().enumerate() {
        match column(name) {
            Some(Column::Probability(_)) if matches!(model.link, Link::Identity | Link::Exp) => {
                return Err(ImportError::Options(format!(
                    "--expect has probabilities ({}), and the model has none: its file gives scores only. Leave that column out",
                    quoted(name)
                )));
            }
            Some(column) => known.push((index, name.clone(), column)),
            // An index written by pandas.
            None if index == 0 && (name.is_empty() || name == "row") => {}
            None if header.iter().all(|name| number(name).is_some()) => {
                return Err(ImportError::Options(format!(
                    "the first line of --expect has numbers and no names, and with {} columns it isn't clear what they are. Put names above \
                     them, as numpy.savetxt(..., delimiter=\",\", header=\"{}\", comments=\"\") does; the model's names are {}",
                    header.len(),
                    example(model, &classes, header.len()),
                    listed_texts(&classes)
                )));
            }
            None => {
                return Err(ImportError::Options(format!(
                    "--expect has a column {}, which is not an output of the model. Columns are predicted (or label), predicted_NAME, \
                     proba_NAME and score_NAME; the model's names are {}",
                    quoted(name),
                    listed_texts(&classes)
                )));
            }
        }
    }
    Ok(known)
}

/// Returns example names for `columns` unnamed columns.
fn example(model: &ModelDescriptor, names: &[&str], columns: usize) -> String {
    let prefix = match model.task {
        Task::Classification if has_pairs(model) => "",
        Task::Classification if model.link != Link::Identity => "proba_",
        Task::Classification => "score_",
        Task::Multilabel | Task::Regression => "predicted_",
    };
    let shown = names.iter().take(columns.min(3));
    let shown: Vec<String> = shown.map(|name| format!("{prefix}{name}")).collect();
    let more = if columns > shown.len() { ",..." } else { "" };
    shown.join(",") + more
}

/// Refuses a single column whose cells hold several numbers: numpy.savetxt puts blanks between
/// them.
fn check_single(
    first: &str,
    second: Option<&StringRecord>,
    model: &ModelDescriptor,
) -> Result<(), ImportError> {
    let several = |text: &str| {
        let mut numbers = text.split_whitespace().map(number);
        numbers.clone().count() > 1 && numbers.all(|number| number.is_some())
    };
    let second = second.and_then(|row| row.get(0)).unwrap_or_default();
    if model.task == Task::Classification && (several(first) || several(second)) {
        let classes = names_of_classes(model);
        return Err(ImportError::Options(format!(
            "the rows of --expect have several numbers with blanks between them, which are read as one column. Separate them with commas and put \
             names above them, as numpy.savetxt(..., delimiter=\",\", header=\"{}\", comments=\"\") does",
            example(model, &classes, classes.len())
        )));
    }
    Ok(())
}

/// Returns whether pairs of classes vote, which gives no probabilities.
fn has_pairs(model: &ModelDescriptor) -> bool {
    matches!(model.link, Link::OneVsOne | Link::Votes)
}

/// Returns the names of the classes, or else of the outputs.
fn names_of_classes(model: &ModelDescriptor) -> Vec<&str> {
    match &model.classes {
        Some(classes) => classes.iter().map(String::as_str).collect(),
        None => model.outputs.iter().map(|output| output.label.as_str()).collect(),
    }
}

fn listed_texts(names: &[&str]) -> String {
    listed(&names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())
}

/// Returns whether two names of a class are the same: as text, as truth values, or as numbers,
/// which other programs write as `1.0`.
pub fn same_label(one: &str, other: &str) -> bool {
    let truth = |text: &str| match text {
        "True" | "true" => Some(1.0),
        "False" | "false" => Some(0.0),
        text => number(text),
    };
    one == other
        || truth(one)
            .zip(truth(other))
            .is_some_and(|(one, other)| one == other)
}

/// Returns the difference between a cell and the model's answer.
fn differs(
    text: &str,
    name: &str,
    column: &Column,
    scores: &Scores,
    model: &ModelDescriptor,
    allowed: &Allowed,
    close: bool,
) -> Result<f64, Difference> {
    let differ = |what: String, ours: String| {
        Err(Difference {
            what,
            theirs: quoted(text),
            ours,
        })
    };
    let value = |text: &str, place: usize| {
        let ours = scores.scores.get(place).copied().unwrap_or(f64::NAN);
        match number(text) {
            Some(theirs) => allowed.number(|| name.to_owned(), theirs, ours, allowed.score(place)),
            None => differ(name.to_owned(), ours.to_string()),
        }
    };
    let value_of = |text: &str, place: usize| {
        let ours = scores.values.get(place).copied().unwrap_or(f64::NAN);
        match number(text) {
            Some(theirs) => allowed.number(
                || name.to_owned(),
                theirs,
                ours,
                allowed.value(place, ours, model),
            ),
            None => differ(name.to_owned(), ours.to_string()),
        }
    };
    let holds = |text: &str, place: usize| {
        let score = scores.scores.get(place).copied().unwrap_or(f64::NAN);
        let ours = if score > 0.0 { "1" } else { "0" };
        if same_label(ours, text) || score.abs() <= allowed.score(place) {
            Ok(0.0)
        } else {
            differ(name.to_owned(), ours.to_owned())
        }
    };
    match (column, model.task) {
        (Column::Predicted, Task::Classification) => match scores.label() {
            Some(label) if close || same_label(label, text) => Ok(0.0),
            label => differ("the label".into(), label.unwrap_or_default().to_owned()),
        },
        (Column::Predicted, task) => {
            let list = text.trim_start_matches('[').trim_end_matches(']');
            let cells: Vec<&str> = list
                .split([',', ' '])
                .map(str::trim)
                .filter(|cell| !cell.is_empty())
                .collect();
            if cells.len() != scores.scores.len() {
                return differ(
                    format!("the number of values in {}", quoted(name)),
                    scores.scores.len().to_string(),
                );
            }
            let mut largest = 0f64;
            for (place, cell) in cells.into_iter().enumerate() {
                let difference = if task == Task::Multilabel {
                    holds(cell, place)
                } else {
                    value_of(cell, place)
                };
                largest = largest.max(difference?);
            }
            Ok(largest)
        }
        (Column::Output(place), Task::Multilabel) => holds(text, *place),
        (Column::Output(place), _) => value_of(text, *place),
        (Column::Score(place) | Column::Class(place), _) => value(text, *place),
        (Column::Decision(class), _) => {
            let classes = model.classes.as_ref().map_or(0, Vec::len);
            let decisions = one_vs_one(&scores.scores, classes);
            let ours = decisions.get(*class).copied().unwrap_or(f64::NAN);
            match number(text) {
                Some(theirs) => allowed.number(
                    || name.to_owned(),
                    theirs,
                    ours,
                    allowed.decision(*class, scores, model),
                ),
                None => differ(name.to_owned(), ours.to_string()),
            }
        }
        (Column::Probability(place), _) => {
            let ours = scores.probabilities.get(*place).copied().unwrap_or(f64::NAN);
            match number(text) {
                Some(theirs) => allowed.number(
                    || name.to_owned(),
                    theirs,
                    ours,
                    allowed.probability(scores, model),
                ),
                None => differ(name.to_owned(), ours.to_string()),
            }
        }
    }
}
