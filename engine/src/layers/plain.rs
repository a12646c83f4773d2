//! The network in the clear, and what noise does to it.

use super::{IntegerLayers, IntegerUnit, WINDOW, divided};
use crate::network::rounding_place;
use blindscore_protocol::{noise::NetworkNoise, params::NetworkParams};

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
    /// whole steps in proportion.
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
        sum / TABLE
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
        let sum = |(weights, bias): (&Vec<i32>, &u64)| {
            let terms = weights.iter().zip(reads);
            let terms = terms.map(|(weight, read)| f64::from(*weight) * read);
            *bias as i64 as f64 / TORUS + terms.sum::<f64>()
        };
        self.outputs.iter().zip(&self.biases).map(sum).collect()
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

    /// Returns the variance that noise causes in each score, as a part of the torus squared: that of
    /// each phase and each read, times the square of the derivative of the score with respect to it (a
    /// sum over all paths).
    pub fn spread(&self, params: &NetworkParams, features: &[i64]) -> Vec<f64> {
        let gradients = self.gradients(params, features);
        gradients
            .iter()
            .map(|gradients| self.variance(params, gradients))
            .collect()
    }

    /// Returns the variance that noise causes in a number with these derivatives with respect to each
    /// unit.
    pub fn variance(&self, params: &NetworkParams, gradients: &[Gradient]) -> f64 {
        let shared = self.shared_noise(params);
        let window = NetworkNoise::window(params, WINDOW);
        let terms = gradients.iter().zip(&shared);
        terms
            .map(|(gradient, shared)| {
                gradient.slope.powi(2) * (gradient.total().powi(2) * shared + gradient.switch(params))
                    + gradient.squares() * window
            })
            .sum()
    }

    /// Returns, for each score, its derivatives with respect to each unit at a row.
    pub fn gradients(&self, params: &NetworkParams, features: &[i64]) -> Vec<Vec<Gradient>> {
        let phases = self.phases(features);
        // That of a single rotation: a table may bend within it.
        let step = NetworkNoise::modulus_switch(params).sqrt();
        let slope = |(unit, phase): (&IntegerUnit, &f64)| {
            (unit.read(phase + step) - unit.read(phase - step)) / (2.0 * step)
        };
        let slopes: Vec<f64> = self.units.iter().zip(&phases).map(slope).collect();
        let gradients = |weights: &Vec<i32>| {
            let mut reads: Vec<Rotations> = self.units.iter().map(Rotations::of).collect();
            for (read, weight) in reads.iter_mut().zip(weights) {
                read.add(1.0, *weight);
            }
            let mut gradients = vec![Gradient::default(); self.units.len()];
            for place in (0..self.units.len()).rev() {
                let gradient = reads[place].finish(slopes[place]);
                let by_phase = gradient.total() * gradient.slope;
                gradients[place] = gradient;
                if by_phase != 0.0 {
                    for (read, weight) in reads.iter_mut().zip(&self.units[place].units) {
                        read.add(by_phase, *weight);
                    }
                }
            }
            gradients
        };
        self.outputs.iter().map(gradients).collect()
    }
}

/// Derivatives of a number, such as a score, with respect to a unit.
#[derive(Clone, Debug, Default)]
pub struct Gradient {
    /// Derivative of the unit's read with respect to its phase.
    pub slope: f64,
    /// Derivatives of the number with respect to the read of each rotation.
    pub rotations: Vec<f64>,
}

impl Gradient {
    /// Returns the derivative with respect to the reads of all rotations together.
    pub fn total(&self) -> f64 {
        self.rotations.iter().sum()
    }

    /// Returns the sum of the squares of the derivatives with respect to each read.
    pub fn squares(&self) -> f64 {
        self.rotations
            .iter()
            .map(|derivative| derivative * derivative)
            .sum()
    }

    /// Returns the variance of the sum of the errors of the rotations' modulus switches, each times its
    /// derivative.
    ///
    /// Two of `R` rotations add offsets that are `k / R` of a step apart, modulo the step, before they
    /// round. The error of rounding a uniform number after adding an offset has the variance of rounding
    /// plus that of the offset, `1/12 + (1 - 1/R^2)/12`; two such errors differ by what lies between, so
    /// that `k (R - k) / R^2` is missing in their covariance.
    pub fn switch(&self, params: &NetworkParams) -> f64 {
        let parts = self.rotations.len();
        let count = parts as f64;
        let places: Vec<usize> = (0..parts).map(|part| rounding_place(part, parts)).collect();
        let mut sum = 0.0;
        for (one, place) in self.rotations.iter().zip(&places) {
            for (other, other_place) in self.rotations.iter().zip(&places) {
                let apart = place.abs_diff(*other_place) as f64;
                let missing = 12.0 * apart * (count - apart) / (count * count);
                sum += one * other * (2.0 - 1.0 / (count * count) - missing);
            }
        }
        // Each part is in units of 1/12 of a step, squared: the variance of rounding alone.
        sum * NetworkNoise::modulus_switch(params)
    }
}

/// Noise of weights that are divided among rotations.
pub struct Division {
    /// Variance of the sum of the errors of the first rotations' modulus switches, by their number.
    first: Vec<f64>,
}

impl Division {
    /// Prepares it for a number of rotations.
    pub fn new(params: &NetworkParams, repeats: usize) -> Self {
        let of_first = |count: usize| {
            let share = |part: usize| if part < count { 1.0 } else { 0.0 };
            let gradient = Gradient {
                slope: 1.0,
                rotations: (0..repeats).map(share).collect(),
            };
            gradient.switch(params)
        };
        Self {
            first: (0..=repeats).map(of_first).collect(),
        }
    }

    /// Returns the variance that modulus switches cause in a sum that reads a unit with this weight, for a
    /// slope of 1.
    pub fn switch(&self, weight: i32) -> f64 {
        let repeats = self.first.len() - 1;
        let (each, more) = divided(weight, repeats);
        // All rotations together and some of them: the errors of all have the same covariance with each.
        let (each, all) = (f64::from(each), self.first[repeats]);
        let share = f64::from(more) / repeats as f64;
        all * (each * each + 2.0 * each * share) + self.first[more.unsigned_abs() as usize]
    }

    /// Returns the sum of the squares of the weights of the rotations.
    pub fn squares(&self, weight: i32) -> f64 {
        let repeats = self.first.len() - 1;
        let (each, more) = divided(weight, repeats);
        let first = f64::from(more.unsigned_abs());
        first * f64::from(each + more.signum()).powi(2) + (repeats as f64 - first) * f64::from(each).powi(2)
    }
}

/// Derivatives with respect to the reads of a unit's rotations, which divide its weights.
struct Rotations {
    /// What all have.
    all: f64,
    /// What the first ones have besides, by their number.
    first: Vec<f64>,
}

impl Rotations {
    fn of(unit: &IntegerUnit) -> Self {
        Self {
            all: 0.0,
            first: vec![0.0; unit.repeats + 1],
        }
    }

    fn add(&mut self, derivative: f64, weight: i32) {
        let (each, more) = divided(weight, self.first.len() - 1);
        self.all += derivative * f64::from(each);
        self.first[more.unsigned_abs() as usize] += derivative * f64::from(more.signum());
    }

    fn finish(&self, slope: f64) -> Gradient {
        let mut rotations = vec![self.all; self.first.len() - 1];
        let mut more = 0.0;
        for (derivative, own) in rotations.iter_mut().zip(&self.first[1..]).rev() {
            more += own;
            *derivative += more;
        }
        Gradient { slope, rotations }
    }
}
