//! The server's own randomness.

use blindscore_protocol::{params::TUniformBound, random::EntropyError};
use rand_chacha::{
    ChaCha20Rng,
    rand_core::{RngCore, SeedableRng},
};

/// A CSPRNG (ChaCha20), seeded by the platform for each request, so that nothing about one response helps with another.
pub(super) struct Sampler(ChaCha20Rng);

impl Sampler {
    pub(super) fn new() -> Result<Self, EntropyError> {
        let mut seed = <ChaCha20Rng as SeedableRng>::Seed::default();
        getrandom::getrandom(&mut seed)?;
        Ok(Self(ChaCha20Rng::from_seed(seed)))
    }

    /// Fills `out` with uniform bits.
    pub(super) fn fill_binary(&mut self, out: &mut [u64]) {
        for chunk in out.chunks_mut(u64::BITS as usize) {
            let bits = self.0.next_u64();
            for (index, bit) in chunk.iter_mut().enumerate() {
                *bit = bits >> index & 1;
            }
        }
    }

    /// Adds independent noise to each of `out`; the bound must be below 2^30.
    pub(super) fn add_noise(&mut self, out: &mut [u64], bound: TUniformBound) {
        debug_assert!(bound.0 < 30);
        for value in out {
            *value = value.wrapping_add(fold(u64::from(self.0.next_u32()), bound));
        }
    }

    /// One noise sample.
    pub(super) fn noise(&mut self, bound: TUniformBound) -> u64 {
        fold(self.0.next_u64(), bound)
    }
}

/// TUniform(b) from at least `b + 2` uniform bits: `b + 1` bits rounded up by the lowest one, less `2^b`, in two's complement.
fn fold(random: u64, TUniformBound(bound): TUniformBound) -> u64 {
    let bits = random & ((1 << (bound + 2)) - 1);
    ((bits >> 1) + (bits & 1)).wrapping_sub(1 << bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fold_gives_tuniform_exactly() {
        let bound = TUniformBound(2);
        let mut counts = [0; 9];
        for random in 0..16 {
            counts[(fold(random, bound) as i64 + 4) as usize] += 1;
        }
        assert_eq!(counts, [1, 2, 2, 2, 2, 2, 2, 2, 1]);
    }

    #[test]
    fn noise_has_the_predicted_deviation() {
        let mut sampler = Sampler::new().unwrap();
        let bound = TUniformBound(17);
        let mut noise = vec![0u64; 100_000];
        sampler.add_noise(&mut noise, bound);
        let mean_square = noise.iter().map(|&v| (v as i64 as f64).powi(2)).sum::<f64>() / noise.len() as f64;
        let ratio = mean_square.sqrt() / 2f64.powi(64) / bound.std_dev().0;
        assert!((ratio - 1.0).abs() < 0.02, "{ratio}");
    }

    #[test]
    fn bits_are_balanced() {
        let mut bits = vec![0; 100_000];
        Sampler::new().unwrap().fill_binary(&mut bits);
        let ones: u64 = bits.iter().sum();
        assert!((49_000..51_000).contains(&ones), "{ones}");
    }
}
