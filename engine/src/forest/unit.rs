//! Units: one level, one table, one blind rotation.

use super::{LEAST_MARGIN, LEVELS};
use crate::network::LweCiphertext;
use blindscore_protocol::{noise::NetworkNoise, params::NetworkParams, wire::Query};

/// A function of one level: the sum of some bits, each times a small integer, and a bias.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    /// Bits with a weight other than 0, rising, and their weights in levels.
    pub weights: Vec<(usize, i64)>,
    /// Level of a row whose bits are all 0.
    pub bias: i64,
    /// Value at each level, from 0.
    pub table: Vec<f64>,
    /// Scores that the value is added to, or subtracted from if `true`.
    pub outputs: Vec<(usize, bool)>,
}

impl Unit {
    /// Returns how many steps of the input apart its levels are: with few levels, they are further
    /// apart than one.
    fn spacing(&self) -> i64 {
        LEVELS / (self.table.len() as i64).max(1)
    }

    /// Returns the distance from a level to the middle between two, as a share of the torus.
    fn half_spacing(&self) -> f64 {
        self.spacing() as f64 / (4 * LEVELS) as f64
    }

    /// Returns how many standard deviations of the noise a level is away from the next decision, if
    /// its value is read `aside` from the middle, a share of the torus.
    pub fn margin(&self, params: &NetworkParams, aside: f64) -> f64 {
        let weight = |(_, weight): &(usize, i64)| ((weight * self.spacing()) as f64).powi(2);
        let norm = self.weights.iter().map(weight).sum();
        (self.half_spacing() - aside) / NetworkNoise::projection(params, norm).sqrt()
    }

    /// Returns whether its levels are far enough apart, and not too many.
    pub(super) fn is_safe(&self, params: &NetworkParams) -> bool {
        self.table.len() as i64 <= LEVELS && self.margin(params, 0.0) >= LEAST_MARGIN
    }

    /// Returns the level of a row.
    pub fn level(&self, bits: &[i64]) -> i64 {
        let terms = self.weights.iter().map(|(bit, weight)| bits[*bit] * weight);
        self.bias + terms.sum::<i64>()
    }

    /// Returns the position of level 0 on the torus: the levels, each with as much room on both
    /// sides, are in the middle of half of it.
    fn start(&self) -> u64 {
        let taken = self.spacing() as u64 * self.table.len() as u64;
        let unit = (1u64 << 63) / LEVELS as u64;
        (LEVELS as u64 - taken) * (unit / 2) + self.spacing() as u64 * (unit / 2)
    }

    /// Returns the value of the level that a position on half of the torus is nearest to.
    fn nearest(&self, position: u64) -> f64 {
        let width = self.spacing() as u64 * ((1u64 << 63) / LEVELS as u64);
        let first = self.start() - width / 2;
        let level = position.saturating_sub(first) / width;
        self.table[(level as usize).min(self.table.len() - 1)]
    }

    /// Returns the test polynomial of degree `n`: the value of the level that each phase is nearest
    /// to.
    pub(super) fn test_polynomial(&self, n: usize, amplitude: f64) -> Vec<u64> {
        let step = (1u64 << 63) / n as u64;
        let value = |index: u64| (self.nearest(index * step) * amplitude).round() as i64 as u64;
        (0..n as u64).map(value).collect()
    }

    /// Returns the values on half of the torus: of `n`, entry `i` is that at the phase
    /// `(i + 1/2) / 2n`.
    pub fn values(&self, n: usize) -> Vec<f64> {
        let step = (1u64 << 63) / n as u64;
        (0..n as u64)
            .map(|index| self.nearest(index * step + step / 2))
            .collect()
    }

    /// Returns the level's phase as a linear function of the bits: weights, in units of
    /// [`ForestEngine::input_step`](super::ForestEngine::input_step), and the summand, a torus
    /// element.
    pub fn phase(&self) -> (impl Iterator<Item = (usize, i64)> + '_, u64) {
        let spacing = self.spacing();
        let bias = self.bias.wrapping_mul(spacing) as u64;
        let offset = self
            .start()
            .wrapping_add(bias.wrapping_mul((1u64 << 63) / LEVELS as u64));
        let weights = self.weights.iter();
        (
            weights.map(move |&(bit, weight)| (bit, weight.wrapping_mul(spacing))),
            offset,
        )
    }

    /// Returns the LWE ciphertext of the level's position under the input secret, exactly as the
    /// query's noise has it.
    pub(super) fn apply(&self, params: &NetworkParams, query: &QueryMasks, bodies: &[u64]) -> LweCiphertext {
        let mut mask = vec![0u64; params.input_lwe_dimension().0];
        let (weights, mut body) = self.phase();
        for (bit, weight) in weights {
            let weight = weight as u64;
            body = body.wrapping_add(bodies[bit].wrapping_mul(weight));
            query.add_extracted(bit, weight, &mut mask);
        }
        LweCiphertext { mask, body }
    }
}

/// Masks of a query's ciphertexts, expanded.
pub(super) struct QueryMasks {
    /// `k` polynomials for each ciphertext.
    coefficients: Vec<u64>,
    dimension: usize,
    size: usize,
}

impl QueryMasks {
    pub(super) fn expand(params: &NetworkParams, query: &Query) -> Self {
        let dimension = params.input_lwe_dimension().0;
        let count = params.query_ciphertexts(query.bodies.len());
        Self {
            coefficients: query.masks().next(dimension * count),
            dimension,
            size: params.input_polynomial_size.0,
        }
    }

    /// Adds the mask of the LWE ciphertext of a bit, times a weight: coefficient `p` of `A s` is
    /// `sum_(t <= p) A_(p-t) s_t - sum_(t > p) A_(N+p-t) s_t`.
    fn add_extracted(&self, bit: usize, weight: u64, mask: &mut [u64]) {
        let (ciphertext, place) = (bit / self.size, bit % self.size);
        let polynomials = &self.coefficients[ciphertext * self.dimension..][..self.dimension];
        let each = polynomials
            .chunks_exact(self.size)
            .zip(mask.chunks_exact_mut(self.size));
        for (polynomial, mask) in each {
            let (low, high) = polynomial.split_at(place + 1);
            let (first, second) = mask.split_at_mut(place + 1);
            for (mask, coefficient) in first.iter_mut().zip(low.iter().rev()) {
                *mask = mask.wrapping_add(coefficient.wrapping_mul(weight));
            }
            for (mask, coefficient) in second.iter_mut().zip(high.iter().rev()) {
                *mask = mask.wrapping_sub(coefficient.wrapping_mul(weight));
            }
        }
    }
}
