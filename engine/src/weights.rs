//! Integer weights, transformed for scalar products with encrypted features.

use super::{
    fourier::{FourierContext, Spectrum, multiply_add},
    network::{LweCiphertext, extracted},
};
use blindscore_protocol::params::NetworkParams;

/// Weights of features that are packed into the coefficients of polynomials, `N` per polynomial.
///
/// Coefficient 0 of the product with `W(X) = w_0 - sum_i w_i X^(N-i)` is the scalar product.
pub(super) struct Weights {
    /// `W` for each polynomial of features.
    spectra: Vec<Spectrum>,
    integers: Vec<u64>,
}

impl Weights {
    /// Transforms weights for a ring of degree `n`.
    pub(super) fn new(fft: &mut FourierContext, n: usize, weights: &[i64]) -> Self {
        let integers: Vec<u64> = weights.iter().map(|&w| w as u64).collect();
        let spectra = integers.chunks(n).map(|block| {
            let mut polynomial = vec![0u64; n];
            for (index, weight) in block.iter().enumerate() {
                match index {
                    0 => polynomial[0] = *weight,
                    _ => polynomial[n - index] = weight.wrapping_neg(),
                }
            }
            let mut spectrum = fft.zero();
            fft.forward_integer(&mut spectrum, &polynomial);
            spectrum
        });
        Self {
            spectra: spectra.collect(),
            integers,
        }
    }

    /// Returns the LWE ciphertext, under the input secret, of the scalar product with a query of
    /// `bodies` and the spectra of its masks, plus `start`.
    pub(super) fn ciphertext(
        &self,
        params: &NetworkParams,
        fft: &mut FourierContext,
        query: &[Vec<Spectrum>],
        bodies: &[u64],
        start: u64,
    ) -> LweCiphertext {
        let mut mask = Vec::with_capacity(params.input_lwe_dimension().0);
        let mut polynomial = vec![0; params.input_polynomial_size.0];
        for component in 0..params.input_glwe_dimension.0 {
            polynomial.fill(0);
            let masks = query.iter().map(|ciphertext| &ciphertext[component]);
            self.add_mask_product(fft, masks, &mut polynomial);
            mask.extend(extracted(&polynomial));
        }
        LweCiphertext {
            mask,
            body: self.body_product(bodies, start),
        }
    }

    /// Adds the product with `masks`, one per polynomial of features, to `out`.
    pub(super) fn add_mask_product<'a>(
        &self,
        fft: &mut FourierContext,
        masks: impl Iterator<Item = &'a Spectrum>,
        out: &mut [u64],
    ) {
        let mut sum = fft.zero();
        for (mask, weights) in masks.zip(&self.spectra) {
            multiply_add(&mut sum, mask, weights);
        }
        fft.add_backward(out, &mut sum);
    }

    /// Returns coefficient 0 of the product with the bodies, plus `start`: the only one needed, and
    /// exact in integers.
    pub(super) fn body_product(&self, bodies: &[u64], start: u64) -> u64 {
        let pairs = bodies.iter().zip(&self.integers);
        pairs.fold(start, |sum, (body, weight)| {
            sum.wrapping_add(body.wrapping_mul(*weight))
        })
    }
}
