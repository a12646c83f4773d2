//! The network in the clear, and what noise does to it.

use super::{
    IntegerLayers, IntegerUnit, SLOTS,
    slots::{coefficients, divided},
};
use crate::network::rounding_place;
use blindscore_protocol::{noise::NetworkNoise, params::NetworkParams};
use std::ops::{Range, RangeInclusive};

/// Torus elements of the whole torus.
const TORUS: f64 = 18_446_744_073_709_551_616.0;
/// Values of a table of the whole torus.
const TABLE: f64 = 4_294_967_296.0;

/// Points at which a normal error is sampled, and the distance between them in standard
/// deviations.
const SAMPLES: RangeInclusive<i32> = -8..=8;
const SAMPLE: f64 = 0.5;

/// What each unit of a network gives for one row.
pub(crate) struct Values {
    /// Phases, as parts of the torus.
    pub(crate) phases: Vec<f64>,
    /// Values of the coefficients that are read, as parts of the torus.
    pub(crate) reads: Vec<[f64; SLOTS]>,
}

impl IntegerUnit {
    /// Returns the values at the coefficients that are read at a phase, as parts of the torus:
    /// between whole steps in proportion.
    fn read(&self, phase: f64) -> [f64; SLOTS] {
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
        let start = step as i64 - SLOTS as i64 / 2;
        std::array::from_fn(|place| {
            let place = start + place as i64;
            ((1.0 - part) * value(place) + part * value(place + 1)) / TABLE
        })
    }

    /// Returns the variance of the error of a single rotation's phase, as a part of the torus
    /// squared, apart from what all rotations share.
    fn rotation_error(&self, params: &NetworkParams) -> f64 {
        switch_variance(params, self.repeats)
    }

    /// Returns how the mean of what a rotation reads at a phase depends on a normal error of the
    /// phase of this variance.
    fn response(&self, phase: f64, error: f64) -> Response {
        let deviation = error.sqrt();
        let samples: Vec<(f64, f64, f64)> = samples()
            .map(|(error, weight)| {
                let read = self.read(phase + error * deviation);
                (error, weight, read.iter().sum::<f64>() / SLOTS as f64)
            })
            .collect();
        let expected = |of: &dyn Fn(f64, f64) -> f64| -> f64 {
            let terms = samples.iter();
            terms
                .map(|(error, weight, read)| weight * of(*error, *read))
                .sum()
        };
        let mean = expected(&|_, read| read);
        let linear = expected(&|error, read| error * (read - mean));
        let square = expected(&|error, read| (error * error - 1.0) * (read - mean)).powi(2) / 2.0;
        let all = expected(&|_, read| (read - mean).powi(2));
        Response {
            slope: linear / deviation,
            bends: [square, (all - linear * linear - square).max(0.0)],
        }
    }

    /// Returns the table of what rotations read on average, if the phase has an error of this
    /// variance.
    fn averaged(&self, error: f64) -> Vec<i32> {
        let size = self.table.len();
        let deviation = error.sqrt() * 2.0 * size as f64;
        let turned = |place: i64| {
            let turned = place.rem_euclid(2 * size as i64) as usize;
            if turned < size {
                f64::from(self.table[turned])
            } else {
                -f64::from(self.table[turned - size])
            }
        };
        let mut sums = vec![0.0; size];
        for (error, weight) in samples() {
            let position = error * deviation;
            let (step, part) = (position.floor() as i64, position - position.floor());
            let moved: Vec<f64> = (step..=step + size as i64).map(turned).collect();
            for (sum, pair) in sums.iter_mut().zip(moved.windows(2)) {
                *sum += weight * ((1.0 - part) * pair[0] + part * pair[1]);
            }
        }
        sums.into_iter().map(|sum| sum.round() as i32).collect()
    }

    /// Returns the unit with a table of which rotations read on average what this one's has, as far
    /// as that is possible: twice the table, less what they read on average (a step of van
    /// Cittert's deconvolution). A table that jumps overshoots at the jump.
    #[must_use]
    pub fn sharpened(self, params: &NetworkParams) -> Self {
        let averaged = self.averaged(self.rotation_error(params));
        let pairs = self.table.iter().zip(averaged);
        let sharp = |(value, average): (&i32, i32)| value.saturating_mul(2).saturating_sub(average);
        Self {
            table: pairs.map(sharp).collect(),
            ..self
        }
    }
}

/// How what is read depends on a normal error of the phase.
struct Response {
    /// Mean derivative.
    slope: f64,
    /// Variances that are not proportional to the error: of its square, and of all else.
    bends: [f64; 2],
}

/// Returns points of a standard normal distribution, and the weight of each.
fn samples() -> impl Iterator<Item = (f64, f64)> {
    let density = |error: f64| (-error * error / 2.0).exp();
    let points = || SAMPLES.map(|point| f64::from(point) * SAMPLE);
    let total: f64 = points().map(density).sum();
    points().map(move |error| (error, density(error) / total))
}

/// A network of several layers, prepared for evaluating it in the clear.
pub struct PlainLayers<'n> {
    network: &'n IntegerLayers,
    /// For each unit, how many times it adds up each coefficient of the units of earlier layers.
    units: Vec<Vec<[i32; SLOTS]>>,
    /// The same for each score.
    outputs: Vec<Vec<[i32; SLOTS]>>,
}

impl<'n> PlainLayers<'n> {
    /// Prepares a network.
    pub fn new(network: &'n IntegerLayers) -> Self {
        let counts = |weights: &Vec<i32>| {
            let each = weights.iter().zip(&network.units);
            each.map(|(weight, unit)| coefficients(*weight, unit.repeats))
                .collect()
        };
        Self {
            network,
            units: network.units.iter().map(|unit| counts(&unit.units)).collect(),
            outputs: network.outputs.iter().map(counts).collect(),
        }
    }

    /// Evaluates the network on integer features. Scores are parts of the torus.
    pub fn scores(&self, features: &[i64]) -> Vec<f64> {
        let reads = self.values(features).reads;
        let outputs = self.outputs.iter().zip(&self.network.biases);
        outputs
            .map(|(counts, bias)| *bias as i64 as f64 / TORUS + sum(counts, &reads))
            .collect()
    }

    pub(crate) fn values(&self, features: &[i64]) -> Values {
        let network = self.network;
        let mut values = Values {
            phases: Vec::with_capacity(network.units.len()),
            reads: Vec::with_capacity(network.units.len()),
        };
        for (unit, counts) in network.units.iter().zip(&self.units) {
            let own = unit.features.iter().zip(features);
            let own: i64 = own.map(|(weight, feature)| weight * feature).sum();
            let start = own as f64 * (network.input_step as f64 / TORUS) + unit.offset as i64 as f64 / TORUS;
            let phase = start + sum(counts, &values.reads);
            values.phases.push(phase);
            values.reads.push(unit.read(phase));
        }
        values
    }

    /// Returns the variance that noise causes in each score, as a part of the torus squared: that
    /// of each phase and each read, times the square of the derivative of the score with respect to
    /// it (a sum over all paths).
    pub fn spread(&self, params: &NetworkParams, features: &[i64]) -> Vec<f64> {
        let gradients = self.gradients(params, features);
        gradients
            .iter()
            .map(|gradients| self.network.variance(params, gradients))
            .collect()
    }

    /// Returns the phase of each unit on integer features, as a part of the torus from -1/2 to 1/2
    /// if it doesn't leave it.
    pub fn phases(&self, features: &[i64]) -> Vec<f64> {
        self.values(features).phases
    }

    /// Returns, for each score, its derivatives with respect to each unit at a row.
    pub fn gradients(&self, params: &NetworkParams, features: &[i64]) -> Vec<Vec<Gradient>> {
        self.gradients_of(params, features, self.network.outputs.iter())
    }

    /// Returns, for each unit of a range, the derivatives of its phase with respect to each unit of
    /// earlier layers at a row.
    pub fn phase_gradients(
        &self,
        params: &NetworkParams,
        features: &[i64],
        units: Range<usize>,
    ) -> Vec<Vec<Gradient>> {
        self.gradients_of(
            params,
            features,
            self.network.units[units].iter().map(|unit| &unit.units),
        )
    }

    /// Returns the derivatives of sums with these weights of units.
    fn gradients_of<'w>(
        &self,
        params: &NetworkParams,
        features: &[i64],
        sums: impl Iterator<Item = &'w Vec<i32>>,
    ) -> Vec<Vec<Gradient>> {
        let units = &self.network.units;
        let shared = self.network.shared_noise(params);
        let phases = self.phases(features);
        let responses = units.iter().zip(shared.iter().zip(&phases));
        let responses: Vec<Response> = responses
            .map(|(unit, (shared, phase))| unit.response(*phase, unit.rotation_error(params) + shared))
            .collect();
        let gradients = |weights: &Vec<i32>| {
            let mut reads: Vec<Derivatives> = units.iter().map(Derivatives::of).collect();
            for (read, weight) in reads.iter_mut().zip(weights) {
                read.add(1.0, *weight);
            }
            let mut gradients = vec![Gradient::default(); units.len()];
            for place in (0..units.len()).rev() {
                let slots = reads[place].finish(units[place].repeats);
                let gradient = Gradient {
                    slope: responses[place].slope,
                    bends: responses[place].bends,
                    slots,
                };
                let by_phase = gradient.total() * gradient.slope;
                gradients[place] = gradient;
                if by_phase != 0.0 {
                    for (read, weight) in reads.iter_mut().zip(&units[place].units) {
                        read.add(by_phase, *weight);
                    }
                }
            }
            gradients
        };
        sums.map(gradients).collect()
    }
}

/// Returns the sum of what is read.
fn sum(counts: &[[i32; SLOTS]], reads: &[[f64; SLOTS]]) -> f64 {
    let terms = counts.iter().flatten().zip(reads.iter().flatten());
    terms.map(|(count, read)| f64::from(*count) * read).sum()
}

impl IntegerLayers {
    /// Returns the variance that noise causes in a number with these derivatives with respect to
    /// each unit.
    pub fn variance(&self, params: &NetworkParams, gradients: &[Gradient]) -> f64 {
        let shared = self.shared_noise(params);
        let terms = gradients.iter().zip(&shared);
        terms
            .map(|(gradient, shared)| {
                gradient.slope.powi(2) * (gradient.total().powi(2) * shared + gradient.switch(params))
                    + gradient.bent(params, *shared)
                    + gradient.reads(params)
            })
            .sum()
    }

    /// Returns the network with tables of what rotations read on average: where a table bends, that
    /// isn't its value.
    #[must_use]
    pub fn averaged(&self, params: &NetworkParams) -> Self {
        let shared = self.shared_noise(params);
        let units = self.units.iter().zip(shared).map(|(unit, shared)| IntegerUnit {
            table: unit.averaged(unit.rotation_error(params) + shared),
            ..unit.clone()
        });
        Self {
            units: units.collect(),
            ..self.clone()
        }
    }
}

/// Derivatives of a number, such as a score, with respect to a unit.
#[derive(Clone, Debug, Default)]
pub struct Gradient {
    /// Derivative of the unit's read with respect to its phase.
    pub slope: f64,
    /// Variances of what a single rotation reads that are not proportional to its error, as parts
    /// of the torus squared: of the error's square, and of all else.
    pub bends: [f64; 2],
    /// Derivatives of the number with respect to each slot: those of all rotations' first slots,
    /// then of their second ones, and so on.
    pub slots: Vec<f64>,
}

impl Gradient {
    /// Returns the derivative with respect to all slots together.
    pub fn total(&self) -> f64 {
        self.slots.iter().sum()
    }

    /// Returns the derivatives with respect to all slots of each rotation.
    fn rotations(&self) -> Vec<f64> {
        let repeats = self.slots.len() / SLOTS;
        let of_part = |part: usize| self.slots.iter().skip(part).step_by(repeats).sum();
        (0..repeats).map(of_part).collect()
    }

    /// Returns the variance of the noise of what is read, each times its derivative.
    pub fn reads(&self, params: &NetworkParams) -> f64 {
        let squares = |numbers: &[f64]| numbers.iter().map(|number| number * number).sum::<f64>();
        NetworkNoise::reads(params, squares(&self.slots), squares(&self.rotations()))
    }

    /// Returns the variance of the sum of the errors of the rotations' modulus switches, each times
    /// its derivative.
    pub fn switch(&self, params: &NetworkParams) -> f64 {
        switch(params, &self.rotations())
    }

    /// Returns the variance that the bends of the table cause. `shared` is the variance of the
    /// phase that all rotations share.
    ///
    /// The Hermite polynomials of degree `d` of two normal errors of correlation `c` have the
    /// correlation `c^d`. All beyond the square are taken for cubes.
    fn bent(&self, params: &NetworkParams, shared: f64) -> f64 {
        let [square, rest] = self.bends;
        if square == 0.0 && rest == 0.0 {
            return 0.0;
        }
        let weights = self.rotations();
        let single = switch_variance(params, weights.len()) + shared;
        weighted_sum(&weights, |one, other| {
            let correlation = (covariance(params, weights.len(), one, other) + shared) / single;
            correlation.powi(2) * square + correlation.powi(3).abs() * rest
        })
    }
}

/// Returns the variance of the sum of the errors of modulus switches of one phase, times the weight
/// of each rotation.
///
/// Two of `R` rotations add offsets that are `k / R` of a step apart, modulo the step, before they
/// round. The error of rounding a uniform number after adding an offset has the variance of
/// rounding plus that of the offset, `1/12 + (1 - 1/R^2)/12`; two such errors differ by what lies
/// between, so that `k (R - k) / R^2` is missing in their covariance.
pub(super) fn switch(params: &NetworkParams, weights: &[f64]) -> f64 {
    weighted_sum(weights, |one, other| {
        covariance(params, weights.len(), one, other)
    })
}

/// Returns the covariance of the errors of two of so many rotations, by their places.
fn covariance(params: &NetworkParams, parts: usize, one: usize, other: usize) -> f64 {
    let (count, apart) = (parts as f64, one.abs_diff(other) as f64);
    let missing = 12.0 * apart * (count - apart) / (count * count);
    // In units of 1/12 of a step, squared: the variance of rounding alone.
    (2.0 - 1.0 / (count * count) - missing) * NetworkNoise::modulus_switch(params)
}

/// Returns the variance of the error of one of so many rotations.
fn switch_variance(params: &NetworkParams, parts: usize) -> f64 {
    covariance(params, parts, 0, 0)
}

/// Returns the sum over all pairs of rotations of their weights and what is between their places.
fn weighted_sum(weights: &[f64], between: impl Fn(usize, usize) -> f64) -> f64 {
    let places = |part: usize| rounding_place(part, weights.len());
    let places: Vec<usize> = (0..weights.len()).map(places).collect();
    let mut sum = 0.0;
    for (one, place) in weights.iter().zip(&places) {
        for (other, other_place) in weights.iter().zip(&places) {
            sum += one * other * between(*place, *other_place);
        }
    }
    sum
}

/// Noise of weights that are divided among the slots of a number of rotations.
pub struct Division {
    params: NetworkParams,
    /// Variance of the sum of the errors of the first rotations' modulus switches, by their number.
    first: Vec<f64>,
}

impl Division {
    /// Prepares it for a number of rotations.
    pub fn new(params: &NetworkParams, repeats: usize) -> Self {
        let of_first = |count: usize| {
            let weight = |part: usize| if part < count { 1.0 } else { 0.0 };
            switch(params, &(0..repeats).map(weight).collect::<Vec<f64>>())
        };
        Self {
            params: *params,
            first: (0..=repeats).map(of_first).collect(),
        }
    }

    /// Returns the variance that modulus switches cause in a sum that reads a unit with this
    /// weight, for a slope of 1.
    pub fn switch(&self, weight: i32) -> f64 {
        let repeats = self.first.len() - 1;
        let (each, more) = divided(weight, repeats);
        // All rotations together and some of them: the errors of all have the same covariance with
        // each.
        let (each, all) = (f64::from(each), self.first[repeats]);
        let share = f64::from(more) / repeats as f64;
        all * (each * each + 2.0 * each * share) + self.first[more.unsigned_abs() as usize]
    }

    /// Returns the variance of the noise of what is read with this weight.
    pub fn reads(&self, weight: i32) -> f64 {
        let repeats = self.first.len() - 1;
        let squares = |among: usize| {
            let (each, more) = divided(weight, among);
            let first = f64::from(more.unsigned_abs());
            first * f64::from(each + more.signum()).powi(2) + (among as f64 - first) * f64::from(each).powi(2)
        };
        NetworkNoise::reads(&self.params, squares(SLOTS * repeats), squares(repeats))
    }
}

/// Derivatives with respect to the slots of a unit, which divide its weights.
struct Derivatives {
    /// What all have.
    all: f64,
    /// What the first ones have besides, by their number.
    first: Vec<f64>,
}

impl Derivatives {
    fn of(unit: &IntegerUnit) -> Self {
        Self {
            all: 0.0,
            first: vec![0.0; SLOTS * unit.repeats + 1],
        }
    }

    fn add(&mut self, derivative: f64, weight: i32) {
        let (each, more) = divided(weight, self.first.len() - 1);
        self.all += derivative * f64::from(each);
        self.first[more.unsigned_abs() as usize] += derivative * f64::from(more.signum());
    }

    fn finish(&self, repeats: usize) -> Vec<f64> {
        let mut slots = vec![self.all; SLOTS * repeats];
        let mut more = 0.0;
        for (derivative, own) in slots.iter_mut().zip(&self.first[1..]).rev() {
            more += own;
            *derivative += more;
        }
        slots
    }
}
