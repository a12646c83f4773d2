//! What an import chose, as a table or as JSON.

use super::agreement::Agreement;
use crate::import::{Choice, RangeSource};
use blindscore_protocol::descriptor::Link;
use serde_json::{Value, json};
use std::{
    io::{self, Write},
    path::Path,
};

/// Rows of the table of outputs.
const SHOWN: usize = 12;

/// Everything that is told.
pub(super) struct Report<'a> {
    pub(super) choice: &'a Choice,
    pub(super) source: RangeSource,
    pub(super) max_error: f64,
    pub(super) agreement: &'a Agreement,
    pub(super) path: &'a Path,
}

impl Report<'_> {
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let descriptor = self.choice.model.descriptor();
        let inputs = &descriptor.inputs;
        let largest = self
            .choice
            .predicted
            .iter()
            .map(|output| output.largest_weight)
            .max()
            .unwrap_or(0);
        writeln!(
            out,
            "{}: {} features, {} outputs",
            self.path.display(),
            inputs.count,
            descriptor.outputs.len()
        )?;
        row(out, "ranges", self.source)?;
        if let Some(norm) = inputs.norm {
            row(
                out,
                "distance",
                format!(
                    "at most {:.4} from position {} of the ranges",
                    norm.max, norm.centre
                ),
            )?;
        }
        row(out, "inputs", format!("{} bits", inputs.levels.ilog2()))?;
        row(out, "weights", format!("{} bits", largest.max(1).ilog2() + 2))?;
        row(out, "parameters", self.choice.model.set().name())?;
        row(
            out,
            "error",
            format!(
                "at most {:.2e} of a score's range, {:.2e} in its units (six deviations); {:.0e} was allowed",
                self.choice.worst(),
                self.choice.stated_error(),
                self.max_error
            ),
        )?;
        if let Some(error) = self.choice.probability_error() {
            row(out, "", format!("at most {error:.1e} of a probability"))?;
        }
        row(out, "margin", format!("{:.1} bits of flooding", self.margin()))?;
        let sizes = descriptor.sizes;
        row(
            out,
            "bytes",
            format!(
                "query {}, response {}, key {}",
                sizes.query, sizes.response, sizes.public_key
            ),
        )?;
        row(
            out,
            "time",
            format!("{:.2} ms a score on one core here", self.milliseconds()),
        )?;
        let Agreement {
            rows,
            same_decision,
            largest_error,
            refused,
            ..
        } = self.agreement;
        if *rows > 1 {
            let decided = match (&descriptor.classes, descriptor.link) {
                // A regression decides nothing.
                (None, Link::Identity) => format!("{rows} rows"),
                _ => format!("{same_decision} of {rows} rows decided alike"),
            };
            let agreement = format!("{decided}, largest error of a score {largest_error:.2e}");
            row(out, "agreement", agreement)?;
        }
        if *refused > 0 {
            row(
                out,
                "refused",
                format!("{refused} calibration rows are out of range: clients refuse them"),
            )?;
        }
        self.write_outputs(out)
    }

    fn write_outputs(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "\n  {:<20}{:>26}{:>12}", "output", "range", "error")?;
        let outputs = self
            .choice
            .model
            .descriptor()
            .outputs
            .iter()
            .zip(&self.choice.predicted);
        for (output, predicted) in outputs.take(SHOWN) {
            let range = format!("{:.4} +- {:.4}", output.offset, output.half_range);
            writeln!(
                out,
                "  {:<20}{range:>26}{:>12.2e}",
                output.label,
                crate::import::bound(predicted)
            )?;
        }
        match self.choice.predicted.len() {
            more if more > SHOWN => writeln!(out, "  and {} more", more - SHOWN),
            _ => Ok(()),
        }
    }

    pub(super) fn as_json(&self) -> Value {
        let descriptor = self.choice.model.descriptor();
        json!({
            "file": self.path,
            "id": descriptor.id,
            "features": descriptor.inputs.count,
            "outputs": descriptor.outputs.len(),
            "levels": descriptor.inputs.levels,
            "norm": descriptor.inputs.norm,
            "parameter_set": self.choice.model.set().name(),
            "stated_error": self.choice.stated_error(),
            "probability_error": self.choice.probability_error(),
            "stated_error_share": self.choice.worst(),
            "flooding_margin_bits": self.margin(),
            "sizes": descriptor.sizes,
            "score_ms": self.milliseconds(),
            "rows": self.agreement.rows,
            "same_decision": self.agreement.same_decision,
            "largest_error": self.agreement.largest_error,
            "refused": self.agreement.refused,
        })
    }

    fn margin(&self) -> f64 {
        let margins = self
            .choice
            .predicted
            .iter()
            .map(|output| output.error.noise.flooding_margin().bits());
        margins.fold(f64::INFINITY, f64::min)
    }

    fn milliseconds(&self) -> f64 {
        self.agreement.time.as_secs_f64() * 1e3
    }
}

fn row(out: &mut impl Write, name: &str, value: impl std::fmt::Display) -> io::Result<()> {
    writeln!(out, "  {name:<12}{value}")
}
