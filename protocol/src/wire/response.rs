//! Encrypted scores.

use super::{
    bits,
    envelope::{HEADER_BYTES, Header, QueryId, WireError},
};
use crate::{
    ids::{KeyId, ModelId},
    kind::Kind,
    params::ResponseFormat,
};

/// Encrypted scores: the query's id, then ciphertexts after the modulus switch, with only the body
/// coefficients that carry a score.
///
/// Score `c` is in ciphertext `c / scores`, at coefficient `(c mod scores) * stride` of its phase.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// Format of the response.
    pub format: ResponseFormat,
    /// Id of the public key that the response was made with.
    pub key: KeyId,
    /// Id of the model that gave the scores.
    pub model: ModelId,
    /// Id of the query that the response answers.
    pub query: QueryId,
    /// Mask coefficients of each ciphertext, one ciphertext after the other.
    pub masks: Vec<u64>,
    /// Body coefficients, one per score.
    pub bodies: Vec<u64>,
}

impl Response {
    const fn mask_len(format: ResponseFormat, outputs: usize) -> usize {
        format.mask_len * format.ciphertexts(outputs)
    }

    const fn masks_bytes(format: ResponseFormat, outputs: usize) -> usize {
        bits::packed_len(Self::mask_len(format, outputs), format.bits)
    }

    const fn payload_len(format: ResponseFormat, outputs: usize) -> usize {
        QueryId::BYTES + Self::masks_bytes(format, outputs) + bits::packed_len(outputs, format.bits)
    }

    /// Returns the size of a response of `outputs` scores, in bytes.
    pub const fn blob_len(format: ResponseFormat, outputs: usize) -> usize {
        HEADER_BYTES + Self::payload_len(format, outputs)
    }

    /// Returns the blob, rounded to the bits that are sent; the engine has centred the rounding.
    pub fn to_blob(&self) -> Vec<u8> {
        let format = self.format;
        let mut payload = Vec::with_capacity(Self::payload_len(format, self.bodies.len()));
        payload.extend_from_slice(&self.query.0);
        bits::pack(&mut payload, &self.masks, format.bits);
        bits::pack(&mut payload, &self.bodies, format.bits);
        let header = Header {
            kind: Kind::Response,
            params: format.set,
            key: self.key,
            model: self.model,
        };
        header.seal(&payload)
    }

    /// Reads a response of `outputs` scores in `format`.
    pub fn from_blob(blob: &[u8], format: ResponseFormat, outputs: usize) -> Result<Self, WireError> {
        let len = Self::payload_len(format, outputs);
        let (header, payload) = Header::open(blob, Kind::Response, format.set, len)?;
        let (query, ciphertexts) = payload
            .split_first_chunk()
            .ok_or(WireError::Truncated(payload.len()))?;
        let (masks, bodies) = ciphertexts.split_at(Self::masks_bytes(format, outputs));
        Ok(Self {
            format,
            key: header.key,
            model: header.model,
            query: QueryId(*query),
            masks: bits::unpack(masks, Self::mask_len(format, outputs), format.bits)?,
            bodies: bits::unpack(bodies, outputs, format.bits)?,
        })
    }

    /// Returns the mask of the ciphertext that holds score `output`, and the score's coefficient in
    /// the phase.
    pub fn place(&self, output: usize) -> (&[u64], usize) {
        let ciphertext = output / self.format.scores;
        let mask = &self.masks[ciphertext * self.format.mask_len..][..self.format.mask_len];
        (mask, output % self.format.scores * self.format.stride)
    }
}
