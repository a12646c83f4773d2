use super::{
    bits,
    envelope::{HEADER_BYTES, Kind, WireError},
    public_key::{open, seal},
};
use crate::{
    params::NetworkParams,
    random::{MaskSeed, MaskStream, SEED_BYTES},
};

/// Public key for a projection network: seeded GLWE encryptions, bodies only.
///
/// For each bit `b` of the input secret the rows of a GGSW encryption, `-b s_i * gadget` for each polynomial `s_i` of the secret, then
/// `b * gadget`; for each automorphism of packing the rows `s_i(X^g) * gadget` of a key-switching key; and `k` encryptions of zero.
/// Then, in the ring that features are encrypted in, as many encryptions of zero as its `k`.
/// The masks are one stream, expanded from [`NetworkPublicKey::seed`].
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkPublicKey {
    /// Parameters of the key.
    pub params: NetworkParams,
    /// Public seed of all masks.
    pub seed: MaskSeed,
    /// `N` body coefficients of each ciphertext in the ring of scores.
    pub bodies: Vec<u64>,
    /// `N` body coefficients of each encryption of zero in the ring of features.
    pub input_zeros: Vec<u64>,
}

impl NetworkPublicKey {
    const fn coefficients(params: &NetworkParams) -> usize {
        params.key_ciphertexts() * params.size.0
    }

    const fn payload_len(params: &NetworkParams) -> usize {
        SEED_BYTES
            + Self::bodies_len(params)
            + bits::packed_len(Self::input_coefficients(params), params.input_zero_bits)
    }

    const fn bodies_len(params: &NetworkParams) -> usize {
        bits::packed_len(Self::coefficients(params), params.key_bits)
    }

    /// As many encryptions of zero as the ring of features has polynomials in a mask.
    const fn input_coefficients(params: &NetworkParams) -> usize {
        params.input_lwe_dimension().0
    }

    /// Bytes of a key under `params`.
    pub const fn blob_len(params: &NetworkParams) -> usize {
        HEADER_BYTES + Self::payload_len(params)
    }

    /// The masks of all ciphertexts: those of the ring of scores first.
    pub fn masks(&self) -> MaskStream {
        self.seed.stream(Kind::PublicKey, self.params.id)
    }

    /// The blob. Rounds the bodies to the bits that travel.
    pub(super) fn to_blob(&self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(Self::payload_len(&self.params));
        payload.extend_from_slice(&self.seed.0);
        bits::pack(&mut payload, &self.bodies, self.params.key_bits);
        bits::pack(&mut payload, &self.input_zeros, self.params.input_zero_bits);
        seal(self.params.id, &payload)
    }

    /// Reads a whole key.
    pub(super) fn from_blob(blob: &[u8], params: NetworkParams) -> Result<Self, WireError> {
        let payload = open(blob, params.id, Self::payload_len(&params))?;
        let (seed, bodies) = MaskSeed::split_from(payload)?;
        let (bodies, input_zeros) = bodies.split_at(Self::bodies_len(&params));
        Ok(Self {
            params,
            seed,
            bodies: bits::unpack(bodies, Self::coefficients(&params), params.key_bits)?,
            input_zeros: bits::unpack(
                input_zeros,
                Self::input_coefficients(&params),
                params.input_zero_bits,
            )?,
        })
    }
}
