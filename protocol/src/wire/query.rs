use super::{
    bits,
    envelope::{HEADER_BYTES, Header, Kind, WireError},
};
use crate::{
    ids::{KeyId, ModelId},
    params::LinearParams,
    random::{MaskSeed, SEED_BYTES},
};

/// Encrypted features: seeded GLWE ciphertexts of which only the body coefficients that carry a feature travel.
///
/// Feature `i` is coefficient `i mod N` of ciphertext `i / N`; the masks are the first `N * ceil(F / N)`
/// coefficients expanded from the seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// Parameters of the key it is for.
    pub params: LinearParams,
    /// Id of the public key that belongs to the encryption key.
    pub key: KeyId,
    /// Model that the features are for.
    pub model: ModelId,
    /// Public seed of the masks.
    pub seed: MaskSeed,
    /// One body coefficient for each feature.
    pub bodies: Vec<u64>,
}

impl Query {
    const fn payload_len(params: &LinearParams, features: usize) -> usize {
        SEED_BYTES + bits::packed_len(features, params.query_bits)
    }

    /// Bytes of a query of `features` values.
    pub const fn blob_len(params: &LinearParams, features: usize) -> usize {
        HEADER_BYTES + Self::payload_len(params, features)
    }

    /// The blob. Rounds the bodies to the bits that travel.
    pub fn to_blob(&self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(Self::payload_len(&self.params, self.bodies.len()));
        payload.extend_from_slice(&self.seed.0);
        bits::pack(&mut payload, &self.bodies, self.params.query_bits);
        let header = Header {
            kind: Kind::Query,
            params: self.params.id,
            key: self.key,
            model: self.model,
        };
        header.seal(&payload)
    }

    /// Reads a query of `features` values under `params`.
    pub fn from_blob(blob: &[u8], params: LinearParams, features: usize) -> Result<Self, WireError> {
        let len = Self::payload_len(&params, features);
        let (header, payload) = Header::open(blob, Kind::Query, params.id, len)?;
        let (seed, bodies) = MaskSeed::split_from(payload)?;
        Ok(Self {
            params,
            key: header.key,
            model: header.model,
            seed,
            bodies: bits::unpack(bodies, features, params.query_bits)?,
        })
    }
}
