use crate::engine::{
    exact::ExactMultiplier,
    fourier::{Ring, Spectrum},
};
use blindscore_protocol::{params::LinearParams, wire::LinearPublicKey};

/// A linear model's public key in the form that scoring needs: masks expanded and transformed.
pub struct LinearKey {
    pub(super) params: LinearParams,
    /// Mask of the encryption of zero.
    pub(super) zero_mask: ExactMultiplier,
    /// Body of the encryption of zero.
    pub(super) zero_body: Vec<u64>,
    /// Mask of the automorphism key.
    pub(super) automorphism_mask: Spectrum,
    /// Body of the automorphism key.
    pub(super) automorphism_body: Vec<u64>,
}

impl LinearKey {
    /// Expands the masks and transforms them; takes a fraction of a millisecond.
    pub fn new(key: &LinearPublicKey) -> Self {
        let params = key.params;
        let mut ring = Ring::new(params.polynomial_size);
        let masks = key.masks().next(2 * params.n());
        let (zero, automorphism) = masks.split_at(params.n());
        let mut automorphism_mask = ring.zero();
        ring.forward_torus(&mut automorphism_mask, automorphism);
        Self {
            params,
            zero_mask: ExactMultiplier::new(&mut ring, zero),
            zero_body: key.zero_body.clone(),
            automorphism_mask,
            automorphism_body: key.automorphism_body.clone(),
        }
    }

    /// Parameters of the key.
    pub fn params(&self) -> LinearParams {
        self.params
    }

    /// Bytes of memory that a key holds: five polynomials of `N` words of 8 bytes.
    pub fn memory_bytes(params: LinearParams) -> usize {
        size_of::<Self>() + 5 * params.n() * size_of::<u64>()
    }
}
