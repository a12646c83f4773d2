//! What may be wrong if a model answers otherwise than the caller's own predictions.

use super::{Calibration, Fitted, edges, trees::Ensemble};
use blindscore_protocol::encoding::{Encoding, Step};
use std::path::Path;

/// Suspects for this model and these files.
#[derive(Clone, Copy, Debug, Default)]
pub struct Suspects {
    /// Whether columns are matched by position, and there are several.
    by_position: bool,
    /// Whether the caller named the classes.
    named: bool,
    /// Whether the weights are arrays that a program wrote.
    arrays: bool,
    /// Whether a converter wrote the file.
    converted: bool,
    /// Whether words of a text are counted together.
    joined: bool,
    /// Whether trees decide about computed numbers.
    computed: bool,
}

impl Suspects {
    /// Finds them for a model that was read from `file`.
    pub(crate) fn of(file: &Path, fitted: &Fitted, data: &Calibration, labels: bool) -> Self {
        let extension = file.extension().and_then(|extension| extension.to_str());
        let encoding = fitted.encoding.as_ref();
        let columns = encoding.map_or(fitted.count(), |encoding| encoding.columns.len());
        let joins = |step: &Step| matches!(step, Step::Counts { words, .. } if words.ngrams[1] > 1);
        Self {
            by_position: columns > 1 && (fitted.features.is_none() || !data.has_header()),
            named: labels,
            arrays: extension == Some("safetensors"),
            converted: extension == Some("onnx"),
            joined: encoding.is_some_and(|encoding| encoding.steps.iter().any(joins)),
            computed: false,
        }
    }

    /// Finds them for an ensemble of trees.
    pub(crate) fn of_trees(file: &Path, ensemble: &Ensemble, data: &Calibration, labels: bool) -> Self {
        let extension = file.extension().and_then(|extension| extension.to_str());
        let named = ensemble.columns.iter().all(|variable| variable.name.is_some());
        let computes = |encoding: &Encoding| {
            let mut slots = encoding.features.iter();
            slots.any(|slot| edges::is_computed(encoding, slot))
        };
        Self {
            by_position: ensemble.columns.len() > 1 && (!named || !data.has_header()),
            named: labels,
            converted: extension == Some("onnx"),
            computed: ensemble.encoding.as_ref().is_some_and(computes),
            ..Self::default()
        }
    }

    /// Lists them in a sentence. `classes` says whether it is classes that differ.
    pub(crate) fn words(&self, classes: bool) -> String {
        let all = [
            (
                true,
                "--expect may be of other rows than --calibrate, or of another model",
            ),
            (
                self.by_position,
                "the columns of --calibrate may be in another order than those of the model",
            ),
            (
                self.named && classes,
                "--labels may be in another order than the model's classes",
            ),
            (
                self.arrays,
                "an array may have been written without np.ascontiguousarray",
            ),
            (
                self.joined,
                "stop_words may have left out words between those that are counted together",
            ),
            (
                self.computed,
                "your program may compute the numbers before the trees in single precision, which clients don't: fit the steps and the trees to \
                 rows in double precision, or leave out the scaler, which trees don't need",
            ),
            (
                self.converted,
                "the converter may have made another model of yours",
            ),
        ];
        let held: Vec<&str> = all
            .iter()
            .filter(|(holds, _)| *holds)
            .map(|(_, words)| *words)
            .collect();
        match held.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{}, or {last}", rest.join(", ")),
            _ => held.concat(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_be_wrong_is_named() {
        let nothing = Suspects::default().words(true);
        assert!(
            !nothing.contains("order") && !nothing.contains(", or the") && nothing.contains("other rows")
        );
        let named = Suspects {
            named: true,
            converted: true,
            ..Suspects::default()
        };
        assert!(named.words(true).contains("--labels") && !named.words(false).contains("--labels"));
        assert!(
            named
                .words(true)
                .ends_with(", or the converter may have made another model of yours")
        );
        let arrays = Suspects {
            arrays: true,
            by_position: true,
            ..Suspects::default()
        };
        let words = arrays.words(true);
        assert!(
            words.contains("np.ascontiguousarray") && words.contains("--calibrate may be in another order")
        );
        assert!(!words.contains("converter") && !words.contains("stop_words"));
    }
}
