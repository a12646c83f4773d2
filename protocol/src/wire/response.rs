use super::{
    bits,
    envelope::{HEADER_BYTES, Header, Kind, WireError},
};
use crate::{
    ids::{KeyId, ModelId},
    params::LinearParams,
};

/// Encrypted scores: GLWE ciphertexts after the modulus switch, with the one or two body coefficients that carry a score.
///
/// Score `c` stands in ciphertext `c / 2`, at coefficient `c mod 2` of its phase.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// Parameters of the key it is for.
    pub params: LinearParams,
    /// Id of the public key it was made with.
    pub key: KeyId,
    /// Model that gave the scores.
    pub model: ModelId,
    /// `N` mask coefficients for each ciphertext, one after the other.
    pub masks: Vec<u64>,
    /// One body coefficient for each score.
    pub bodies: Vec<u64>,
}

impl Response {
    const fn mask_len(params: &LinearParams, outputs: usize) -> usize {
        params.n() * params.response_ciphertexts(outputs)
    }

    const fn masks_bytes(params: &LinearParams, outputs: usize) -> usize {
        bits::packed_len(Self::mask_len(params, outputs), params.response_bits)
    }

    const fn payload_len(params: &LinearParams, outputs: usize) -> usize {
        Self::masks_bytes(params, outputs) + bits::packed_len(outputs, params.response_bits)
    }

    /// Bytes of a response of `outputs` scores.
    pub const fn blob_len(params: &LinearParams, outputs: usize) -> usize {
        HEADER_BYTES + Self::payload_len(params, outputs)
    }

    /// The blob. Rounds to the bits that travel; the engine has centred the rounding.
    pub fn to_blob(&self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(Self::payload_len(&self.params, self.bodies.len()));
        bits::pack(&mut payload, &self.masks, self.params.response_bits);
        bits::pack(&mut payload, &self.bodies, self.params.response_bits);
        let header = Header {
            kind: Kind::Response,
            params: self.params.id,
            key: self.key,
            model: self.model,
        };
        header.seal(&payload)
    }

    /// Reads a response of `outputs` scores under `params`.
    pub fn from_blob(blob: &[u8], params: LinearParams, outputs: usize) -> Result<Self, WireError> {
        let len = Self::payload_len(&params, outputs);
        let (header, payload) = Header::open(blob, Kind::Response, params.id, len)?;
        let (masks, bodies) = payload.split_at(Self::masks_bytes(&params, outputs));
        Ok(Self {
            params,
            key: header.key,
            model: header.model,
            masks: bits::unpack(masks, Self::mask_len(&params, outputs), params.response_bits)?,
            bodies: bits::unpack(bodies, outputs, params.response_bits)?,
        })
    }
}
