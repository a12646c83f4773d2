//! Scoring of projection networks: `logits_c = bias_c + sum_h sum_k v[c,h,k] f_h(p_h + t[h,k])`
//! with `p_h = (w_h x + b_h) / R`.
//!
//! 1. The first layer multiplies the query by each projection's weights in the small ring
//!    (`projection`). The result is an LWE ciphertext of `p_h` under the input secret, with
//!    `|p| < 1` on half of the torus. It gets a fresh encryption of zero (`fresh`) before the
//!    modulus switch.
//! 2. One blind rotation per projection rotates the test polynomial of its ramp `f_h`, in one batch
//!    per thread (`rotation`). Coefficient `j` of the result is `f_h` at `p_h + 2 j / N`, so the
//!    `K` thresholds of a projection cost no further rotations.
//! 3. The output layer sums the reads, weighted by small integers, in the Fourier domain
//!    (`output`), packs the scores (`packing`), adds a fresh encryption of zero, and rounds.
//!    If only the label is sent, further rotations find it first, and bits are packed (`label`).

mod fresh;
mod key;
mod key_switch;
mod label;
pub(crate) mod output;
mod packing;
mod pages;
mod projection;
mod rotation;
#[cfg(test)]
mod tests;
mod transform;

use super::{bits::FLOODING, fourier::FourierContext};
use blindscore_protocol::{
    params::NetworkParams,
    random::{EntropyError, Sampler},
    wire::{Query, Response},
};
pub use key::NetworkKey;
use label::{Bits, Largest};
pub use label::{MOST_CLASSES, compared};
use output::{OutputLayer, finish};
use projection::Projection;
pub(crate) use projection::{LweCiphertext, extracted, query_spectra, rounding_place};
use rayon::prelude::*;
pub use rotation::{BootstrapKey, ModSwitchedLwe};

/// A projection network with integer weights.
#[derive(Clone, Debug, PartialEq)]
pub struct IntegerNetwork {
    /// Projections of the first layer.
    pub projections: Vec<IntegerProjection>,
    /// One bias per output, in units of the logits.
    pub biases: Vec<f64>,
    /// `R`, the divisor of projections.
    pub range: f64,
    /// Largest absolute value of a logit without its bias. It sets the share of the torus per unit.
    pub max_logit: f64,
    /// Largest difference of two logits that was seen, or the largest logit if there is only one.
    /// It sets the share of the torus where only the label is sent; `None` where scores are.
    pub max_difference: Option<f64>,
}

/// One projection and its reads.
#[derive(Clone, Debug, PartialEq)]
pub struct IntegerProjection {
    /// One weight per feature.
    pub weights: Vec<i64>,
    /// Bias added to the inner product.
    pub bias: i64,
    /// Half the width of the ramp `f(p) = clip(p / width, -1, 1)`.
    pub width: f64,
    /// Offsets from `p` at which `f` is read, in units of 1/256.
    pub thresholds: Vec<i64>,
    /// For each output, one weight per read.
    pub reads: Vec<Vec<i64>>,
}

/// Steps of a threshold per unit of `p`.
pub const THRESHOLD_STEPS: i64 = 256;
/// Share of the torus, on either side of zero, that the largest logit takes.
const LOGIT_SPAN: f64 = 0.45;

impl IntegerNetwork {
    /// Returns `f(p)` of one projection, continued as in the ring: `f(p + 2) = -f(p)`.
    pub fn activation(width: f64, p: f64) -> f64 {
        let turns = (p + 1.0).div_euclid(2.0);
        let value = ((p - 2.0 * turns) / width).clamp(-1.0, 1.0);
        if turns.rem_euclid(2.0) == 0.0 {
            value
        } else {
            -value
        }
    }

    /// Evaluates the plain model on integer features.
    pub fn logits(&self, features: &[i64]) -> Vec<f64> {
        let mut logits = self.biases.clone();
        for projection in &self.projections {
            projection.add_reads(self.position(projection, features), 1.0, &mut logits);
        }
        logits
    }

    /// Returns the variance that projection noise causes in each logit. `deviation` gives a
    /// projection's standard deviation in units of `p`; each projection is shifted by it in both
    /// directions to see the effect on its ramps.
    pub fn spread(&self, features: &[i64], deviation: impl Fn(&IntegerProjection) -> f64) -> Vec<f64> {
        let mut variances = vec![0.0; self.biases.len()];
        let mut difference = variances.clone();
        for projection in &self.projections {
            let (p, step) = (self.position(projection, features), deviation(projection));
            difference.fill(0.0);
            projection.add_reads(p + step, 0.5, &mut difference);
            projection.add_reads(p - step, -0.5, &mut difference);
            for (variance, difference) in variances.iter_mut().zip(&difference) {
                *variance += difference * difference;
            }
        }
        variances
    }

    /// Returns `p` of one projection.
    fn position(&self, projection: &IntegerProjection, features: &[i64]) -> f64 {
        let terms = features.iter().zip(&projection.weights);
        let sum = projection.bias + terms.map(|(x, w)| x * w).sum::<i64>();
        sum as f64 / self.range
    }

    /// Returns the torus element of one unit of `w x + b`, for which `|p| < 1` takes half of the
    /// torus. It is truncated to a number that JSON represents exactly.
    pub fn input_step(&self) -> u64 {
        (2f64.powi(62) / self.range).round() as u64 & !0xfff
    }

    /// Returns the torus element of one unit of a logit.
    pub fn amplitude(&self) -> f64 {
        match self.max_difference {
            Some(difference) => label::amplitude(difference),
            None => (LOGIT_SPAN * 2f64.powi(64) / self.max_logit).floor(),
        }
    }

    /// Returns the sum of the squares of the weights of an output's reads.
    pub fn squared_norm(&self, output: usize) -> f64 {
        let reads = self
            .projections
            .iter()
            .flat_map(|projection| &projection.reads[output]);
        reads.map(|weight| (*weight as f64).powi(2)).sum()
    }

    /// Returns the number of blind rotations that a query takes.
    pub fn rotations(&self) -> usize {
        let compared = self.max_difference.map(|_| Largest::rotations(self.biases.len()));
        self.projections.len() + compared.unwrap_or(0)
    }
}

impl IntegerProjection {
    /// Adds the reads at `p`, times `factor`, to the logits.
    fn add_reads(&self, p: f64, factor: f64, logits: &mut [f64]) {
        for (read, threshold) in self.thresholds.iter().enumerate() {
            let shifted = p + *threshold as f64 / THRESHOLD_STEPS as f64;
            let value = factor * IntegerNetwork::activation(self.width, shifted);
            for (logit, reads) in logits.iter_mut().zip(&self.reads) {
                *logit += reads[read] as f64 * value;
            }
        }
    }
}

/// A projection network, transformed for scoring.
pub struct NetworkEngine {
    params: NetworkParams,
    features: usize,
    projections: Vec<Projection>,
    output: OutputLayer,
    /// Finds the label, if only that is sent.
    largest: Option<Largest>,
}

impl NetworkEngine {
    /// Transforms weights and test polynomials. All projections must have the same number of
    /// features, at least one.
    pub fn new(params: NetworkParams, network: &IntegerNetwork) -> Self {
        let step = network.input_step();
        let amplitude = network.amplitude();
        let mut fft = FourierContext::new(params.input_polynomial_size);
        let projections = network.projections.iter();
        Self {
            params,
            features: network
                .projections
                .first()
                .map_or(0, |projection| projection.weights.len()),
            projections: projections
                .map(|projection| Projection::new(&params, &mut fft, projection, step, amplitude))
                .collect(),
            output: OutputLayer::new(&params, network, amplitude),
            largest: network
                .max_difference
                .map(|_| Largest::new(params, network.biases.len())),
        }
    }

    /// Scores one query, on all threads of the rayon pool it is called on.
    ///
    /// # Errors
    /// If the platform provides no randomness.
    ///
    /// # Panics
    /// If the query has another parameter set, or another number of features, than the model.
    pub fn score(&self, query: &Query, key: &NetworkKey) -> Result<Response, EntropyError> {
        assert_eq!(
            (query.format.set, query.bodies.len()),
            (self.params.id, self.features)
        );
        let mut sampler = Sampler::new()?;
        let spectra = projection::query_spectra(&self.params, query);
        let sums = score_units(
            key,
            self.projections.len(),
            |fft, unit| self.projections[unit].apply(&self.params, fft, &spectra, &query.bodies),
            |unit| self.projections[unit].test_polynomial.as_slice(),
            |first, rotated| self.output.sum(&self.params, first, rotated),
        )?;
        let Some(largest) = &self.largest else {
            let biases = &self.output.biases;
            return Ok(finish(&self.params, key, &mut sampler, query, biases, sums, None));
        };
        let Bits { ciphertexts, offsets } = largest.bits(key, &self.output, sums)?;
        let bits = vec![ciphertexts];
        Ok(finish(
            &self.params,
            key,
            &mut sampler,
            query,
            &offsets,
            bits,
            Some(FLOODING),
        ))
    }
}

/// Most units that a thread rotates before it adds them up: more take too much memory.
const MOST_ROTATED: usize = 256;

/// Runs units, on all threads of the rayon pool it is called on: `input` gives the LWE ciphertext
/// of each, which gets a fresh encryption of zero and is switched to the modulus of rotations;
/// `test` gives its test polynomial, and `sum` makes something of those that were rotated, from
/// unit `first` on. Results are in order.
pub(crate) fn score_units<'t, Sum: Send>(
    key: &NetworkKey,
    units: usize,
    input: impl Fn(&mut FourierContext, usize) -> LweCiphertext + Sync,
    test: impl Fn(usize) -> &'t [u64] + Sync,
    sum: impl Fn(usize, &[u64]) -> Sum + Sync,
) -> Result<Vec<Sum>, EntropyError> {
    let params = &key.params;
    let switched = |fft: &mut FourierContext, sampler: &mut Sampler, unit: usize| {
        let mut ciphertext = input(fft, unit);
        key.refresh(fft, sampler, &mut ciphertext);
        ciphertext.modulus_switch(params)
    };
    rotate_units(key, units, switched, test, sum)
}

/// Rotates the test polynomials of units by what `input` gives, on all threads of the rayon pool it
/// is called on. `sum` makes something of those that were rotated, from unit `first` on. Results
/// are in order.
pub(crate) fn rotate_units<'t, Sum: Send>(
    key: &NetworkKey,
    units: usize,
    input: impl Fn(&mut FourierContext, &mut Sampler, usize) -> ModSwitchedLwe + Sync,
    test: impl Fn(usize) -> &'t [u64] + Sync,
    sum: impl Fn(usize, &[u64]) -> Sum + Sync,
) -> Result<Vec<Sum>, EntropyError> {
    let each = units.div_ceil(rayon::current_num_threads());
    let batch = each.div_ceil(each.div_ceil(MOST_ROTATED).max(1)).max(1);
    let starts: Vec<usize> = (0..units).step_by(batch).collect();
    let sums = starts.into_par_iter().map(|first| {
        let batch = first..units.min(first + batch);
        let mut fft = FourierContext::new(key.params.input_polynomial_size);
        let mut sampler = Sampler::new()?;
        let inputs = batch.clone().map(|unit| input(&mut fft, &mut sampler, unit));
        let inputs: Vec<_> = inputs.collect();
        let tests: Vec<&[u64]> = batch.map(&test).collect();
        Ok(sum(first, &key.bootstrap.rotate(&inputs, &tests)))
    });
    sums.collect()
}
