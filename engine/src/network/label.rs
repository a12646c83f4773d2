//! The class with the largest score, found under encryption, so that no score leaves the server.
//!
//! 1. *Pairs*: classes 0 and 1, 2 and 3, and so on are compared. The phase is the difference of
//!    their scores, and a blind rotation looks up its absolute value, which gives the larger score:
//!    `max(a, b) = (a + b) / 2 + |a - b| / 2`. Read a little before and after the middle, the same
//!    rotation gives a ramp that is the sign of all but small differences. An odd last class is
//!    alone.
//! 2. *Rounds*: the larger score of each pair is compared with that of each other pair. Each takes
//!    a rotation, which looks up a sign.
//! 3. *Bits*: for each pair, its signs are added up, those of rounds twice. The sum is the largest
//!    or the second largest possible if one of its two classes is the label, or between the two if
//!    these are close, and far below otherwise. A rotation, read at two coefficients, tells whether
//!    the sum is above the one threshold and the other: there is a bit for each class.
//!
//! Ten classes take 20 rotations, where a comparison of all classes would take 55. One score, or
//! two, need a single comparison, whose sign is the bit.
//!
//! A ciphertext can't be divided by two. So scores have half of the scale of differences: the sum
//! of two is their mean on the latter scale.

use super::{
    IntegerNetwork, LweCiphertext, ModSwitchedLwe, NetworkKey,
    output::{OutputLayer, Partial},
    rotate_units,
};
use crate::{bits::BIT, fourier::FourierContext};
use blindscore_protocol::{
    noise::NetworkNoise,
    params::NetworkParams,
    random::{EntropyError, Sampler},
};

/// Most classes: the nearest sum of signs is then four standard deviations from a threshold.
pub const MOST_CLASSES: usize = 12;
/// Largest difference that fits, over the largest one that was seen. A larger one wraps around.
const HEADROOM: f64 = 1.25;
/// Slope of the ramp that is the sign of a pair. The steeper, the less the last rotation's noise
/// matters to pairs that are close.
const STEEPNESS: i64 = 2;
/// Torus elements of the whole torus.
const TORUS: f64 = 18_446_744_073_709_551_616.0;

/// Returns the torus element of one unit of a score. `difference` is the largest difference of two
/// scores that was seen, or the largest score if there is only one.
pub(super) fn amplitude(difference: f64) -> f64 {
    (TORUS / (4.0 * HEADROOM * difference)).floor()
}

/// Returns the largest variance of the error of a comparison, as a part of the torus squared.
///
/// A pair's difference is twice that of two scores. The larger score has the error of twice one of
/// them, and half of that of the pair's key switch and modulus switch.
pub fn compared(params: &NetworkParams, network: &IntegerNetwork) -> f64 {
    let mut norms: Vec<f64> = (0..network.biases.len())
        .map(|output| network.squared_norm(output))
        .collect();
    norms.sort_by(|one, other| other.total_cmp(one));
    let scores = 4.0 * NetworkNoise::rotation(params) * norms.iter().take(2).sum::<f64>();
    let own = NetworkNoise::key_switch(params)
        + NetworkNoise::input_rerandomisation(params)
        + NetworkNoise::modulus_switch(params);
    match norms.len() {
        0..=2 => scores + own,
        _ => scores + own + 2.0 * (own / 4.0 + NetworkNoise::rotation(params)),
    }
}

/// Finds the largest of the scores of a network.
pub(super) struct Largest {
    params: NetworkParams,
    scale: Scale,
    /// Test polynomial of an eighth of the torus, less half of the absolute value.
    pub(super) half: Vec<u64>,
    /// Test polynomial of the sign of a round.
    round: Vec<u64>,
    /// Test polynomial of a bit.
    bit: Vec<u64>,
}

/// Scale of the sums of signs, in parts of the torus.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    /// Rounds that each pair takes part in.
    pub(super) rounds: usize,
    /// How far from the middle absolute values are read for the sign of a pair, in steps.
    steps: usize,
    /// The sign of a pair, positive or negative.
    pub(super) unit: f64,
}

impl Scale {
    /// The largest sum is `2 rounds + 1` units, the smallest one the same below zero. Between the
    /// upper threshold and any sum, and between sums and the end of the half torus, there is at
    /// least a unit.
    pub(super) fn of(params: &NetworkParams, classes: usize) -> Self {
        let rounds = classes.div_ceil(2).saturating_sub(1);
        let step = 0.5f64.powi(params.rotation_log2() as i32);
        let steps = (1.0 / ((8 * rounds + 4) as f64 * STEEPNESS as f64 * step)).floor();
        Self {
            rounds,
            steps: steps as usize,
            unit: STEEPNESS as f64 * steps * step,
        }
    }

    /// Returns the threshold between a pair's classes.
    pub(super) fn upper(self) -> f64 {
        2.0 * self.rounds as f64 * self.unit
    }

    /// Returns how far below that threshold the other one is, between the pair and all others.
    pub(super) fn below(self) -> f64 {
        2.0 * self.unit
    }
}

/// What is known of a pair of classes.
pub(super) struct Pair {
    /// The larger score, on the scale of differences.
    pub(super) score: LweCiphertext,
    /// Sign of the difference: positive if the first class has the larger score.
    pub(super) sign: LweCiphertext,
}

/// Bits of all classes: each a GLWE ciphertext with the bit at coefficient 0, and what has to be
/// added to its phase.
pub(super) struct Bits {
    pub(super) ciphertexts: Partial,
    pub(super) offsets: Vec<u64>,
}

impl Largest {
    pub(super) fn new(params: NetworkParams, classes: usize) -> Self {
        let size = params.polynomial_size.0;
        let scale = Scale::of(&params, classes);
        let half = |place: usize| {
            let phase = (place as f64 + 0.5) / (2 * size) as f64;
            torus(0.125 - phase / 2.0)
        };
        Self {
            params,
            scale,
            half: (0..size).map(half).collect(),
            round: vec![torus(2.0 * scale.unit); size],
            bit: vec![torus(BIT); size],
        }
    }

    /// Returns the number of blind rotations for so many classes.
    pub(super) fn rotations(classes: usize) -> usize {
        if classes <= 2 {
            return 1;
        }
        let pairs = classes.div_ceil(2);
        classes / 2 + pairs * (pairs - 1) / 2 + pairs
    }

    /// Finds the label. `sums` are parts of the scores, to be added up with the biases of `output`.
    pub(super) fn bits(
        &self,
        key: &NetworkKey,
        output: &OutputLayer,
        sums: Vec<Partial>,
    ) -> Result<Bits, EntropyError> {
        let scores = self.scores(output, sums);
        let difference = match scores.as_slice() {
            [only] => only.clone(),
            [one, other] => one.clone() - other,
            _ => {
                let pairs = self.pairs(key, &scores)?;
                return self.decide(key, self.rounds(key, pairs)?, scores.len());
            }
        };
        let mut bits = self.rotated(key, &[difference.scaled(2)], &self.bit)?;
        if let ([_, _], [bit]) = (scores.as_slice(), bits.as_slice()) {
            let other = bit.iter().map(|x| x.wrapping_neg()).collect();
            bits.push(other);
        }
        Ok(Bits {
            offsets: vec![0; bits.len()],
            ciphertexts: Partial(bits),
        })
    }

    fn scores(&self, output: &OutputLayer, sums: Vec<Partial>) -> Vec<LweCiphertext> {
        let mask = vec![0; self.params.output_lwe_dimension().0];
        let bias = |body: &u64| LweCiphertext::new(mask.clone(), *body);
        let biases: Vec<LweCiphertext> = output.biases.iter().map(bias).collect();
        sums.into_iter().fold(biases, |scores, Partial(parts)| {
            let pairs = scores.into_iter().zip(&parts);
            pairs.map(|(score, part)| score + &self.first(part)).collect()
        })
    }

    /// Compares the two scores of each pair.
    pub(super) fn pairs(
        &self,
        key: &NetworkKey,
        scores: &[LweCiphertext],
    ) -> Result<Vec<Pair>, EntropyError> {
        let differences = scores.chunks_exact(2);
        let differences: Vec<LweCiphertext> = differences
            .map(|pair| (pair[0].clone() - &pair[1]).scaled(2))
            .collect();
        let mut halves = self.rotated(key, &differences, &self.half)?.into_iter();
        let pair = |classes: &[LweCiphertext]| match (classes, halves.next()) {
            ([one, other], Some(half)) => {
                let mut score = one.clone() + other - &self.first(&half);
                score.body = score.body.wrapping_add(torus(0.125));
                Pair {
                    score,
                    sign: self.ramp(&half),
                }
            }
            // A class without another wins.
            _ => {
                let mask = vec![0; self.params.output_lwe_dimension().0];
                Pair {
                    score: classes[0].clone().scaled(2),
                    sign: LweCiphertext::new(mask, torus(self.scale.unit)),
                }
            }
        };
        Ok(scores.chunks(2).map(pair).collect())
    }

    /// Returns the difference of an absolute value before and after the middle: a ramp that ends at
    /// a unit on both sides.
    fn ramp(&self, half: &[u64]) -> LweCiphertext {
        let (size, steps) = (self.params.polynomial_size.0, self.scale.steps);
        let after = self.first(&moved(half, size, steps));
        // Coefficients before the first one are the last ones, negated.
        let before = self.first(&moved(half, size, size - steps));
        (before + &after).scaled(-STEEPNESS)
    }

    /// Compares each pair with each other pair. Returns the sum of signs of each.
    pub(super) fn rounds(
        &self,
        key: &NetworkKey,
        pairs: Vec<Pair>,
    ) -> Result<Vec<LweCiphertext>, EntropyError> {
        let rounds: Vec<(usize, usize)> = (0..pairs.len())
            .flat_map(|one| (one + 1..pairs.len()).map(move |other| (one, other)))
            .collect();
        let differences: Vec<LweCiphertext> = rounds
            .iter()
            .map(|&(one, other)| pairs[one].score.clone() - &pairs[other].score)
            .collect();
        let signs = self.rotated(key, &differences, &self.round)?;
        let mut sums: Vec<LweCiphertext> = pairs.into_iter().map(|pair| pair.sign).collect();
        for (&(one, other), sign) in rounds.iter().zip(&signs) {
            let sign = self.first(sign);
            sums[one] = sums[one].clone() + &sign;
            sums[other] = sums[other].clone() - &sign;
        }
        Ok(sums)
    }

    /// Compares the sums of signs with the thresholds.
    pub(super) fn decide(
        &self,
        key: &NetworkKey,
        mut sums: Vec<LweCiphertext>,
        classes: usize,
    ) -> Result<Bits, EntropyError> {
        for sum in &mut sums {
            sum.body = sum.body.wrapping_sub(torus(self.scale.upper()));
        }
        let steps = (self.scale.below() * f64::from(1u32 << self.params.rotation_log2())).round() as usize;
        let mut bits = Vec::with_capacity(classes);
        let mut offsets = Vec::with_capacity(classes);
        for upper in self.rotated(key, &sums, &self.bit)? {
            let lower = moved(&upper, self.params.polynomial_size.0, steps);
            // The difference is two bits if the sum is between the thresholds, and nothing
            // otherwise.
            let between = lower
                .iter()
                .zip(&upper)
                .map(|(lower, upper)| lower.wrapping_sub(*upper));
            let between = between.collect();
            bits.extend([upper, between]);
            offsets.extend([0, torus(BIT).wrapping_neg()]);
        }
        bits.truncate(classes);
        offsets.truncate(classes);
        Ok(Bits {
            ciphertexts: Partial(bits),
            offsets,
        })
    }

    /// Rotates a test polynomial by each of some phases under the output secret. Returns GLWE
    /// ciphertexts of `(k + 1) N` coefficients.
    fn rotated(
        &self,
        key: &NetworkKey,
        phases: &[LweCiphertext],
        test: &[u64],
    ) -> Result<Vec<Vec<u64>>, EntropyError> {
        let len = self.params.output_lwe_dimension().0 + self.params.polynomial_size.0;
        let rotated = rotate_units(
            key,
            phases.len(),
            |fft, sampler, place| self.switched(key, fft, sampler, &phases[place]),
            |_| test,
            |_, rotated| rotated.chunks_exact(len).map(<[u64]>::to_vec).collect::<Vec<_>>(),
        )?;
        Ok(rotated.into_iter().flatten().collect())
    }

    /// Switches a phase to the input secret, adds a fresh encryption of zero, and switches the
    /// modulus. `fft` is that of the input ring.
    pub(super) fn switched(
        &self,
        key: &NetworkKey,
        fft: &mut FourierContext,
        sampler: &mut Sampler,
        phase: &LweCiphertext,
    ) -> ModSwitchedLwe {
        // Entries of test polynomials stand for the middles of steps, and phases round to their
        // ends.
        let half_step = 1 << (u64::BITS - self.params.rotation_log2() - 1);
        let mut switched = key.switched(fft, phase);
        switched.body = switched.body.wrapping_sub(half_step);
        key.refresh(fft, sampler, &mut switched);
        switched.modulus_switch(&self.params)
    }

    /// Returns coefficient 0 of a GLWE ciphertext.
    fn first(&self, ciphertext: &[u64]) -> LweCiphertext {
        LweCiphertext::extract(&self.params, ciphertext)
    }
}

/// Returns a GLWE ciphertext with the coefficient at `steps` moved to 0, with `X^N = -1`.
fn moved(ciphertext: &[u64], size: usize, steps: usize) -> Vec<u64> {
    let mut moved = ciphertext.to_vec();
    for polynomial in moved.chunks_exact_mut(size) {
        polynomial.rotate_left(steps);
        let end = size - steps;
        polynomial[end..].iter_mut().for_each(|x| *x = x.wrapping_neg());
    }
    moved
}

/// Returns a part of the torus, from -1/2 to 1/2, as a torus element.
fn torus(part: f64) -> u64 {
    (part * TORUS) as i64 as u64
}
