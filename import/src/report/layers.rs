//! Rows about networks with hidden layers.

use super::{Report, SHOWN, counted, summary};
use crate::LayersImport;
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
            ..
        } = network;
        let sizes: Vec<String> = layers.iter().map(usize::to_string).collect();
        self.row(
            "network",
            format!(
                "{} of {} units: {}",
                counted(layers.len(), "hidden layers"),
                sizes.join(", "),
                counted(*rotations, "blind rotations")
            ),
        );
        if let Some(encoding) = &model.descriptor().inputs.encoding {
            self.steps(encoding);
        }
        self.row(
            "private",
            "weights and functions of the units: they stay on the server",
        );
        self.row(
            "error",
            format!(
                "at most {stated_error:.2e} of a score, for rows like those of --calibrate (six deviations, of {noise:.1e} by noise and {rounding:.1e} by \
                 rounding)"
            ),
        );
        if let Some(error) = probability_error {
            let words = if *error < 0.5 {
                format!("at most {error:.1e} of a probability, where it is near a half")
            } else {
                "probabilities near a half may be any; --max-error asks for less".to_owned()
            };
            self.row("", words);
        }
        let outputs = &model.descriptor().outputs;
        if outputs.len() > 1 {
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
            "errors": errors,
            "layers": layers,
            "rotations": rotations,
            "stated_error": stated_error,
            "probability_error": probability_error,
            "noise": noise,
            "rounding": rounding,
        }));
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
