//! Evaluation key for linear models.

use super::{
    bits,
    envelope::{HEADER_BYTES, WireError, open_evaluation_key, seal_evaluation_key},
    seed,
};
use crate::{
    kind::Kind,
    params::LinearParams,
    random::{MaskSeed, MaskStream, SEED_BYTES},
};

/// Evaluation key for a linear model: two seeded GLWE encryptions under the client's secret, bodies
/// only.
///
/// The masks are the first `2N` coefficients expanded from [`LinearEvaluationKey::seed`].
#[derive(Clone, Debug, PartialEq)]
pub struct LinearEvaluationKey {
    /// Parameters of the key.
    pub params: LinearParams,
    /// Public seed of both masks.
    pub seed: MaskSeed,
    /// `N` body coefficients of an encryption of zero.
    pub zero_body: Vec<u64>,
    /// `N` body coefficients of an encryption of `s(-X) * 2^64 / 2^base_log`.
    pub automorphism_body: Vec<u64>,
}

impl LinearEvaluationKey {
    const fn zero_len(params: &LinearParams) -> usize {
        bits::packed_len(params.n(), params.zero_bits)
    }

    const fn payload_len(params: &LinearParams) -> usize {
        SEED_BYTES + Self::zero_len(params) + bits::packed_len(params.n(), params.automorphism_bits)
    }

    /// Returns the size of a key under `params`, in bytes.
    pub const fn blob_len(params: &LinearParams) -> usize {
        HEADER_BYTES + Self::payload_len(params)
    }

    /// Returns the masks of both ciphertexts.
    pub fn masks(&self) -> MaskStream {
        self.seed.stream(Kind::EvaluationKey, self.params.id)
    }

    /// Returns the blob, with the bodies rounded to the bits that are sent.
    pub(super) fn to_blob(&self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(Self::payload_len(&self.params));
        payload.extend_from_slice(&self.seed.0);
        bits::pack(&mut payload, &self.zero_body, self.params.zero_bits);
        bits::pack(
            &mut payload,
            &self.automorphism_body,
            self.params.automorphism_bits,
        );
        seal_evaluation_key(self.params.id, &payload)
    }

    /// Reads a key from its whole blob.
    pub(super) fn from_blob(blob: &[u8], params: LinearParams) -> Result<Self, WireError> {
        let payload = open_evaluation_key(blob, params.id, Self::payload_len(&params))?;
        let (seed, bodies) = seed::split(payload)?;
        let (zero, automorphism) = bodies.split_at(Self::zero_len(&params));
        Ok(Self {
            params,
            seed,
            zero_body: bits::unpack(zero, params.n(), params.zero_bits)?,
            automorphism_body: bits::unpack(automorphism, params.n(), params.automorphism_bits)?,
        })
    }
}
