//! CSV file of scores.

use crate::{complaint::Refusal, destination::Destination, label::cell, table::Row};
use anyhow::{Context, ensure};
use blindscore_client::Scores;
use blindscore_protocol::descriptor::{ModelDescriptor, Task};
use blindscore_remote::text::plain;
use std::fs::File;

/// Name of the column with reasons.
const ERROR: &str = "error";

/// Writes scores to a draft until all of them are there.
pub(crate) struct Writer<'a> {
    csv: csv::Writer<File>,
    layout: Layout,
    destination: &'a Destination,
    written: u64,
}

/// Cells of a line, besides the row's number or id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    task: Task,
    /// Number of columns with scores: none if the server sends only the label.
    scores: usize,
    outputs: usize,
    probabilities: usize,
    /// Whether some rows have a reason in place of scores.
    errors: bool,
    /// Whether labels are written as the server sends them.
    raw_labels: bool,
}

impl<'a> Writer<'a> {
    /// Starts a file with its header, whose first column is `first`, the row's number or id.
    /// `errors` says whether some rows have no scores; `raw_labels`, whether labels are written as
    /// the server sends them.
    pub(crate) fn create(
        destination: &'a Destination,
        first: &str,
        model: &ModelDescriptor,
        errors: bool,
        raw_labels: bool,
    ) -> anyhow::Result<Self> {
        let layout = Layout::of(model, errors, raw_labels);
        let mut writer = Self {
            csv: csv::Writer::from_writer(destination.draft()?),
            layout,
            destination,
            written: 0,
        };
        let names = layout.header(model);
        writer
            .csv
            .write_record([first.to_owned()].into_iter().chain(names))?;
        Ok(writer)
    }

    /// Writes a line of scores.
    pub(crate) fn write(&mut self, row: &Row, scores: &Scores) -> anyhow::Result<()> {
        self.line(row, self.layout.cells(scores))
    }

    /// Writes a line without scores, and the reason.
    pub(crate) fn refuse(&mut self, row: &Row, refusal: &Refusal) -> anyhow::Result<()> {
        ensure!(
            self.layout.errors,
            "the file has changed: row {}: {refusal}",
            row.number
        );
        self.line(row, self.layout.empty(refusal))
    }

    fn line(&mut self, row: &Row, cells: Vec<String>) -> anyhow::Result<()> {
        let first = row
            .beside
            .first()
            .cloned()
            .unwrap_or_else(|| row.number.to_string());
        self.csv.write_record([first].into_iter().chain(cells))?;
        self.written += 1;
        Ok(())
    }

    /// Moves the whole file to its destination.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        let draft = self.csv.into_inner().map_err(|error| error.into_error());
        let draft = draft.with_context(|| format!("can't write {}", self.destination))?;
        self.destination.take(draft)
    }

    /// Describes what is left of the output.
    pub(crate) fn rest(&mut self) -> String {
        let flushed = self.csv.flush().is_ok();
        self.destination.rest(self.written, flushed)
    }
}

/// Refuses a first column that has the name of another column of the output.
pub(crate) fn check_names(first: &str, model: &ModelDescriptor, raw_labels: bool) -> anyhow::Result<()> {
    let names = Layout::of(model, true, raw_labels).header(model);
    ensure!(
        !names.iter().any(|name| name == first),
        "--id {first}: the output has a column of this name for something else; rename yours"
    );
    Ok(())
}

impl Layout {
    fn of(model: &ModelDescriptor, errors: bool, raw_labels: bool) -> Self {
        let outputs = model.outputs.len();
        let scores = Scores::new(model, vec![0.0; outputs]);
        Self {
            task: model.task,
            scores: if model.answer.is_scores() { outputs } else { 0 },
            outputs,
            probabilities: scores.probabilities.len(),
            errors,
            raw_labels,
        }
    }

    fn header(self, model: &ModelDescriptor) -> Vec<String> {
        let outputs: Vec<&str> = model.outputs.iter().map(|output| output.label.as_str()).collect();
        let classes: Option<Vec<&str>> = model
            .classes
            .as_ref()
            .map(|classes| classes.iter().map(String::as_str).collect());
        // A score between two classes belongs to the second one.
        let scored = match classes.as_deref() {
            Some(classes @ [_, _]) if outputs.len() == 1 => &classes[1..],
            _ => &outputs[..],
        };
        let prefixed = |prefix: &'static str, labels: &[&str]| -> Vec<String> {
            let shown = |label: &str| {
                if self.raw_labels {
                    label.to_owned()
                } else {
                    plain(label)
                }
            };
            labels
                .iter()
                .map(|label| format!("{prefix}_{}", shown(label)))
                .collect()
        };
        let mut header = match self.task {
            Task::Classification => vec!["label".to_owned()],
            Task::Multilabel | Task::Regression => prefixed("predicted", scored),
        };
        if self.task != Task::Regression && self.scores > 0 {
            header.extend(prefixed("score", scored));
        }
        if self.probabilities > 0 {
            header.extend(prefixed("proba", classes.as_ref().unwrap_or(&outputs)));
        }
        if self.errors {
            header.push(ERROR.to_owned());
        }
        header
    }

    fn cells(self, scores: &Scores) -> Vec<String> {
        let shown = |label: &str| {
            if self.raw_labels {
                label.to_owned()
            } else {
                cell(label)
            }
        };
        let holds = |score: &f64| u8::from(*score > 0.0).to_string();
        let mut cells: Vec<String> = match self.task {
            // Empty if no class won.
            Task::Classification => vec![scores.label().map(shown).unwrap_or_default()],
            Task::Multilabel => scores.scores.iter().map(holds).collect(),
            Task::Regression => Vec::new(),
        };
        let numbers = match self.task {
            Task::Regression => &scores.values,
            Task::Classification | Task::Multilabel => &scores.scores,
        };
        cells.extend(numbers.iter().take(self.scores).map(f64::to_string));
        cells.extend(scores.probabilities.iter().map(f64::to_string));
        cells.extend(self.errors.then(String::new));
        cells
    }

    fn empty(self, refusal: &Refusal) -> Vec<String> {
        let decisions = match self.task {
            Task::Classification => 1,
            Task::Multilabel => self.outputs,
            Task::Regression => 0,
        };
        let mut cells = vec![String::new(); decisions + self.scores + self.probabilities];
        cells.push(refusal.to_string());
        cells
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(task: &str, link: &str, labels: &[&str]) -> ModelDescriptor {
        let outputs: Vec<_> = labels
            .iter()
            .map(|label| serde_json::json!({ "label": label, "offset": 0, "half_range": 1 }))
            .collect();
        serde_json::from_value(serde_json::json!({
            "name": "m", "id": "0".repeat(32), "title": "", "formats": [3], "parameter_set": "linear-n2048",
            "inputs": { "count": 2, "min": 0, "max": 1, "levels": 2 }, "input_step": 1,
            "outputs": outputs, "link": link, "task": task,
            "sizes": { "public_key": 1, "query": 1, "response": 1 }, "score_error": 0.1,
        }))
        .unwrap()
    }

    #[test]
    fn labels_are_no_formulas_unless_they_are_wanted_as_they_are() {
        let model = model("classification", "identity", &["-1", "=cmd()\u{1b}"]);
        let written = |raw| {
            let layout = Layout::of(&model, false, raw);
            let decided = |scores: [f64; 2]| layout.cells(&Scores::new(&model, scores.to_vec())).remove(0);
            let header = layout.header(&model).join(" ");
            [header, decided([1.0, 0.0]), decided([0.0, 1.0])]
        };
        assert_eq!(
            written(false),
            ["label score_-1 score_=cmd()\\u{1b}", "-1", "'=cmd()\\u{1b}"]
        );
        assert_eq!(
            written(true),
            ["label score_-1 score_=cmd()\u{1b}", "-1", "=cmd()\u{1b}"]
        );
    }

    #[test]
    fn columns_for_each_kind_of_model() {
        for (task, link, labels, header, cells) in [
            (
                "classification",
                "softmax",
                &["a", "b"][..],
                "label score_a score_b proba_a proba_b",
                "b -1 1 0.1 0.8",
            ),
            (
                "classification",
                "identity",
                &["a", "b"],
                "label score_a score_b",
                "b -1 1",
            ),
            ("regression", "identity", &["price"], "predicted_price", "-1"),
            (
                "regression",
                "identity",
                &["a", "b"],
                "predicted_a predicted_b",
                "-1 1",
            ),
            (
                "multilabel",
                "sigmoid",
                &["a", "b"],
                "predicted_a predicted_b score_a score_b proba_a proba_b",
                "0 1 -1 1 0.2 0.7",
            ),
        ] {
            let model = model(task, link, labels);
            let layout = Layout::of(&model, false, false);
            assert_eq!(layout.header(&model).join(" "), header);
            let scores = Scores::new(&model, [-1.0, 1.0][..labels.len()].to_vec());
            let shown: Vec<String> = layout
                .cells(&scores)
                .iter()
                .map(|cell| cell.chars().take(3).collect())
                .collect();
            assert_eq!(shown.join(" "), cells);

            let layout = Layout::of(&model, true, false);
            let refused = layout.empty(&Refusal::of_row("too far"));
            let names = layout.header(&model);
            assert_eq!(
                (names.len(), layout.cells(&scores).len()),
                (refused.len(), refused.len())
            );
            assert_eq!(
                (names.last().unwrap().as_str(), refused.last().unwrap().as_str()),
                ("error", "too far")
            );
            assert!(refused[..refused.len() - 1].iter().all(String::is_empty));
        }
    }
}
