//! Seeds from the platform's CSPRNG, and the masks that are expanded from public seeds.

use crate::wire::WireError;
use tfhe::core_crypto::commons::math::random::{RandomGenerator, Seed};
use tfhe::core_crypto::prelude::DefaultRandomGenerator;

/// The platform's random number generator failed; nothing secret may be made without it.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the platform's random number generator failed: {0}")]
pub struct EntropyError(#[from] getrandom::Error);

/// Bytes of a public mask seed.
pub const SEED_BYTES: usize = 16;

/// Seed of the masks of one blob. Public, and fresh for every blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaskSeed(pub [u8; SEED_BYTES]);

impl MaskSeed {
    /// A fresh seed from the platform's CSPRNG.
    pub fn fresh() -> Result<Self, EntropyError> {
        let mut bytes = [0; SEED_BYTES];
        getrandom::getrandom(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// Splits the seed off the start of a payload.
    pub(crate) fn split_from(payload: &[u8]) -> Result<(Self, &[u8]), WireError> {
        let (seed, rest) = payload
            .split_first_chunk()
            .ok_or(WireError::Truncated(payload.len()))?;
        Ok((Self(*seed), rest))
    }

    /// The seed as tfhe takes it.
    pub fn to_tfhe(self) -> Seed {
        Seed(u128::from_le_bytes(self.0))
    }

    /// Expands the first `coefficients` mask coefficients.
    pub fn expand(self, coefficients: usize) -> Vec<u64> {
        let mut masks = vec![0; coefficients];
        self.stream().fill(&mut masks);
        masks
    }

    /// All mask coefficients, piece by piece.
    pub fn stream(self) -> MaskStream {
        MaskStream(RandomGenerator::new(self.to_tfhe()))
    }
}

/// The mask coefficients of one seed, in order: the same stream that tfhe's seeded encryption of GLWE
/// ciphertexts uses, polynomial after polynomial.
pub struct MaskStream(RandomGenerator<DefaultRandomGenerator>);

impl MaskStream {
    /// The next coefficients.
    pub fn fill(&mut self, masks: &mut [u64]) {
        self.0.fill_slice_with_random_uniform(masks);
    }
}

/// A secret 128-bit seed from the platform's CSPRNG, for key bits and noise.
pub fn secret_seed() -> Result<Seed, EntropyError> {
    MaskSeed::fresh().map(MaskSeed::to_tfhe)
}
