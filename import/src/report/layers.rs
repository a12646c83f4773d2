//! Rows about networks with hidden layers.

use super::{Report, SHOWN, counted, summary};
use crate::{Label, LayersImport};
use blindscore_protocol::descriptor::Answer;
use serde_json::json;

impl Report {
    /// Adds rows about the layers of a network, and its error.
    pub(super) fn units(&mut self, network: &LayersImport) {
        let LayersImport {
            model,
            layers,
            rotations,
            stated_error,
            probability_error,
            errors,
            parts: [noise, rounding],
            units: [units, certain],
            label,
            ..
        } = network;
        let rotations_in_words = counted(*rotations, "blind rotations");
        let descriptor = model.descriptor();
        let is_label = descriptor.answer == Answer::Label;
        if layers.is_empty() {
            self.row(
                "network",
                format!("a linear model and comparisons: {rotations_in_words}"),
            );
        } else {
            let sizes: Vec<String> = layers.iter().map(usize::to_string).collect();
            self.row(
                "network",
                format!(
                    "{} of {} units{}: {rotations_in_words}",
                    counted(layers.len(), "hidden layers"),
                    sizes.join(", "),
                    if is_label { " and comparisons" } else { "" }
                ),
            );
        }
        if let Some(encoding) = &descriptor.inputs.encoding {
            self.steps(encoding);
        }
        self.row(
            "private",
            if layers.is_empty() {
                "weights: they stay on the server"
            } else {
                "weights and functions of the units: they stay on the server"
            },
        );
        if certain < units {
            self.row(
                "ranges",
                format!(
                    "{certain} of {units} {} have the range of all rows that clients accept, the others that of --calibrate and a little more: a \
                     row outside gets a wrong answer",
                    if is_label { "units and comparisons" } else { "units" }
                ),
            );
        } else if *units > 0 {
            self.row("ranges", "no row that clients accept leaves the range of a unit");
        }
        let parts = format!("six deviations, of {noise:.1e} by noise and {rounding:.1e} by rounding");
        match label {
            None => self.row(
                "error",
                format!(
                    "at most {stated_error:.2e} of a score, for rows like those of --calibrate ({parts})"
                ),
            ),
            Some(label) => self.label(label, descriptor.outputs.len()),
        }
        if let Some(error) = probability_error {
            let words = if *error < 0.5 {
                format!("at most {error:.1e} of a probability, where it is near a half")
            } else {
                "probabilities near a half may be any; --max-error asks for less".to_owned()
            };
            self.row("", words);
        }
        let outputs = &descriptor.outputs;
        if outputs.len() > 1 && !is_label {
            self.table(format!("  {:<20}{:>26}{:>12}", "output", "range", "error"));
            for (output, error) in outputs.iter().zip(errors).take(SHOWN) {
                let range = format!("{:.4} +- {:.4}", output.offset, output.half_range);
                self.table(format!("  {:<20}{range:>26}{error:>12.2e}", output.label));
            }
            if outputs.len() > SHOWN {
                self.table(format!("  and {} more", outputs.len() - SHOWN));
            }
        }
        self.entries(json!({
            "answer": descriptor.answer.name(),
            "errors": errors,
            "layers": layers,
            "rotations": rotations,
            "units": units,
            "units_with_certain_ranges": certain,
            "stated_error": label.is_none().then_some(stated_error),
            "probability_error": probability_error,
            "noise": noise,
            "rounding": rounding,
        }));
    }

    /// Adds rows about a model of which only the label is sent.
    pub(super) fn label(&mut self, label: &Label, scores: usize) {
        self.row(
            "answer",
            "only the label leaves the server: a bit for each class, and noise that drowns all else",
        );
        let Label {
            close,
            rows: [near, of],
        } = label;
        let what = if scores == 1 {
            "score is within"
        } else {
            "two largest scores are within"
        };
        self.row(
            "close",
            format!(
                "a row whose {what} {close:.1e} may get either label: {near} of {of} rows of --calibrate"
            ),
        );
        self.entries(json!({ "close": close, "close_rows": near }));
    }

    /// Adds rows about the comparisons of a network.
    pub(super) fn layers(&mut self, network: &LayersImport) {
        self.unused(&network.unused);
        self.mended(&network.mended);
        self.compared(&network.file, network.expected.as_ref());
    }

    /// Adds rows about the comparisons with the file and with the caller's predictions.
    pub(super) fn compared(
        &mut self,
        file: &Result<crate::Compared, String>,
        expected: Option<&crate::Compared>,
    ) {
        match file {
            Ok(compared) => self.row(
                "compared",
                format!("with the file, run in the clear: {}", summary(compared)),
            ),
            Err(why) => self.row("compared", format!("not with the file, run in the clear: {why}")),
        }
        if let Some(compared) = expected {
            self.row("", format!("with --expect: {}", summary(compared)));
        }
        self.entries(json!({
            "compared_rows": file.as_ref().map_or(0, |compared| compared.rows),
            "not_compared": file.as_ref().err(),
            "expected_rows": expected.map(|compared| compared.rows),
        }));
    }
}
