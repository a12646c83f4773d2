use super::{
    bits,
    envelope::{HEADER_BYTES, Header, Kind, WireError},
};
use crate::{
    ids::{KeyId, ModelId},
    params::LinearParams,
    random::{MaskSeed, SEED_BYTES},
};

/// Public key for linear models: two seeded GLWE encryptions under the client's secret, bodies only.
///
/// The masks are the first `2N` coefficients expanded from [`PublicKey::seed`].
#[derive(Clone, Debug, PartialEq)]
pub struct PublicKey {
    /// Parameters of the key.
    pub params: LinearParams,
    /// Public seed of both masks.
    pub seed: MaskSeed,
    /// `N` body coefficients of an encryption of zero.
    pub zero_body: Vec<u64>,
    /// `N` body coefficients of an encryption of `s(-X) * 2^64 / 2^base_log`.
    pub automorphism_body: Vec<u64>,
}

impl PublicKey {
    const fn zero_len(params: &LinearParams) -> usize {
        bits::packed_len(params.n(), params.zero_bits)
    }

    const fn payload_len(params: &LinearParams) -> usize {
        SEED_BYTES + Self::zero_len(params) + bits::packed_len(params.n(), params.automorphism_bits)
    }

    /// Bytes of a key under `params`.
    pub const fn blob_len(params: &LinearParams) -> usize {
        HEADER_BYTES + Self::payload_len(params)
    }

    /// Bytes of the largest key of any parameter set: what an upload may not exceed.
    pub fn max_blob_len() -> usize {
        LinearParams::ALL.iter().map(Self::blob_len).max().unwrap_or(0)
    }

    /// The blob and its id. Rounds the bodies to the bits that travel.
    pub fn to_blob(&self) -> (Vec<u8>, KeyId) {
        let mut payload = Vec::with_capacity(Self::payload_len(&self.params));
        payload.extend_from_slice(&self.seed.0);
        bits::pack(&mut payload, &self.zero_body, self.params.zero_bits);
        bits::pack(
            &mut payload,
            &self.automorphism_body,
            self.params.automorphism_bits,
        );
        let header = Header {
            kind: Kind::PublicKey,
            params: self.params.id,
            key: KeyId::NONE,
            model: ModelId::NONE,
        };
        let blob = header.seal(&payload);
        let id = KeyId::of(&blob);
        (blob, id)
    }

    /// Reads a whole key.
    pub fn from_blob(blob: &[u8]) -> Result<Self, WireError> {
        let id = Header::peek(blob, Kind::PublicKey)?;
        let params = LinearParams::by_id(id).ok_or(WireError::WrongParameterSet(id))?;
        let (header, payload) = Header::open(blob, Kind::PublicKey, id, Self::payload_len(&params))?;
        if header.key != KeyId::NONE || header.model != ModelId::NONE {
            return Err(WireError::ReservedBits);
        }
        let (seed, bodies) = MaskSeed::split_from(payload)?;
        let (zero, automorphism) = bodies.split_at(Self::zero_len(&params));
        Ok(Self {
            params,
            seed,
            zero_body: bits::unpack(zero, params.n(), params.zero_bits)?,
            automorphism_body: bits::unpack(automorphism, params.n(), params.automorphism_bits)?,
        })
    }
}
