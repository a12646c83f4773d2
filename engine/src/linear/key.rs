//! Evaluation keys of linear models, prepared for scoring.

use crate::{
    exact::ExactMultiplier,
    fourier::{FourierContext, Spectrum},
};
use blindscore_protocol::{params::LinearParams, wire::LinearEvaluationKey};

/// A linear model's evaluation key, with masks expanded and transformed for scoring.
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
    /// Expands and transforms the masks, in a fraction of a millisecond.
    pub fn new(key: &LinearEvaluationKey) -> Self {
        let params = key.params;
        let mut fft = FourierContext::new(params.polynomial_size);
        let masks = key.masks().next(2 * params.n());
        let (zero, automorphism) = masks.split_at(params.n());
        let mut automorphism_mask = fft.zero();
        fft.forward_torus(&mut automorphism_mask, automorphism);
        Self {
            params,
            zero_mask: ExactMultiplier::new(&mut fft, zero),
            zero_body: key.zero_body.clone(),
            automorphism_mask,
            automorphism_body: key.automorphism_body.clone(),
        }
    }

    /// Returns the key's parameters.
    pub fn params(&self) -> LinearParams {
        self.params
    }

    /// Returns the size of a key in memory, in bytes: five polynomials of `N` 8-byte words.
    pub fn memory_bytes(params: LinearParams) -> usize {
        size_of::<Self>() + 5 * params.n() * size_of::<u64>()
    }
}
