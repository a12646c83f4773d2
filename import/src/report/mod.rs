//! Report on an import, as lines of text or as JSON.

mod layers;
mod trees;

use crate::{Agreement, Calibration, Compared, Imported, Kind, Label, LinearImport, bound};
use blindscore_protocol::encoding::{Encoding, Step};
use serde_json::{Map, Value, json};
use std::fmt::Display;

/// Most rows in the table of outputs.
const SHOWN: usize = 12;

/// Report on an import: rows common to all models, and rows of one kind of model.
pub struct Report {
    head: String,
    chosen: Vec<String>,
    measured: Vec<String>,
    table: Vec<String>,
    json: Map<String, Value>,
}

impl Report {
    /// Describes a finished import.
    pub fn new(imported: &Imported) -> Self {
        let mut report = Self::common(imported);
        match &imported.kind {
            Kind::Linear(linear) => report.linear(linear),
            Kind::Layers(network) => report.units(network),
            Kind::Trees(trees) => report.structure(trees),
            Kind::Network { .. } => {}
        }
        if let Some(data) = &imported.calibration {
            report.table_read(data);
        }
        match &imported.kind {
            Kind::Linear(linear) => report.comparisons(linear),
            Kind::Layers(network) => report.layers(network),
            Kind::Trees(trees) => report.trees(trees, imported),
            Kind::Network {
                stated_error, label, ..
            } => report.network(imported, *stated_error, label.as_ref()),
        }
        report
    }

    /// Creates the rows common to all models.
    fn common(imported: &Imported) -> Self {
        let Imported { path, agreement, .. } = imported;
        let model = imported.model();
        let cores = agreement.threads;
        let descriptor = model.descriptor();
        let (features, outputs) = (descriptor.inputs.count, descriptor.outputs.len());
        let sizes = descriptor.sizes;
        let milliseconds = agreement.time.as_secs_f64() * 1e3;
        let cores_here = match cores {
            1 => "one core".to_owned(),
            cores => format!("{cores} cores"),
        };
        let mut measured = vec![
            row("parameters", model.parameters().name()),
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
                if descriptor.answer.is_scores() {
                    format!("{decided}, largest error of a score {largest_error:.2e}")
                } else {
                    decided
                },
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
            head: format!(
                "{}: {}, {}",
                path.display(),
                counted(features, "features"),
                counted(outputs, "outputs")
            ),
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
            "parameter_set": model.parameters().name(),
            "sizes": sizes,
            "score_ms": milliseconds,
            "cores": cores,
            "rows": rows,
            "same_decision": same_decision,
            "largest_error": descriptor.answer.is_scores().then_some(largest_error),
            "refused": refused,
        }));
        report
    }

    /// Adds rows about the choices made for a linear model.
    fn linear(&mut self, linear: &LinearImport) {
        let LinearImport {
            choice,
            ranges,
            max_error,
            error_on_rows,
            ..
        } = linear;
        let inputs = &choice.linear.inputs;
        if let Some(encoding) = &inputs.encoding {
            self.public_part(encoding, choice.linear.coef.len() * inputs.count);
        }
        let curves = choice.linear.members.iter().flat_map(|member| &member.curves);
        let thresholds: usize = curves.map(|curve| curve.thresholds.len()).sum();
        if thresholds > 0 {
            let words = format!(
                "in every client: {thresholds} thresholds, which are scores of rows that it was fitted with"
            );
            self.row("calibration", words);
        }
        self.row("ranges", ranges.source);
        if let Some(assumed) = ranges.assumed {
            self.row("", assumed);
        }
        if let Some(norm) = inputs.norm {
            let distance = format!(
                "at most {:.4} from position {} of the ranges",
                norm.max, norm.centre
            );
            self.row("distance", distance);
        }
        self.row("inputs", format!("{} bits", inputs.levels.ilog2()));
        let largest = choice.predicted.iter().map(|output| output.largest_weight).max();
        let largest = largest.unwrap_or(0).max(1);
        self.row("weights", format!("{} bits", largest.ilog2() + 2));
        let error = format!(
            "at most {:.2e} of a score's range, {:.2e} in its units (six deviations); {max_error:.0e} was allowed",
            choice.worst(),
            choice.stated_error(),
        );
        self.row("error", error);
        if let Some(error) = choice.probability_error() {
            let steps = error_on_rows.map_or_else(String::new, |on_rows| {
                format!(", {on_rows:.1e} on these rows: isotonic calibration has steep steps")
            });
            self.row("", format!("at most {error:.1e} of a probability{steps}"));
        }
        let margins = choice.predicted.iter();
        let margins = margins.map(|output| output.error.noise.flooding_margin().bits());
        let margin = margins.fold(f64::INFINITY, f64::min);
        self.row("margin", format!("{margin:.1} bits of flooding"));
        self.entries(json!({
            "norm": inputs.norm,
            "stated_error": choice.stated_error(),
            "probability_error": choice.probability_error(),
            "probability_error_on_rows": error_on_rows,
            "stated_error_share": choice.worst(),
            "flooding_margin_bits": margin,
        }));
        self.table(format!("  {:<20}{:>26}{:>12}", "output", "range", "error"));
        let outputs = choice.model.descriptor().outputs.iter().zip(&choice.predicted);
        for (output, predicted) in outputs.take(SHOWN) {
            let range = format!("{:.4} +- {:.4}", output.offset, output.half_range);
            let error = bound(predicted);
            self.table(format!("  {:<20}{range:>26}{error:>12.2e}", output.label));
        }
        if choice.predicted.len() > SHOWN {
            self.table(format!("  and {} more", choice.predicted.len() - SHOWN));
        }
    }

    /// Adds rows about what clients compute, and everybody can see, and what stays on the server.
    fn public_part(&mut self, encoding: &Encoding, weights: usize) {
        self.steps(encoding);
        self.row(
            "private",
            format!("{}, which stay on the server", counted(weights, "weights")),
        );
    }

    /// Adds rows about what clients compute, and everybody can see.
    fn steps(&mut self, encoding: &Encoding) {
        let columns: Vec<String> = encoding
            .columns
            .iter()
            .enumerate()
            .map(|(place, column)| match &column.name {
                Some(name) => format!("{name} ({})", column.kind.name()),
                None => format!("column {} ({})", place + 1, column.kind.name()),
            })
            .collect();
        self.row("records", shortened(&columns));
        let mut steps: Vec<String> = Vec::new();
        let trees: Vec<usize> = encoding
            .steps
            .iter()
            .filter_map(|step| match step {
                Step::Leaves { decisions } => Some(decisions.len()),
                _ => None,
            })
            .collect();
        if !trees.is_empty() {
            steps.push(format!(
                "{}, with {}: all of them but what their leaves hold",
                counted(trees.len(), "trees"),
                counted(trees.iter().sum(), "decisions")
            ));
        }
        for step in &encoding.steps {
            let words = match step {
                Step::Leaves { .. } => continue,
                Step::OneHot { categories, .. } => {
                    format!("one-hot, {}", counted(categories.len(), "categories"))
                }
                Step::Counts { vocabulary, .. } => {
                    format!("counts of {}", counted(vocabulary.len(), "words"))
                }
                Step::Hashed { buckets, .. } => {
                    format!("counts of words in {}", counted(*buckets as usize, "buckets"))
                }
                Step::Thermometer { edges, .. } => format!("bits of {}", counted(edges.len(), "thresholds")),
                Step::Bins { edges, .. } => format!("bins at {}", counted(edges.len(), "edges")),
                step => format!("{} ({})", step.name(), counted(step.results(), "numbers")),
            };
            steps.push(words);
        }
        // Sums with whole weights number the cells of a grid of bins.
        let fitted: usize = encoding
            .steps
            .iter()
            .map(|step| match step {
                Step::Sums { weights, .. } => weights
                    .iter()
                    .flatten()
                    .filter(|weight| weight.fract() != 0.0)
                    .count(),
                _ => 0,
            })
            .sum();
        self.row("public", format!("in every client: {}", shortened(&steps)));
        if fitted > 0 {
            let words = format!(
                "{} of a fitted linear map are among it, because what follows the map isn't linear",
                counted(fitted, "weights")
            );
            self.row("", words);
        }
        if !trees.is_empty() {
            self.entries(json!({ "structure": "public", "trees": trees.len() }));
        }
        self.entries(json!({ "encoding": encoding }));
    }

    /// Adds rows about unused columns and the comparisons with other predictions.
    fn comparisons(&mut self, linear: &LinearImport) {
        self.unused(&linear.unused);
        self.mended(&linear.mended);
        self.compared(&linear.file, linear.expected.as_ref());
    }

    /// Adds a row about columns that the model doesn't use.
    fn unused(&mut self, unused: &[String]) {
        if !unused.is_empty() {
            let words = format!(
                "columns that the model knows and doesn't use: {}",
                unused.join(", ")
            );
            self.row("unused", words);
        }
        self.entries(json!({ "unused_columns": unused }));
    }

    /// Adds rows about what differs from the file.
    fn mended(&mut self, mended: &[&str]) {
        for change in mended {
            self.row("mended", change);
        }
        self.entries(json!({ "mended": mended }));
    }

    /// Adds rows about a network.
    fn network(&mut self, imported: &Imported, stated_error: f64, label: Option<&Label>) {
        let descriptor = imported.model().descriptor();
        self.row("inputs", format!("{} levels", descriptor.inputs.levels));
        self.entries(json!({ "answer": descriptor.answer.name() }));
        if let Some(label) = label {
            return self.label(label, descriptor.outputs.len());
        }
        let rows = match imported.agreement.rows {
            1 => "one row".to_owned(),
            rows => format!("any of {rows} rows"),
        };
        self.row(
            "error",
            format!("at most {stated_error:.2e} is predicted for a score of {rows} (six deviations)"),
        );
        self.entries(json!({ "stated_error": stated_error }));
    }

    /// Adds a row about a choice.
    fn row(&mut self, name: &str, value: impl Display) {
        self.chosen.push(row(name, value));
    }

    /// Adds rows about the calibration table.
    fn table_read(&mut self, data: &Calibration) {
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
    fn table(&mut self, line: String) {
        self.table.push(line);
    }

    /// Adds the entries of an object to the JSON.
    fn entries(&mut self, object: Value) {
        if let Value::Object(object) = object {
            self.json.extend(object);
        }
    }

    /// Returns the report as lines of text. They show names from the model's file as they are.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.head.clone()];
        lines.extend_from_slice(&self.chosen);
        lines.extend_from_slice(&self.measured);
        if !self.table.is_empty() {
            lines.push(String::new());
        }
        lines.extend_from_slice(&self.table);
        lines
    }

    /// Returns the report as an object.
    pub fn as_json(&self) -> Value {
        self.json.clone().into()
    }
}

/// Describes a comparison.
fn summary(Compared { rows, largest, close }: &Compared) -> String {
    let close = match close {
        0 => String::new(),
        close => format!(", {close} too close to call"),
    };
    format!("{rows} rows match, largest difference {largest:.1e}{close}")
}

/// Returns a number of things, whose plural is given.
fn counted(count: usize, things: &str) -> String {
    if count != 1 {
        return format!("{count} {things}");
    }
    match things.strip_suffix("ies") {
        Some(stem) => format!("1 {stem}y"),
        None => format!("1 {}", things.trim_end_matches('s')),
    }
}

/// Lists the first of some items, and the number of the others.
fn shortened(items: &[String]) -> String {
    const SHOWN: usize = 6;
    let shown = items[..items.len().min(SHOWN)].join("; ");
    match items.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown}; and {more} more"),
    }
}

fn row(name: &str, value: impl Display) -> String {
    format!("  {name:<12}{value}")
}
