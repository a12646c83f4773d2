//! Scoring of ensembles of decision trees on encrypted bits.
//!
//! The client encrypts one bit for each threshold of a public grid, `x > t` (a thermometer code),
//! and one for each category. Which tree uses which bit, and what its leaves hold, stays with the
//! server.
//!
//! 1. A *unit* ([`Unit`]) is a function of one level, an integer sum of the bits. Any function of a
//!    single variable is such a sum, so that a level can hold the whole path to a part of a tree:
//!    it is one of the highest if the row takes that path, and a lower one otherwise. The levels of
//!    a part take one half of the torus.
//! 2. One blind rotation looks up the leaf that belongs to the level, or zero if the row is
//!    elsewhere.
//! 3. The [`Cover`] of a tree chooses its parts: as few as have room for their levels.
//! 4. Scores are sums of rotated tables, each with the factor 1 or -1, so that noise adds up
//!    slowly. They are packed and sent as those of networks.

mod answers;
mod cover;
mod local;
mod pruned;
#[cfg(test)]
mod tests;
mod tree;
mod unit;

use crate::network::{
    NetworkKey,
    output::{Partial, finish},
    score_units,
};
use blindscore_protocol::{
    noise::NetworkNoise,
    params::NetworkParams,
    random::{EntropyError, Sampler},
    wire::{Query, Response},
};
pub use cover::Cover;
pub use tree::{Forest, ForestError, ForestNode, ForestTree, ForestVariable};
use unit::QueryMasks;
pub use unit::Unit;

/// Levels for which half of the torus has room.
pub const LEVELS: i64 = 16;
/// Smallest distance of a level from the next decision, in standard deviations of its noise.
pub const LEAST_MARGIN: f64 = 6.5;
/// Share of the torus, on either side of zero, that the largest score takes.
const SCORE_SPAN: f64 = 0.45;

/// An ensemble of trees, prepared for scoring.
pub struct ForestEngine {
    params: NetworkParams,
    features: usize,
    units: Vec<Unit>,
    /// Test polynomials of the units.
    tables: Vec<Vec<u64>>,
    /// Bases of the scores as torus elements.
    bases: Vec<u64>,
}

impl ForestEngine {
    /// Returns the torus element that encodes a bit: one level.
    pub const fn input_step() -> u64 {
        (1 << 63) / LEVELS as u64
    }

    /// Prepares the units of a cover.
    pub fn new(params: NetworkParams, features: usize, cover: &Cover) -> Self {
        let amplitude = cover.amplitude();
        Self {
            params,
            features,
            tables: cover
                .units
                .iter()
                .map(|unit| unit.test_polynomial(params.polynomial_size.0, amplitude))
                .collect(),
            units: cover.units.clone(),
            // Bases are left to the descriptor's offsets: clients add them.
            bases: vec![0; cover.bases.len()],
        }
    }

    /// Returns the number of blind rotations that a query takes.
    pub fn rotations(&self) -> usize {
        self.units.len()
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
        let masks = QueryMasks::expand(&self.params, query);
        let sums = score_units(
            key,
            self.units.len(),
            |_, unit| self.units[unit].apply(&self.params, &masks, &query.bodies),
            |unit| self.tables[unit].as_slice(),
            |first, rotated| self.sum(first, rotated),
        )?;
        Ok(finish(
            &self.params,
            key,
            &mut sampler,
            query,
            &self.bases,
            sums,
            None,
        ))
    }

    /// Adds up the rotated tables of units `first` and up.
    fn sum(&self, first: usize, rotated: &[u64]) -> Partial {
        let len = self.params.output_lwe_dimension().0 + self.params.polynomial_size.0;
        let mut sums = vec![vec![0u64; len]; self.bases.len()];
        for (ciphertext, unit) in rotated.chunks_exact(len).zip(&self.units[first..]) {
            for &(output, negated) in &unit.outputs {
                let pairs = sums[output].iter_mut().zip(ciphertext);
                if negated {
                    pairs.for_each(|(sum, part)| *sum = sum.wrapping_sub(*part));
                } else {
                    pairs.for_each(|(sum, part)| *sum = sum.wrapping_add(*part));
                }
            }
        }
        Partial(sums)
    }
}

/// Returns the largest standard deviation of the noise of a score, in units of the score.
pub fn score_error(params: &NetworkParams, cover: &Cover) -> f64 {
    let terms = |output: usize| {
        let of = |unit: &&Unit| unit.outputs.iter().any(|(found, _)| *found == output);
        cover.units.iter().filter(of).count()
    };
    let most = (0..cover.bases.len()).map(terms).max().unwrap_or(0);
    NetworkNoise::score(params, most as f64).sqrt() * 2f64.powi(64) / cover.amplitude()
}
