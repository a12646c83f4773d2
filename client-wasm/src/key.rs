use crate::ClientError;
use blindscore_protocol::{
    ids::KeyId,
    params::{LinearParams, NetworkParams, ParameterSet},
    random::{EntropyError, MaskSeed, secret_seed},
    ring::automorphism,
    wire::{LinearPublicKey, NetworkPublicKey, PublicKey, SecretKeyBits},
};
use core::fmt;
use tfhe::core_crypto::prelude::{
    DefaultRandomGenerator, LweSecretKey, SecretRandomGenerator, generate_binary_lwe_secret_key,
};
use zeroize::Zeroizing;

use crate::seeded::{Ring, SeededEncryption};

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
    pub fn generate(set: ParameterSet) -> Result<(Self, PublicKey), EntropyError> {
        let mut key = Self::generate_secret(set)?;
        let public = key.renew_public_key(|_| ())?;
        Ok((key, public))
    }

    /// Makes a secret key alone; [`ClientKey::renew_public_key`] makes the public key.
    pub fn generate_secret(set: ParameterSet) -> Result<Self, EntropyError> {
        let mut bits = Zeroizing::new(vec![0; set.secret_bits()]);
        let mut generator = SecretRandomGenerator::<DefaultRandomGenerator>::new(secret_seed()?);
        generate_binary_lwe_secret_key(
            &mut LweSecretKey::from_container(bits.as_mut_slice()),
            &mut generator,
        );
        Ok(Self(SecretKeyBits {
            set,
            key: KeyId::NONE,
            bits,
        }))
    }

    /// Makes a new public key, with fresh masks and noise: the first one, or another for when the server no longer has
    /// the one this key was used with. [`ClientKey::key_id`] changes to the new one's.
    ///
    /// A network's takes seconds; `progress` hears the share that is done.
    pub fn renew_public_key(&mut self, progress: impl FnMut(f64)) -> Result<PublicKey, EntropyError> {
        let public = match self.0.set {
            ParameterSet::Linear(params) => PublicKey::Linear(self.linear_public_key(params)?),
            ParameterSet::Network(params) => PublicKey::Network(self.network_public_key(params, progress)?),
        };
        self.0.key = public.to_blob().1;
        Ok(public)
    }

    fn linear_public_key(&self, params: LinearParams) -> Result<LinearPublicKey, EntropyError> {
        let n = params.n();
        let gadget = params.automorphism_gadget();
        let seed = MaskSeed::fresh()?;
        let mut encryption = SeededEncryption::new(self.score_ring(), params.noise, seed)?;
        let zero_body = encryption.encrypt(&Zeroizing::new(vec![0; n]));
        // s(-X) times the gadget: (-X)^i = -X^i for odd i.
        let image = self.0.bits.iter().enumerate().map(|(index, bit)| {
            let scaled = bit.wrapping_mul(gadget);
            if index % 2 == 0 {
                scaled
            } else {
                scaled.wrapping_neg()
            }
        });
        let automorphism_body = encryption.encrypt(&Zeroizing::new(image.collect::<Vec<u64>>()));
        Ok(LinearPublicKey {
            params,
            seed,
            zero_body,
            automorphism_body,
        })
    }

    fn network_public_key(
        &self,
        params: NetworkParams,
        mut progress: impl FnMut(f64),
    ) -> Result<NetworkPublicKey, EntropyError> {
        let n = params.size.0;
        let ring = self.score_ring();
        let seed = MaskSeed::fresh()?;
        let mut encryption = SeededEncryption::new(ring, params.noise, seed)?;
        let mut bodies = Vec::with_capacity(params.key_ciphertexts() * n);
        let input = &self.0.bits[..params.input_lwe_dimension().0];
        for (index, bit) in input.iter().enumerate() {
            let factor = bit.wrapping_mul(params.gadget());
            let mut rows = Zeroizing::new(vec![0u64; params.ggsw_rows() * n]);
            for (message, secret) in rows.iter_mut().zip(ring.secret) {
                *message = secret.wrapping_mul(factor).wrapping_neg();
            }
            rows[params.dimension.0 * n] = factor;
            bodies.extend(encryption.encrypt(&rows));
            progress((index + 1) as f64 / input.len() as f64);
        }
        for exponent in params.packing_exponents() {
            let mut rows = Zeroizing::new(vec![0u64; params.dimension.0 * n]);
            for (row, secret) in rows.chunks_exact_mut(n).zip(ring.secret.chunks_exact(n)) {
                automorphism(row, secret, exponent);
            }
            for coefficient in rows.iter_mut() {
                *coefficient = coefficient.wrapping_mul(params.gadget());
            }
            bodies.extend(encryption.encrypt(&rows));
        }
        bodies.extend(encryption.encrypt(&Zeroizing::new(vec![0; params.dimension.0 * n])));
        Ok(NetworkPublicKey { params, seed, bodies })
    }

    /// Reads an exported key.
    pub fn from_bytes(blob: &[u8]) -> Result<Self, ClientError> {
        Ok(Self(SecretKeyBits::from_blob(blob)?))
    }

    /// The exported form, some hundred bytes. Whoever has it reads everything encrypted with this key.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        self.0.to_blob()
    }

    /// Id of the public key last made from this key.
    pub fn key_id(&self) -> KeyId {
        self.0.key
    }

    /// Parameters of the key.
    pub fn set(&self) -> ParameterSet {
        self.0.set
    }

    /// What features are encrypted with.
    pub(crate) fn feature_ring(&self) -> Ring<'_> {
        match &self.0.set {
            ParameterSet::Linear(_) => self.score_ring(),
            ParameterSet::Network(params) => Ring {
                dimension: params.input_dimension,
                size: params.input_size,
                secret: &self.0.bits[..params.input_lwe_dimension().0],
            },
        }
    }

    /// What scores are encrypted with.
    pub(crate) fn score_ring(&self) -> Ring<'_> {
        match &self.0.set {
            ParameterSet::Linear(params) => Ring {
                dimension: params.glwe_dimension,
                size: params.polynomial_size,
                secret: &self.0.bits,
            },
            ParameterSet::Network(params) => Ring {
                dimension: params.dimension,
                size: params.size,
                secret: &self.0.bits[params.input_lwe_dimension().0..],
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn public_key_survives_the_wire_rounded() {
        let (_, public) = ClientKey::generate(SET).unwrap();
        let (blob, _) = public.to_blob();
        assert!(blob.len() <= 20_000, "{} bytes", blob.len());
        let read = PublicKey::from_blob(&blob).unwrap();
        assert_eq!(read.to_blob().0, blob);
        let (PublicKey::Linear(public), PublicKey::Linear(read)) = (public, read) else {
            panic!("not linear")
        };
        for (sent, kept) in public.zero_body.iter().zip(&read.zero_body) {
            assert!((sent.wrapping_sub(*kept) as i64).unsigned_abs() <= 1 << 27);
        }
    }
}
