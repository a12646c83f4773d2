//! Keys and queries from given seeds, for known-answer tests. Whoever knows the seeds knows every
//! secret made with them, so no build that ships contains this module.

use crate::{ClientError, ClientKey, EvaluationKeyGeneration, glwe::Randomness};
use blindscore_protocol::{
    descriptor::CheckedDescriptor,
    params::ParameterSet,
    random::{MaskSeed, SAMPLER_SEED_BYTES, Sampler},
};

/// Seeds of all the randomness in one blob.
#[derive(Clone, Copy, Debug)]
pub struct Seeds {
    /// Seed of the masks.
    pub masks: MaskSeed,
    /// Seed of noise and secrets.
    pub sampler: [u8; SAMPLER_SEED_BYTES],
}

impl From<Seeds> for Randomness {
    fn from(seeds: Seeds) -> Self {
        Self {
            seed: seeds.masks,
            sampler: Sampler::from_seed(&seeds.sampler),
        }
    }
}

impl ClientKey {
    /// Returns the secret key of a sampler's seed, without an evaluation key.
    pub fn secret_from_seed(set: ParameterSet, sampler: &[u8; SAMPLER_SEED_BYTES]) -> Self {
        Self::secret_from(set, &mut Sampler::from_seed(sampler))
    }

    /// Starts the evaluation key of given seeds.
    pub fn start_evaluation_key_from(&self, seeds: Seeds) -> EvaluationKeyGeneration {
        EvaluationKeyGeneration::new(self, seeds.into())
    }

    /// Returns the query of given seeds.
    ///
    /// # Errors
    /// Same as [`ClientKey::encrypt`].
    pub fn encrypt_from(
        &self,
        model: &CheckedDescriptor,
        features: &[f64],
        seeds: Seeds,
    ) -> Result<Vec<u8>, ClientError> {
        self.encrypt_with(model, features, seeds.into())
    }
}
