//! Report on an import, as a table or as JSON.

use super::agreement::Agreement;
use crate::{cli::plain, import::Calibration, model::Model};
use serde_json::{Map, Value, json};
use std::{
    fmt::Display,
    io::{self, Write},
    path::PathBuf,
};

/// Report on an import: rows common to all models, and rows that an importer adds.
pub(super) struct Report {
    head: String,
    chosen: Vec<String>,
    measured: Vec<String>,
    table: Vec<String>,
    json: Map<String, Value>,
}

impl Report {
    /// Creates the rows common to all models. The scores were timed on `cores` cores.
    pub(super) fn new(model: &Model, path: PathBuf, agreement: &Agreement, cores: usize) -> Self {
        let descriptor = model.descriptor();
        let (features, outputs) = (descriptor.inputs.count, descriptor.outputs.len());
        let sizes = descriptor.sizes;
        let milliseconds = agreement.time.as_secs_f64() * 1e3;
        let cores_here = match cores {
            1 => "one core".to_owned(),
            cores => format!("{cores} cores"),
        };
        let mut measured = vec![
            row("parameters", model.set().name()),
            row(
                "bytes",
                format!(
                    "query {}, response {}, key {}",
                    sizes.query, sizes.response, sizes.public_key
                ),
            ),
            row(
                "time",
                format!("{milliseconds:.2} ms a score on {cores_here} here"),
            ),
        ];
        let Agreement {
            rows,
            decides,
            same_decision,
            largest_error,
            refused,
            accepted,
            ..
        } = agreement;
        if *rows > 1 {
            let decided = if *decides {
                format!("same decision for {same_decision} of {rows} rows")
            } else {
                format!("{rows} rows")
            };
            measured.push(row(
                "agreement",
                format!("{decided}, largest error of a score {largest_error:.2e}"),
            ));
        }
        if *refused > 0 {
            measured.push(row(
                "refused",
                format!(
                    "{refused} of {} calibration rows are out of range: clients refuse them",
                    refused + accepted
                ),
            ));
        }
        let mut report = Self {
            head: format!("{}: {features} features, {outputs} outputs", path.display()),
            chosen: Vec::new(),
            measured,
            table: Vec::new(),
            json: Map::new(),
        };
        report.entries(json!({
            "file": path,
            "id": descriptor.id,
            "features": features,
            "outputs": outputs,
            "levels": descriptor.inputs.levels,
            "parameter_set": model.set().name(),
            "sizes": sizes,
            "score_ms": milliseconds,
            "cores": cores,
            "rows": rows,
            "same_decision": same_decision,
            "largest_error": largest_error,
            "refused": refused,
        }));
        report
    }

    /// Adds a row about a choice.
    pub(super) fn row(&mut self, name: &str, value: impl Display) {
        self.chosen.push(row(name, value));
    }

    /// Adds rows about the calibration table.
    pub(super) fn table_read(&mut self, data: &Calibration) {
        let header = if data.has_header() {
            "a header"
        } else {
            "no header"
        };
        self.row("calibrated", format!("{} rows, {header}", data.rows().len()));
        if !data.others().is_empty() {
            self.row(
                "",
                format!("columns not used by the model: {}", data.others().join(", ")),
            );
        }
        self.entries(json!({ "calibration_rows": data.rows().len(), "other_columns": data.others() }));
    }

    /// Adds a line to the table at the end.
    pub(super) fn table(&mut self, line: String) {
        self.table.push(line);
    }

    /// Adds the entries of an object to the JSON.
    pub(super) fn entries(&mut self, object: Value) {
        if let Value::Object(object) = object {
            self.json.extend(object);
        }
    }

    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        for line in [&self.head].into_iter().chain(&self.chosen).chain(&self.measured) {
            writeln!(out, "{}", plain(line))?;
        }
        if !self.table.is_empty() {
            writeln!(out)?;
        }
        for line in &self.table {
            writeln!(out, "{}", plain(line))?;
        }
        Ok(())
    }

    pub(super) fn as_json(&self) -> Value {
        self.json.clone().into()
    }
}

fn row(name: &str, value: impl Display) -> String {
    format!("  {name:<12}{value}")
}
