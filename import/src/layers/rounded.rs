//! A network in integers, with what its scores mean.

use super::labels::Sign;
use blindscore_engine::layers::{IntegerLayers, PlainLayers};
use blindscore_protocol::descriptor::{Inputs, finer_phase, sent_levels};

/// A network in integers, with what its scores mean.
pub(crate) struct Rounded {
    /// The network: its scores, and the same scores `fine` times finer.
    pub(crate) network: IntegerLayers,
    /// Summand of each score.
    pub(crate) bases: Vec<f64>,
    /// Factor of each score's phase.
    pub(crate) scales: Vec<f64>,
    /// How many times finer the second half of the features are, if they are sent twice.
    pub(crate) fine_features: Option<u32>,
    /// How many times finer the second half of the scores are, if they are sent.
    pub(crate) fine: u32,
    /// Comparisons of scores, if only the label is sent.
    pub(crate) comparisons: Vec<Compared>,
}

/// A unit that compares two scores, or one with zero.
pub(crate) struct Compared {
    /// Place of the unit.
    pub(crate) unit: usize,
    /// Difference that the torus stands for.
    pub(crate) period: f64,
    /// How the sign is looked up.
    pub(crate) sign: Sign,
    /// The score, and the one that is taken from it.
    pub(crate) scores: (usize, Option<usize>),
}

impl Compared {
    /// Returns the difference of the two scores.
    pub(crate) fn difference(&self, scores: &[f64]) -> f64 {
        let (one, other) = self.scores;
        scores[one] - other.map_or(0.0, |other| scores[other])
    }
}

impl Rounded {
    /// Returns the integer features of a row.
    pub(crate) fn levels(&self, inputs: &Inputs, row: &[f64]) -> Vec<i64> {
        sent_levels(&inputs.levels_of(row), self.fine_features)
    }

    /// Returns by how much the scores of a row, or their differences if only the label is sent, are
    /// off in the clear.
    pub(crate) fn differences(&self, clear: &PlainLayers<'_>, levels: &[i64], fitted: &[f64]) -> Vec<f64> {
        if self.comparisons.is_empty() {
            let phases = clear.scores(levels);
            let each = fitted.iter().enumerate();
            return each
                .map(|(score, fitted)| self.score(&phases, score) - fitted)
                .collect();
        }
        let phases = clear.phases(levels);
        let difference = |compared: &Compared| {
            let phase = phases[compared.unit] - compared.sign.offset();
            compared.period * (phase - phase.round()) - compared.difference(fitted)
        };
        self.comparisons.iter().map(difference).collect()
    }

    /// Returns a score from the phases of all that are sent.
    pub(crate) fn score(&self, phases: &[f64], score: usize) -> f64 {
        let finer = phases[self.bases.len() + score];
        let phase = finer_phase(phases[score], finer, f64::from(self.fine));
        self.bases[score] + self.scales[score] * phase
    }
}
