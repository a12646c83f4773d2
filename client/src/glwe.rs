//! GLWE encryption with masks from a public seed.

use crate::negacyclic::BinaryProducts;
use blindscore_protocol::{
    params::TUniformBound,
    random::{EntropyError, MaskSeed, MaskStream, Sampler},
};
use tfhe::core_crypto::prelude::{GlweDimension, PolynomialSize};
use zeroize::Zeroizing;

/// GLWE secret: `k` polynomials of `N` coefficients.
#[derive(Clone, Copy)]
pub(crate) struct GlweSecret<'a> {
    pub(crate) dimension: GlweDimension,
    pub(crate) size: PolynomialSize,
    /// The `k N` coefficients, 0 or 1.
    pub(crate) bits: &'a [u64],
}

/// Randomness of one blob.
pub(crate) struct Randomness {
    /// Public seed of the masks.
    pub(crate) seed: MaskSeed,
    /// Source of noise and secrets.
    pub(crate) sampler: Sampler,
}

impl Randomness {
    /// Draws randomness from the platform's CSPRNG.
    pub(crate) fn fresh() -> Result<Self, EntropyError> {
        Ok(Self {
            seed: MaskSeed::fresh()?,
            sampler: Sampler::new()?,
        })
    }
}

/// Encrypts one polynomial after another, with masks from one public seed, as GLWE ciphertexts
/// `(a, sum_i a_i s_i + m + e)`, of which only the bodies are kept.
pub(crate) struct SeededEncryption {
    products: BinaryProducts,
    masks: MaskStream,
    mask: Vec<u64>,
    sampler: Sampler,
    size: usize,
}

impl SeededEncryption {
    /// Creates an encryption that continues `masks` and `sampler` from their current state.
    pub(crate) fn new(key: GlweSecret<'_>, masks: MaskStream, sampler: Sampler) -> Self {
        Self {
            products: BinaryProducts::new(key.bits, key.size.0),
            masks,
            mask: vec![0; key.dimension.0 * key.size.0],
            sampler,
            size: key.size.0,
        }
    }

    /// Continues under another secret.
    pub(crate) fn under(self, key: GlweSecret<'_>) -> Self {
        Self::new(key, self.masks, self.sampler)
    }

    /// Encrypts polynomials of `N` messages each, and appends the bodies to `bodies`.
    pub(crate) fn encrypt(&mut self, bodies: &mut Vec<u64>, messages: &[u64], noise: TUniformBound) {
        let mut body = Zeroizing::new(vec![0; self.size]);
        for message in messages.chunks_exact(self.size) {
            body.copy_from_slice(message);
            self.sampler.add_noise(&mut body, noise);
            self.masks.fill(&mut self.mask);
            self.products.add_to(&mut body, &self.mask);
            bodies.extend_from_slice(&body);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use blindscore_protocol::{params::ParameterSetId, random::reproducible, wire::Kind};
    use tfhe::core_crypto::prelude::*;

    #[test]
    fn tfhe_decrypts_what_is_encrypted() {
        for (k, size, noise) in [(11, 64, 50), (4, 512, 17), (1, 2048, 17)] {
            let secret: Vec<u64> = reproducible([1; 16], k * size).iter().map(|x| x >> 63).collect();
            let key = GlweSecret {
                dimension: GlweDimension(k),
                size: PolynomialSize(size),
                bits: &secret,
            };
            let masks = || MaskSeed([2; 16]).stream(Kind::Query, ParameterSetId(0));
            let noise = TUniformBound::new(noise);
            // Enough samples for the mean of the noise to be within a fifth of the tolerance.
            let messages = reproducible([3; 16], (1 << 16) / size * size);
            let mut bodies = Vec::new();
            SeededEncryption::new(key, masks(), Sampler::new().unwrap()).encrypt(
                &mut bodies,
                &messages,
                noise,
            );
            let tfhe_key = GlweSecretKey::from_container(secret.as_slice(), key.size);
            let mut masks = masks();
            let mut errors = Vec::new();
            for (body, message) in bodies.chunks_exact(size).zip(messages.chunks_exact(size)) {
                let mut ciphertext = vec![0; k * size];
                masks.fill(&mut ciphertext);
                ciphertext.extend_from_slice(body);
                let ciphertext =
                    GlweCiphertext::from_container(ciphertext, key.size, CiphertextModulus::new_native());
                let mut plain = PlaintextList::new(0, PlaintextCount(size));
                decrypt_glwe_ciphertext(&tfhe_key, &ciphertext, &mut plain);
                for (plain, message) in plain.as_ref().iter().zip(message) {
                    errors.push(plain.wrapping_sub(*message) as i64 as f64 / 2f64.powi(64));
                }
            }
            let count = errors.len() as f64;
            let mean = errors.iter().sum::<f64>() / count;
            let deviation = (errors.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / count).sqrt();
            let (mean, ratio) = (mean / noise.std_dev().0, deviation / noise.std_dev().0);
            assert!(mean.abs() < 0.02, "k = {k}: mean {mean} deviations");
            assert!((ratio - 1.0).abs() < 0.02, "k = {k}: {ratio} of the deviation");
        }
    }
}
