//! Secret keys of clients.

use crate::{
    ClientError, EvaluationKeyGeneration,
    glwe::{GlweSecret, Randomness},
};
use blindscore_protocol::{
    ids::KeyId,
    params::ParameterSet,
    random::{EntropyError, Sampler},
    wire::{EvaluationKey, SecretKeyBits},
};
use core::fmt;
use zeroize::Zeroizing;

/// A client's secret key, and the id of the last evaluation key made from it.
///
/// Memory is wiped on drop; Debug shows only the id.
pub struct ClientKey(SecretKeyBits);

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientKey({})", self.0.key)
    }
}

impl ClientKey {
    /// Generates a secret key from the platform's CSPRNG, and its first evaluation key.
    pub fn generate(set: ParameterSet) -> Result<(Self, EvaluationKey), EntropyError> {
        let mut key = Self::generate_secret(set)?;
        let generation = key.start_evaluation_key()?;
        let (public, _) = key.finish_evaluation_key(generation);
        Ok((key, public))
    }

    /// Generates a secret key without an evaluation key.
    pub fn generate_secret(set: ParameterSet) -> Result<Self, EntropyError> {
        Ok(Self::secret_from(set, &mut Sampler::new()?))
    }

    pub(crate) fn secret_from(set: ParameterSet, sampler: &mut Sampler) -> Self {
        let mut bits = Zeroizing::new(vec![0; set.secret_bits()]);
        sampler.fill_binary(&mut bits);
        Self(SecretKeyBits {
            set,
            key: KeyId::NONE,
            bits,
        })
    }

    /// Starts a new evaluation key with fresh masks and noise: the first one, or a replacement when
    /// the server no longer has the last one.
    pub fn start_evaluation_key(&self) -> Result<EvaluationKeyGeneration, EntropyError> {
        Ok(EvaluationKeyGeneration::new(self, Randomness::fresh()?))
    }

    /// Generates the rest of an evaluation key that this key started. Returns it with its blob;
    /// [`ClientKey::key_id`] changes to its id.
    pub fn finish_evaluation_key(&mut self, generation: EvaluationKeyGeneration) -> (EvaluationKey, Vec<u8>) {
        let public = generation.finish(self.feature_key());
        let (blob, id) = public.to_blob();
        self.0.key = id;
        (public, blob)
    }

    /// Reads an exported key.
    pub fn from_bytes(blob: &[u8]) -> Result<Self, ClientError> {
        Ok(Self(SecretKeyBits::from_blob(blob)?))
    }

    /// Returns the exported form, a few hundred bytes. Whoever has it can read everything encrypted
    /// with this key.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        self.0.to_blob()
    }

    /// Returns the id of the last evaluation key made from this key.
    pub fn key_id(&self) -> KeyId {
        self.0.key
    }

    pub(crate) fn bits(&self) -> &SecretKeyBits {
        &self.0
    }

    /// Returns the parameters of the key.
    pub fn parameters(&self) -> ParameterSet {
        self.0.set
    }

    /// Returns the secret that features are encrypted under.
    pub(crate) fn feature_key(&self) -> GlweSecret<'_> {
        match &self.0.set {
            ParameterSet::Linear(_) => self.score_key(),
            ParameterSet::Network(params) => GlweSecret {
                dimension: params.input_glwe_dimension,
                size: params.input_polynomial_size,
                bits: &self.0.bits[..params.input_lwe_dimension().0],
            },
        }
    }

    /// Returns the secret that scores are encrypted under.
    pub(crate) fn score_key(&self) -> GlweSecret<'_> {
        match &self.0.set {
            ParameterSet::Linear(params) => GlweSecret {
                dimension: params.glwe_dimension,
                size: params.polynomial_size,
                bits: &self.0.bits,
            },
            ParameterSet::Network(params) => GlweSecret {
                dimension: params.glwe_dimension,
                size: params.polynomial_size,
                bits: &self.0.bits[params.input_lwe_dimension().0..],
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use blindscore_protocol::params::{LinearParams, NetworkParams};

    const SET: ParameterSet = ParameterSet::Linear(LinearParams::N2048);

    #[test]
    fn export_and_import_keep_key_and_id() {
        let (key, public) = ClientKey::generate(SET).unwrap();
        let copy = ClientKey::from_bytes(&key.to_bytes()).unwrap();
        assert_eq!(copy.0.bits, key.0.bits);
        assert_eq!(copy.key_id(), public.to_blob().1);
        let ones: u64 = key.0.bits.iter().sum();
        assert!((800..1250).contains(&ones), "{ones} of 2048 bits are set");
    }

    #[test]
    fn steps_make_the_same_kind_of_key() {
        let mut key = ClientKey::generate_secret(ParameterSet::Network(NetworkParams::N704_K4)).unwrap();
        let mut generation = key.start_evaluation_key().unwrap();
        let first = generation.advance(100);
        assert!(first > 0.1 && first < 0.2, "{first}");
        let mut share = first;
        while share < 1.0 {
            let next = generation.advance(300);
            assert!(next > share);
            share = next;
        }
        assert_eq!(generation.advance(1), 1.0);
        let (public, blob) = key.finish_evaluation_key(generation);
        assert_eq!(public.to_blob(), (blob.clone(), key.key_id()));
        let EvaluationKey::Network(read) = EvaluationKey::from_blob(&blob).unwrap() else {
            panic!("not a network's")
        };
        assert_eq!(
            read.bodies.len(),
            read.params.key_ciphertexts() * read.params.polynomial_size.0
        );
    }

    #[test]
    fn evaluation_key_survives_the_wire_rounded() {
        let (_, public) = ClientKey::generate(SET).unwrap();
        let (blob, _) = public.to_blob();
        assert!(blob.len() <= 20_000, "{} bytes", blob.len());
        let read = EvaluationKey::from_blob(&blob).unwrap();
        assert_eq!(read.to_blob().0, blob);
        let (EvaluationKey::Linear(public), EvaluationKey::Linear(read)) = (public, read) else {
            panic!("not linear")
        };
        for (sent, kept) in public.zero_body.iter().zip(&read.zero_body) {
            assert!((sent.wrapping_sub(*kept) as i64).unsigned_abs() <= 1 << 27);
        }
    }
}
