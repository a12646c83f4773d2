//! Randomness: seeds from the platform's CSPRNG, masks expanded from public seeds, and secret
//! samples.

use crate::{
    kind::Kind,
    params::{ParameterSetId, TUniformBound},
};
use chacha20::{
    ChaCha20Rng,
    rand_core::{Rng, SeedableRng},
};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Failure of the platform's random number generator. Nothing secret may be generated without it.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the platform's random number generator failed: {0}")]
pub struct EntropyError(#[from] getrandom::Error);

/// Length of a public mask seed, in bytes.
pub const SEED_BYTES: usize = 16;

/// Domain prefix of the hash of a mask seed, so that the stream serves no other purpose.
const MASK_DOMAIN: &[u8] = b"blindscore masks, ChaCha20, format 3";

/// Seed of the masks of one blob. It is public, and fresh for every blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaskSeed(pub [u8; SEED_BYTES]);

impl MaskSeed {
    /// Draws a fresh seed from the platform's CSPRNG.
    pub fn fresh() -> Result<Self, EntropyError> {
        let mut bytes = [0; SEED_BYTES];
        getrandom::getrandom(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// Returns the mask coefficients of a blob of this kind and parameter set. No two kinds and no
    /// two sets share masks, whatever their seeds.
    pub fn stream(self, kind: Kind, set: ParameterSetId) -> MaskStream {
        let key = Sha256::new()
            .chain_update(MASK_DOMAIN)
            .chain_update((kind as u16).to_le_bytes())
            .chain_update(set.0.to_le_bytes())
            .chain_update(self.0)
            .finalize();
        MaskStream(ChaCha20Rng::from_seed(key.into()))
    }
}

/// Mask coefficients of one seed, in order: polynomial after polynomial, ciphertext after
/// ciphertext.
///
/// The stream is the key stream of ChaCha20 as little-endian 64-bit integers. Its key is the
/// SHA-256 hash of a domain string, the blob's kind and parameter set, and the seed. In software,
/// ChaCha20 is several times faster than AES, which matters in WebAssembly.
pub struct MaskStream(ChaCha20Rng);

impl MaskStream {
    /// Fills `masks` with the next coefficients.
    #[inline]
    pub fn fill(&mut self, masks: &mut [u64]) {
        for mask in masks {
            *mask = self.0.next_u64();
        }
    }

    /// Returns the next `count` coefficients.
    pub fn next(&mut self, count: usize) -> Vec<u64> {
        let mut masks = vec![0; count];
        self.fill(&mut masks);
        masks
    }
}

/// Returns `count` uniform numbers that depend only on the seed. For tests and benchmarks, never
/// for secrets.
pub fn reproducible(seed: [u8; SEED_BYTES], count: usize) -> Vec<u64> {
    reproducible_stream(seed).next(count)
}

/// Returns the stream that [`reproducible`] takes its numbers from.
pub fn reproducible_stream(seed: [u8; SEED_BYTES]) -> MaskStream {
    let key = Sha256::new()
        .chain_update(b"blindscore, reproducible numbers")
        .chain_update(seed)
        .finalize();
    MaskStream(ChaCha20Rng::from_seed(key.into()))
}

/// Length of a sampler's seed, in bytes.
pub const SAMPLER_SEED_BYTES: usize = 32;

/// CSPRNG (ChaCha20) for secrets, seeded by the platform. Every key, query and response gets its
/// own, so that nothing about one helps with another. The state is wiped on drop, and boxed so that
/// moves of the value leave no copies behind.
pub struct Sampler(Box<ChaCha20Rng>);

impl Sampler {
    /// Creates a sampler with a 256-bit seed from the platform's CSPRNG.
    pub fn new() -> Result<Self, EntropyError> {
        let mut seed = Zeroizing::new([0; SAMPLER_SEED_BYTES]);
        getrandom::getrandom(seed.as_mut_slice())?;
        Ok(Self::from_seed(&seed))
    }

    /// Creates a sampler with a given seed, for known-answer tests: whoever knows the seed knows
    /// every secret made with it.
    pub fn from_seed(seed: &[u8; SAMPLER_SEED_BYTES]) -> Self {
        Self(Box::new(ChaCha20Rng::from_seed(*seed)))
    }

    /// Fills `out` with uniform bits.
    pub fn fill_binary(&mut self, out: &mut [u64]) {
        for chunk in out.chunks_mut(u64::BITS as usize) {
            let bits = self.0.next_u64();
            for (index, bit) in chunk.iter_mut().enumerate() {
                *bit = bits >> index & 1;
            }
        }
    }

    /// Adds independent noise to each element of `out`.
    #[inline]
    pub fn add_noise(&mut self, out: &mut [u64], bound: TUniformBound) {
        if bound.random_bits() <= u32::BITS {
            // Half of the key stream suffices, and key generation spends much of its time on noise.
            for value in out {
                *value = value.wrapping_add(fold(u64::from(self.0.next_u32()), bound));
            }
        } else {
            for value in out {
                *value = value.wrapping_add(self.noise(bound));
            }
        }
    }

    /// Returns one noise sample.
    pub fn noise(&mut self, bound: TUniformBound) -> u64 {
        fold(self.0.next_u64(), bound)
    }
}

/// Returns a TUniform(b) sample, given uniform bits in the lowest [`TUniformBound::random_bits`]
/// bits of `random`: the upper `b + 1` of them, rounded up by the lowest one, minus `2^b`, in two's
/// complement.
#[inline]
fn fold(random: u64, bound: TUniformBound) -> u64 {
    let bits = random & ((1 << bound.random_bits()) - 1);
    ((bits >> 1) + (bits & 1)).wrapping_sub(1 << bound.log2())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_what_they_always_were() {
        // Stored keys depend on these values. OpenSSL's SHA-256 and ChaCha20 give the same ones.
        let masks = MaskSeed(*b"0123456789abcdef")
            .stream(Kind::Query, ParameterSetId(5))
            .next(3);
        assert_eq!(
            masks,
            [12074391878829798551, 13567985902755499058, 120558704276657154]
        );
    }

    #[test]
    fn every_kind_and_every_set_has_masks_of_its_own() {
        let mut first = Vec::new();
        for kind in [Kind::EvaluationKey, Kind::Query, Kind::Response, Kind::SecretKey] {
            for set in [1, 5, 6, 7, 256] {
                first.extend(MaskSeed([1; 16]).stream(kind, ParameterSetId(set)).next(1));
            }
        }
        let count = first.len();
        first.sort_unstable();
        first.dedup();
        assert_eq!(first.len(), count);
    }

    #[test]
    fn fold_gives_tuniform_exactly() {
        let bound = TUniformBound::new(2);
        let mut counts = [0; 9];
        for random in 0..16 {
            counts[(fold(random, bound) as i64 + 4) as usize] += 1;
        }
        assert_eq!(counts, [1, 2, 2, 2, 2, 2, 2, 2, 1]);
    }

    /// Covers the widths at which the sampler takes its random bits differently, and the bounds in
    /// use.
    #[test]
    fn noise_has_the_stated_mean_and_deviation_at_every_bound() {
        const SAMPLES: usize = 100_000;
        let mut sampler = Sampler::new().unwrap();
        for log2 in [1, 2, 17, 29, 30, 31, 32, 45, 48, 50, 60, 61] {
            let bound = TUniformBound::new(log2);
            let mut many = vec![0u64; SAMPLES];
            sampler.add_noise(&mut many, bound);
            let single = (0..SAMPLES).map(|_| sampler.noise(bound)).collect();
            for noise in [many, single] {
                let unit = bound.std_dev().0 * 2f64.powi(64);
                let noise = noise.iter().map(|&v| v as i64 as f64 / unit);
                let mean = noise.clone().sum::<f64>() / SAMPLES as f64;
                let deviation = (noise.map(|v| (v - mean).powi(2)).sum::<f64>() / SAMPLES as f64).sqrt();
                // The tolerances are at least five standard deviations of the estimates.
                assert!(mean.abs() < 0.02, "TUniform({log2}): mean {mean} deviations");
                assert!(
                    (deviation - 1.0).abs() < 0.02,
                    "TUniform({log2}): {deviation} of the deviation"
                );
            }
        }
    }

    #[test]
    fn bits_are_balanced() {
        let mut bits = vec![0; 100_000];
        Sampler::new().unwrap().fill_binary(&mut bits);
        let ones: u64 = bits.iter().sum();
        assert!((49_000..51_000).contains(&ones), "{ones}");
    }
}
