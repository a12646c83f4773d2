use crate::ClientError;
use blindscore_protocol::{
    ids::KeyId,
    params::LinearParams,
    random::{EntropyError, MaskSeed, secret_seed},
    wire::{PublicKey, SecretKeyBits},
};
use core::fmt;
use tfhe::core_crypto::{
    commons::generators::DeterministicSeeder,
    prelude::{
        DefaultRandomGenerator, GlweCiphertextCount, GlweSecretKey, PlaintextList, SecretRandomGenerator,
        SeededGlweCiphertextList, encrypt_seeded_glwe_ciphertext_list, generate_binary_glwe_secret_key,
    },
};
use zeroize::Zeroizing;

/// A client's secret key, and the id of the public key that was last made from it.
///
/// Wiped from memory on drop; Debug shows only the id.
pub struct ClientKey(SecretKeyBits);

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientKey({})", self.0.key)
    }
}

impl ClientKey {
    /// Makes a secret key from the platform's CSPRNG, and its first public key.
    pub fn generate(params: LinearParams) -> Result<(Self, PublicKey), EntropyError> {
        let mut bits = Zeroizing::new(vec![0; params.secret_dimension()]);
        let mut secret = GlweSecretKey::from_container(bits.as_mut_slice(), params.polynomial_size);
        let mut generator = SecretRandomGenerator::<DefaultRandomGenerator>::new(secret_seed()?);
        generate_binary_glwe_secret_key(&mut secret, &mut generator);
        let mut key = Self(SecretKeyBits {
            params,
            key: KeyId::NONE,
            bits,
        });
        let public = key.renew_public_key()?;
        Ok((key, public))
    }

    /// Makes a new public key, with fresh masks and noise, for when the server no longer has the one
    /// this key was used with. [`ClientKey::key_id`] changes to the new one's.
    pub fn renew_public_key(&mut self) -> Result<PublicKey, EntropyError> {
        let params = self.params();
        let n = params.n();
        let gadget = params.automorphism_gadget();
        // Message 0, then s(-X) times the gadget: (-X)^i = -X^i for odd i.
        let mut messages = Zeroizing::new(vec![0u64; 2 * n]);
        for (index, (message, bit)) in messages[n..].iter_mut().zip(self.0.bits.iter()).enumerate() {
            let scaled = bit.wrapping_mul(gadget);
            *message = if index % 2 == 0 {
                scaled
            } else {
                scaled.wrapping_neg()
            };
        }
        let seed = MaskSeed::fresh()?;
        let mut zero_body = self.encrypt_polynomials(&messages, seed)?;
        let automorphism_body = zero_body.split_off(n);
        let public = PublicKey {
            params,
            seed,
            zero_body,
            automorphism_body,
        };
        self.0.key = public.to_blob().1;
        Ok(public)
    }

    /// Reads an exported key.
    pub fn from_bytes(blob: &[u8]) -> Result<Self, ClientError> {
        Ok(Self(SecretKeyBits::from_blob(blob)?))
    }

    /// The exported form, 340 bytes. Whoever has it reads everything encrypted with this key.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        self.0.to_blob()
    }

    /// Id of the public key last made from this key.
    pub fn key_id(&self) -> KeyId {
        self.0.key
    }

    /// Parameters of the key.
    pub fn params(&self) -> LinearParams {
        self.0.params
    }

    /// Secret coefficients, 0 or 1.
    pub(crate) fn bits(&self) -> &[u64] {
        &self.0.bits
    }

    /// Encrypts polynomials of `N` messages each with masks expanded from `seed`, and gives the bodies.
    pub(crate) fn encrypt_polynomials(
        &self,
        messages: &[u64],
        seed: MaskSeed,
    ) -> Result<Vec<u64>, EntropyError> {
        let params = self.params();
        let mut ciphertexts = SeededGlweCiphertextList::new(
            0u64,
            params.glwe_dimension.to_glwe_size(),
            params.polynomial_size,
            GlweCiphertextCount(messages.len() / params.n()),
            seed.to_tfhe().into(),
            params.modulus(),
        );
        let mut noise_seeder = DeterministicSeeder::<DefaultRandomGenerator>::new(secret_seed()?);
        encrypt_seeded_glwe_ciphertext_list(
            &GlweSecretKey::from_container(self.bits(), params.polynomial_size),
            &mut ciphertexts,
            &PlaintextList::from_container(messages),
            params.noise.distribution(),
            &mut noise_seeder,
        );
        Ok(ciphertexts.into_container())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn export_and_import_keep_key_and_id() {
        let (key, public) = ClientKey::generate(LinearParams::N2048).unwrap();
        let copy = ClientKey::from_bytes(&key.to_bytes()).unwrap();
        assert_eq!(copy.bits(), key.bits());
        assert_eq!(copy.key_id(), public.to_blob().1);
        let ones: u64 = key.bits().iter().sum();
        assert!((800..1250).contains(&ones), "{ones} of 2048 bits are set");
    }

    #[test]
    fn public_key_survives_the_wire_rounded() {
        let (_, public) = ClientKey::generate(LinearParams::N2048).unwrap();
        let (blob, _) = public.to_blob();
        assert!(blob.len() <= 20_000, "{} bytes", blob.len());
        let read = PublicKey::from_blob(&blob).unwrap();
        assert_eq!(read.to_blob().0, blob);
        for (sent, kept) in public.zero_body.iter().zip(&read.zero_body) {
            assert!((sent.wrapping_sub(*kept) as i64).unsigned_abs() <= 1 << 27);
        }
    }
}
