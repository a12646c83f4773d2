//! The network in the clear, and what noise does to it.

use super::{IntegerLayers, IntegerUnit, WINDOW, divided};
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
        let terms = gradients.iter().zip(&shared).zip(&self.units);
        terms
            .map(|((gradient, shared), unit)| {
                let switch = gradient.switch(params, unit.repeats);
                (gradient.slope * gradient.total).powi(2) * shared
                    + gradient.slope.powi(2) * switch
                    + gradient.squares * window
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
                gradients[place] = gradient;
                let by_phase = gradient.total * gradient.slope;
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
#[derive(Clone, Copy, Debug, Default)]
pub struct Gradient {
    /// Derivative of the unit's read with respect to its phase.
    pub slope: f64,
    /// Derivative of the number with respect to the reads of all rotations together.
    pub total: f64,
    /// Sum of the squares of its derivatives with respect to the read of each rotation.
    pub squares: f64,
}

impl Gradient {
    /// Returns the derivatives of a sum that reads a unit with this weight, divided among its rotations.
    /// The slope is 1: whoever knows the unit's own multiplies by it.
    pub fn of_weight(weight: i32, repeats: usize) -> Self {
        let (each, more) = divided(weight, repeats);
        let (each, first) = (f64::from(each), f64::from(more.unsigned_abs()));
        let rest = repeats as f64 - first;
        let larger = each + f64::from(more.signum());
        Self {
            slope: 1.0,
            total: f64::from(weight),
            squares: first * larger.powi(2) + rest * each.powi(2),
        }
    }

    /// Returns the variance of the sum of the errors of the rotations' modulus switches, each times its
    /// derivative.
    ///
    /// Rounding after moving a number by up to half a step makes its error larger, by a variance of
    /// `1 - 1 / R^2` that of rounding alone; the average over all `R` rotations has only `1 / R^2` of
    /// the latter. All pairs of rotations are alike, so that their covariance follows.
    pub fn switch(&self, params: &NetworkParams, repeats: usize) -> f64 {
        let single = NetworkNoise::modulus_switch(params);
        let count = repeats as f64;
        let average = single / (count * count);
        let own = 2.0 * single - average;
        let shared = if repeats > 1 {
            (average - own / count) / (1.0 - 1.0 / count)
        } else {
            0.0
        };
        let own = if repeats > 1 { own } else { single };
        (own - shared) * self.squares + shared * self.total * self.total
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
        let mut gradient = Gradient {
            slope,
            ..Gradient::default()
        };
        let mut more = 0.0;
        for own in self.first[1..].iter().rev() {
            more += own;
            let derivative: f64 = self.all + more;
            gradient.total += derivative;
            gradient.squares += derivative * derivative;
        }
        gradient
    }
}
