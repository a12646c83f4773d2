//! Evaluation key for networks and trees.

use super::{
    bits,
    envelope::{HEADER_BYTES, WireError, open_evaluation_key, seal_evaluation_key},
    seed,
};
use crate::{
    kind::Kind,
    params::NetworkParams,
    random::{MaskSeed, MaskStream, SEED_BYTES},
};

/// Evaluation key for networks and trees: seeded GLWE encryptions, bodies only.
///
/// In the output ring, in this order:
///
/// - for each bit `b` of the input secret, the rows of a GGSW encryption: `-b s_i * gadget` for
///   each polynomial `s_i` of the secret, then `b * gadget`;
/// - for each packing automorphism, the rows `s_i(X^g) * gadget` of a key-switching key;
/// - `k` encryptions of zero.
///
/// Then, in the input ring, as many encryptions of zero as its `k`; and, if the set has a key
/// switch, for each polynomial `t_j` of the input ring's size that the output secret consists of,
/// encryptions of `t_j * 2^(64 - level * base_log)` for each level from 1. The masks are one
/// stream, expanded from [`NetworkEvaluationKey::seed`].
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkEvaluationKey {
    /// Parameters of the key.
    pub params: NetworkParams,
    /// Public seed of all masks.
    pub seed: MaskSeed,
    /// `N` body coefficients of each ciphertext in the output ring.
    pub bodies: Vec<u64>,
    /// `N` body coefficients of each encryption of zero in the input ring.
    pub input_zeros: Vec<u64>,
    /// `N` body coefficients of each ciphertext of the key-switching key, in the input ring; empty
    /// if the set has no key switch.
    pub key_switch: Vec<u64>,
}

impl NetworkEvaluationKey {
    const fn coefficients(params: &NetworkParams) -> usize {
        params.key_ciphertexts() * params.polynomial_size.0
    }

    const fn payload_len(params: &NetworkParams) -> usize {
        SEED_BYTES + Self::bodies_len(params) + Self::input_zeros_len(params) + Self::key_switch_len(params)
    }

    const fn input_zeros_len(params: &NetworkParams) -> usize {
        bits::packed_len(Self::input_coefficients(params), params.input_zero_bits)
    }

    const fn key_switch_coefficients(params: &NetworkParams) -> usize {
        params.key_switch_ciphertexts() * params.input_polynomial_size.0
    }

    const fn key_switch_len(params: &NetworkParams) -> usize {
        match &params.key_switch {
            Some(switch) => bits::packed_len(Self::key_switch_coefficients(params), switch.bits),
            None => 0,
        }
    }

    const fn bodies_len(params: &NetworkParams) -> usize {
        bits::packed_len(Self::coefficients(params), params.key_bits)
    }

    /// Returns the number of body coefficients in the input ring: `N` for each polynomial of a
    /// mask.
    const fn input_coefficients(params: &NetworkParams) -> usize {
        params.input_lwe_dimension().0
    }

    /// Returns the size of a key under `params`, in bytes.
    pub const fn blob_len(params: &NetworkParams) -> usize {
        HEADER_BYTES + Self::payload_len(params)
    }

    /// Returns the masks of all ciphertexts, those in the output ring first.
    pub fn masks(&self) -> MaskStream {
        self.seed.stream(Kind::EvaluationKey, self.params.id)
    }

    /// Returns the blob, with the bodies rounded to the bits that are sent.
    pub(super) fn to_blob(&self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(Self::payload_len(&self.params));
        payload.extend_from_slice(&self.seed.0);
        bits::pack(&mut payload, &self.bodies, self.params.key_bits);
        bits::pack(&mut payload, &self.input_zeros, self.params.input_zero_bits);
        if let Some(switch) = &self.params.key_switch {
            bits::pack(&mut payload, &self.key_switch, switch.bits);
        }
        seal_evaluation_key(self.params.id, &payload)
    }

    /// Reads a key from its whole blob.
    pub(super) fn from_blob(blob: &[u8], params: NetworkParams) -> Result<Self, WireError> {
        let payload = open_evaluation_key(blob, params.id, Self::payload_len(&params))?;
        let (seed, bodies) = seed::split(payload)?;
        let (bodies, rest) = bodies.split_at(Self::bodies_len(&params));
        let (input_zeros, key_switch) = rest.split_at(Self::input_zeros_len(&params));
        let key_switch = match &params.key_switch {
            Some(switch) => bits::unpack(key_switch, Self::key_switch_coefficients(&params), switch.bits)?,
            None => Vec::new(),
        };
        Ok(Self {
            params,
            seed,
            bodies: bits::unpack(bodies, Self::coefficients(&params), params.key_bits)?,
            input_zeros: bits::unpack(
                input_zeros,
                Self::input_coefficients(&params),
                params.input_zero_bits,
            )?,
            key_switch,
        })
    }
}
