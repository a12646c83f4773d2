//! The network in the clear, and what noise does to it.

use super::{IntegerLayers, IntegerUnit, WINDOW};
use blindscore_protocol::params::NetworkParams;

/// Torus elements of the whole torus.
const TORUS: f64 = 18_446_744_073_709_551_616.0;
/// Values of a table of the whole torus.
const TABLE: f64 = 4_294_967_296.0;

/// What each unit of a network gives for one row.
pub(crate) struct Values {
    /// Phases, as parts of the torus.
    pub(crate) phases: Vec<f64>,
    /// Reads, as parts of the torus.
    pub(crate) reads: Vec<f64>,
}

impl IntegerUnit {
    /// Returns the read at a phase, as a part of the torus: the sum of a window of the table, between
    /// whole steps in proportion, times the number of rotations.
    pub fn read(&self, phase: f64) -> f64 {
        let n = self.table.len() as i64;
        let position = phase * 2.0 * n as f64;
        let step = position.floor();
        let part = position - step;
        let value = |index: i64| {
            let turned = index.rem_euclid(2 * n);
            if turned < n {
                f64::from(self.table[turned as usize])
            } else {
                -f64::from(self.table[(turned - n) as usize])
            }
        };
        let half = WINDOW as i64 / 2;
        let start = step as i64 - half;
        // Windows at both whole steps share all coefficients but their ends.
        let shared: f64 = (start + 1..start + WINDOW as i64).map(value).sum();
        let sum = shared + (1.0 - part) * value(start) + part * value(start + WINDOW as i64);
        sum * self.repeats as f64 / TABLE
    }
}

impl IntegerLayers {
    /// Evaluates the network on integer features. Scores are parts of the torus.
    pub fn scores(&self, features: &[i64]) -> Vec<f64> {
        self.sums(&self.values(features).reads)
    }

    /// Returns the phase of each unit on integer features, as a part of the torus from -1/2 to 1/2 if it
    /// doesn't leave it.
    pub fn phases(&self, features: &[i64]) -> Vec<f64> {
        self.values(features).phases
    }

    fn sums(&self, reads: &[f64]) -> Vec<f64> {
        let sum = |weights: &Vec<i32>| {
            let terms = weights.iter().zip(reads);
            terms.map(|(weight, read)| f64::from(*weight) * read).sum()
        };
        self.outputs.iter().map(sum).collect()
    }

    pub(crate) fn values(&self, features: &[i64]) -> Values {
        let mut values = Values {
            phases: Vec::with_capacity(self.units.len()),
            reads: Vec::with_capacity(self.units.len()),
        };
        for unit in &self.units {
            let own = unit.features.iter().zip(features);
            let own: i64 = own.map(|(weight, feature)| weight * feature).sum();
            let terms = unit.units.iter().zip(&values.reads);
            let others: f64 = terms.map(|(weight, read)| f64::from(*weight) * read).sum();
            let start = own as f64 * (self.input_step as f64 / TORUS) + unit.offset as i64 as f64 / TORUS;
            let phase = start + others;
            values.phases.push(phase);
            values.reads.push(unit.read(phase));
        }
        values
    }

    /// Returns the variance that noise causes in each score, as a part of the torus squared: each
    /// unit's noise, from [`Self::noise`], times the derivative of the score with respect to its phase
    /// and to its read (a sum over all paths).
    pub fn spread(&self, params: &NetworkParams, features: &[i64]) -> Vec<f64> {
        let noise = self.noise(params);
        let phases = self.phases(features);
        let slopes = phases
            .iter()
            .zip(&noise)
            .zip(&self.units)
            .map(|((phase, noise), unit)| {
                // A table may bend within its noise.
                let step = noise.0.sqrt();
                (unit.read(phase + step) - unit.read(phase - step)) / (2.0 * step)
            });
        let slopes: Vec<f64> = slopes.collect();
        let variance = |weights: &Vec<i32>| {
            let mut by_read: Vec<f64> = weights.iter().map(|weight| f64::from(*weight)).collect();
            let mut sum = 0.0;
            for place in (0..self.units.len()).rev() {
                let by_phase = by_read[place] * slopes[place];
                sum += by_phase.powi(2) * noise[place].0 + by_read[place].powi(2) * noise[place].1;
                if by_phase != 0.0 {
                    for (earlier, weight) in by_read.iter_mut().zip(&self.units[place].units) {
                        *earlier += by_phase * f64::from(*weight);
                    }
                }
            }
            sum
        };
        self.outputs.iter().map(variance).collect()
    }
}
