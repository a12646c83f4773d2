use blindscore_protocol::{
    params::{TUniformBound, modulus},
    random::{EntropyError, MaskSeed, secret_seed},
};
use tfhe::core_crypto::{
    commons::{
        generators::{DeterministicSeeder, EncryptionRandomGenerator},
        math::random::CompressionSeed,
    },
    prelude::{
        DefaultRandomGenerator, GlweCiphertextCount, GlweDimension, GlweSecretKey, PlaintextList,
        PolynomialSize, SeededGlweCiphertextList,
        encrypt_seeded_glwe_ciphertext_list_with_pre_seeded_generator,
    },
};

/// A GLWE secret: `k` polynomials of `N` coefficients.
#[derive(Clone, Copy)]
pub(crate) struct Ring<'a> {
    pub(crate) dimension: GlweDimension,
    pub(crate) size: PolynomialSize,
    /// `k N` coefficients, 0 or 1.
    pub(crate) secret: &'a [u64],
}

/// Encrypts polynomial after polynomial, with masks from one public seed.
pub(crate) struct SeededEncryption<'a> {
    ring: Ring<'a>,
    noise: TUniformBound,
    seed: CompressionSeed,
    generator: EncryptionRandomGenerator<DefaultRandomGenerator>,
}

impl<'a> SeededEncryption<'a> {
    /// Starts the masks of `seed`; the noise has a fresh secret seed.
    pub(crate) fn new(ring: Ring<'a>, noise: TUniformBound, seed: MaskSeed) -> Result<Self, EntropyError> {
        let mut noise_seeder = DeterministicSeeder::<DefaultRandomGenerator>::new(secret_seed()?);
        let seed = CompressionSeed::from(seed.to_tfhe());
        let generator = EncryptionRandomGenerator::new(seed.clone(), &mut noise_seeder);
        Ok(Self {
            ring,
            noise,
            seed,
            generator,
        })
    }

    /// Encrypts polynomials of `N` messages each, and gives the bodies.
    pub(crate) fn encrypt(&mut self, messages: &[u64]) -> Vec<u64> {
        let Ring {
            dimension,
            size,
            secret,
        } = self.ring;
        let mut ciphertexts = SeededGlweCiphertextList::new(
            0u64,
            dimension.to_glwe_size(),
            size,
            GlweCiphertextCount(messages.len() / size.0),
            self.seed.clone(),
            modulus(),
        );
        encrypt_seeded_glwe_ciphertext_list_with_pre_seeded_generator(
            &GlweSecretKey::from_container(secret, size),
            &mut ciphertexts,
            &PlaintextList::from_container(messages),
            self.noise.distribution(),
            &mut self.generator,
        );
        ciphertexts.into_container()
    }
}
