//! The CSV file of scores.

use crate::{args::PredictArgs, table::Row};
use anyhow::Context;
use blindscore_client::Scores;
use blindscore_protocol::descriptor::{Link, ModelDescriptor, Task};
use std::{
    fs::{self, File},
    path::PathBuf,
};

/// Writes scores beside the place where they will be when they are complete.
pub(crate) struct Writer {
    csv: csv::Writer<File>,
    layout: Layout,
    partial: PathBuf,
    path: PathBuf,
    written: u64,
}

/// What stands in a line besides the row's number or id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    /// A decision comes first; else the scores are predicted values, and nothing else is of use.
    label: bool,
    probabilities: bool,
}

impl Writer {
    /// Starts a file, with its header.
    pub(crate) fn create(args: &PredictArgs, model: &ModelDescriptor) -> anyhow::Result<Self> {
        let path = args.out.clone();
        let mut partial = path.clone().into_os_string();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let file = File::create(&partial).with_context(|| format!("can't write {}", partial.display()))?;
        let mut writer = Self {
            csv: csv::Writer::from_writer(file),
            layout: Layout::of(model),
            partial,
            path,
            written: 0,
        };
        let first = args.id.as_deref().unwrap_or("row");
        let header = writer.layout.header(model);
        writer
            .csv
            .write_record([first.to_owned()].into_iter().chain(header))?;
        Ok(writer)
    }

    /// One line.
    pub(crate) fn write(&mut self, row: &Row, scores: &Scores) -> anyhow::Result<()> {
        let first = row.id.clone().unwrap_or_else(|| row.number.to_string());
        let cells = self.layout.cells(scores);
        self.csv.write_record([first].into_iter().chain(cells))?;
        self.written += 1;
        Ok(())
    }

    /// Puts the whole file in its place.
    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        let finished = self
            .csv
            .flush()
            .and_then(|()| self.csv.get_ref().sync_all())
            .and_then(|()| fs::rename(&self.partial, &self.path));
        finished.with_context(|| format!("can't write {}", self.path.display()))
    }

    /// What there is of it, in words.
    pub(crate) fn rest(&mut self) -> String {
        let flushed = self.csv.flush().is_ok();
        match self.written {
            0 => "no row was scored".to_owned(),
            rows if flushed => format!("the first {rows} rows were scored: {}", self.partial.display()),
            rows => format!("the first {rows} rows were scored, and could not be written"),
        }
    }
}

impl Layout {
    fn of(model: &ModelDescriptor) -> Self {
        Self {
            label: model.task == Task::Classification,
            probabilities: model.link != Link::Identity,
        }
    }

    fn header(self, model: &ModelDescriptor) -> Vec<String> {
        let outputs: Vec<&str> = model.outputs.iter().map(|output| output.label.as_str()).collect();
        let classes: Option<Vec<&str>> = model
            .classes
            .as_ref()
            .map(|classes| classes.iter().map(String::as_str).collect());
        // A score between two classes is the second one's.
        let scored = classes.as_ref().map_or(&outputs[..], |classes| &classes[1..]);
        let prefixed = |prefix: &str, labels: &[&str]| -> Vec<String> {
            labels.iter().map(|label| format!("{prefix}_{label}")).collect()
        };
        if !self.label {
            return prefixed("predicted", scored);
        }
        let mut header = vec!["label".to_owned()];
        header.extend(prefixed("score", scored));
        if self.probabilities {
            header.extend(prefixed("proba", classes.as_ref().unwrap_or(&outputs)));
        }
        header
    }

    fn cells(self, scores: &Scores) -> Vec<String> {
        let mut cells = Vec::new();
        if self.label {
            cells.extend(scores.label().map(str::to_owned));
        }
        cells.extend(scores.scores.iter().map(f64::to_string));
        if self.probabilities {
            cells.extend(scores.probabilities.iter().map(f64::to_string));
        }
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
            "name": "m", "id": "0".repeat(32), "title": "", "formats": [2], "parameter_set": "linear-n2048",
            "inputs": { "count": 2, "min": 0, "max": 1, "levels": 2 }, "input_step": 1,
            "outputs": outputs, "link": link, "task": task,
            "sizes": { "public_key": 1, "query": 1, "response": 1 }, "score_error": 0.1,
        }))
        .unwrap()
    }

    #[test]
    fn columns_for_each_kind_of_model() {
        let header = |task, link, labels| {
            let model = model(task, link, labels);
            Layout::of(&model).header(&model).join(" ")
        };
        assert_eq!(
            header("classification", "softmax", &["a", "b"]),
            "label score_a score_b proba_a proba_b"
        );
        assert_eq!(
            header("classification", "identity", &["a", "b"]),
            "label score_a score_b"
        );
        assert_eq!(header("regression", "identity", &["price"]), "predicted_price");
    }
}
