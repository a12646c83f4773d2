//! Rows about ensembles of trees.

use super::{Report, counted, summary};
use crate::{Imported, TreesImport};
use serde_json::json;

impl Report {
    /// Adds rows about the structure of trees.
    pub(super) fn structure(&mut self, trees: &TreesImport) {
        let TreesImport {
            trees: [count, leaves, depth],
            rotations,
            margin,
            wrong,
            grid: [used, all],
            label,
            stated_error,
            probability_error,
            ..
        } = trees;
        self.row(
            "trees",
            format!(
                "{count}, with {leaves} leaves, at most {} deep: {}",
                counted(*depth, "decisions"),
                counted(*rotations, "blind rotations")
            ),
        );
        let decoys = match all - used {
            0 => "all of which trees use; --grid quantiles:N hides them among others".to_owned(),
            more => format!("{more} of which no tree uses"),
        };
        self.row(
            "public",
            format!(
                "in every client: a grid of {}, {decoys}",
                counted(*all, "thresholds and categories")
            ),
        );
        self.row(
            "private",
            "which tree uses which threshold, in which order, and what the leaves hold: they stay on the server",
        );
        match label {
            Some(label) => self.label(label, trees.model.descriptor().outputs.len()),
            None => self.row(
                "error",
                format!("at most {stated_error:.2e} of a score (six deviations)"),
            ),
        }
        if let Some(error) = probability_error {
            self.row("", format!("at most {error:.1e} of a probability"));
        }
        self.row(
            "decisions",
            format!(
                "at least {margin:.1} deviations from their noise: a wrong leaf in one of {:.0e} rows",
                1.0 / wrong
            ),
        );
        self.entries(json!({
            "answer": trees.model.descriptor().answer.name(),
            "trees": count,
            "leaves": leaves,
            "depth": depth,
            "rotations": rotations,
            "structure": "private",
            "grid": all,
            "grid_used": used,
            "stated_error": label.is_none().then_some(stated_error),
            "probability_error": probability_error,
            "margin_deviations": margin,
            "wrong_leaf_chance": wrong,
        }));
    }

    /// Adds rows about the comparisons of trees.
    pub(super) fn trees(&mut self, trees: &TreesImport, imported: &Imported) {
        self.unused(&trees.unused);
        self.mended(&trees.mended);
        if imported.calibration.is_some() {
            let words = format!(
                "{} rows lead to the same leaves as in the file, in the clear",
                trees.walked
            );
            self.row("compared", words);
        }
        match &trees.file {
            Some(Ok(compared)) => self.row(
                "",
                format!("with the file, run in the clear: {}", summary(compared)),
            ),
            Some(Err(why)) => self.row("", format!("not with the file, run in the clear: {why}")),
            None => {}
        }
        if let Some(compared) = &trees.expected {
            self.row("", format!("with --expect: {}", summary(compared)));
        }
        self.entries(json!({
            "compared_rows": trees.walked,
            "expected_rows": trees.expected.as_ref().map(|compared| compared.rows),
        }));
    }
}
