//! Encrypted features.

use super::{
    bits,
    envelope::{HEADER_BYTES, Header, QueryId, WireError},
    seed,
};
use crate::{
    ids::{KeyId, ModelId},
    kind::Kind,
    params::QueryFormat,
    random::{MaskSeed, MaskStream, SEED_BYTES},
};

/// Encrypted features: seeded GLWE ciphertexts, of which only the body coefficients that carry a
/// feature are sent.
///
/// Feature `i` is coefficient `i mod N` of ciphertext `i / N`. The masks are the first
/// `k N * ceil(F / N)` coefficients expanded from the seed, with `k` and `N` of the parameter set.
/// [`Query::seal`] makes the blob that a query is read from.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// Format of the query.
    pub format: QueryFormat,
    /// Id of the public key that belongs to the encryption key.
    pub key: KeyId,
    /// Id of the model that the features are for.
    pub model: ModelId,
    /// Id of the query, which the response repeats.
    pub id: QueryId,
    /// Public seed of the masks.
    pub seed: MaskSeed,
    /// Body coefficients, one per feature.
    pub bodies: Vec<u64>,
}

impl Query {
    const fn payload_len(format: QueryFormat, features: usize) -> usize {
        SEED_BYTES + bits::packed_len(features, format.bits)
    }

    /// Returns the size of a query of `features` values, in bytes.
    pub const fn blob_len(format: QueryFormat, features: usize) -> usize {
        HEADER_BYTES + Self::payload_len(format, features)
    }

    /// Returns the stream of masks.
    pub fn masks(&self) -> MaskStream {
        self.seed.stream(Kind::Query, self.format.set)
    }

    /// Returns the blob of encrypted features: `bodies` has one coefficient for each, and is
    /// rounded to the bits that are sent.
    pub fn seal(format: QueryFormat, key: KeyId, model: ModelId, seed: MaskSeed, bodies: &[u64]) -> Vec<u8> {
        let mut payload = Vec::with_capacity(Self::payload_len(format, bodies.len()));
        payload.extend_from_slice(&seed.0);
        bits::pack(&mut payload, bodies, format.bits);
        let header = Header {
            kind: Kind::Query,
            params: format.set,
            key,
            model,
        };
        header.seal(&payload)
    }

    /// Reads a query of `features` values in `format`.
    pub fn from_blob(blob: &[u8], format: QueryFormat, features: usize) -> Result<Self, WireError> {
        let len = Self::payload_len(format, features);
        let (header, payload) = Header::open(blob, Kind::Query, format.set, len)?;
        let (seed, bodies) = seed::split(payload)?;
        Ok(Self {
            format,
            key: header.key,
            model: header.model,
            id: QueryId::of(blob)?,
            seed,
            bodies: bits::unpack(bodies, features, format.bits)?,
        })
    }
}
