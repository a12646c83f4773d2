//! Answers to rows: of a model, and as a table has them.

use anyhow::{Context, bail};
use blindscore_client::Scores;
use blindscore_import::same_label;
use blindscore_protocol::{
    columns::number,
    descriptor::{ModelDescriptor, Task},
};
use blindscore_remote::text::one_line;

/// Maximum number of classes that a message names.
const NAMED: usize = 12;

/// Answer to a row as numbers: the position of the class, whether each label holds (1 or 0), or the
/// value of each target.
pub(super) type Answer = Vec<f64>;

/// Answers of one model to all rows.
#[derive(Default)]
pub(super) struct Answers {
    pub(super) decided: Vec<Answer>,
    /// Scores and probabilities, if they are known.
    pub(super) scores: Vec<Scores>,
}

/// Returns the number of columns that an answer of the model takes.
pub(super) fn columns(model: &ModelDescriptor) -> usize {
    match model.task {
        Task::Classification => 1,
        Task::Multilabel | Task::Regression => model.outputs.len(),
    }
}

/// Returns the names of the classes, or else of the outputs.
pub(super) fn classes(model: &ModelDescriptor) -> Vec<&str> {
    match &model.classes {
        Some(classes) => classes.iter().map(String::as_str).collect(),
        None => model.outputs.iter().map(|output| output.label.as_str()).collect(),
    }
}

/// Reads an answer from its columns.
pub(super) fn read(model: &ModelDescriptor, cells: &[String], columns: &[String]) -> anyhow::Result<Answer> {
    let one = |(cell, column): (&String, &String)| -> anyhow::Result<f64> {
        let shown = one_line(cell);
        match model.task {
            Task::Classification => {
                let names = classes(model);
                let found = names.iter().position(|name| same_label(name, cell));
                let Some(class) = found else {
                    let more = if names.len() > NAMED { ", ..." } else { "" };
                    let names: Vec<_> = names.iter().take(NAMED).map(|name| one_line(name)).collect();
                    bail!(
                        "column {column:?} has {shown:?}, which is no class of the model: {}{more}",
                        names.join(", ")
                    );
                };
                Ok(class as f64)
            }
            Task::Multilabel => match ["0", "1"].iter().position(|truth| same_label(truth, cell)) {
                Some(holds) => Ok(holds as f64),
                None => bail!("column {column:?} has {shown:?}, which is neither 1 nor 0"),
            },
            Task::Regression => number(cell)
                .with_context(|| format!("column {column:?} has {shown:?}, which is not a number")),
        }
    };
    cells.iter().zip(columns).map(one).collect()
}

impl Answers {
    pub(super) fn add(&mut self, model: &ModelDescriptor, scores: Scores) {
        self.decided.push(match model.task {
            Task::Classification => scores.index().iter().map(|&index| index as f64).collect(),
            Task::Multilabel => scores
                .scores
                .iter()
                .map(|&score| f64::from(u8::from(score > 0.0)))
                .collect(),
            Task::Regression => scores.values.clone(),
        });
        self.scores.push(scores);
    }
}
