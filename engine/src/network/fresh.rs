//! Fresh encryptions of zero under the input secret.
//!
//! Without them, the rounding before a blind rotation, and with it half of a score's noise, would
//! be a function of the query and the projection's weights. A client could compute that function
//! for any guess of the weights.

use super::projection::LweCiphertext;
use crate::fourier::{FourierContext, Spectrum, multiply_add};
use blindscore_protocol::{
    params::NetworkParams,
    polynomial::product_coefficient,
    random::{MaskStream, Sampler},
};

/// The evaluation key's `k` encryptions of zero in the ring of features.
pub(super) struct InputZeros {
    params: NetworkParams,
    /// Spectra of the masks, by polynomial of the mask, then by encryption.
    masks: Vec<Vec<Spectrum>>,
    /// Bodies, one per encryption.
    bodies: Vec<Vec<u64>>,
}

impl InputZeros {
    /// Expands the masks from the key's stream, where they come next, and transforms them.
    pub(super) fn new(params: NetworkParams, stream: &mut MaskStream, bodies: &[u64]) -> Self {
        let (k, n) = (params.input_glwe_dimension.0, params.input_polynomial_size.0);
        let mut fft = FourierContext::new(params.input_polynomial_size);
        let mut masks: Vec<Vec<Spectrum>> = (0..k).map(|_| Vec::with_capacity(k)).collect();
        for _ in 0..k {
            for (component, polynomial) in masks.iter_mut().zip(stream.next(k * n).chunks_exact(n)) {
                let mut spectrum = fft.zero();
                fft.forward_torus(&mut spectrum, polynomial);
                component.push(spectrum);
            }
        }
        Self {
            params,
            masks,
            bodies: bodies.chunks_exact(n).map(<[u64]>::to_vec).collect(),
        }
    }

    /// Adds a fresh encryption of zero to an LWE ciphertext under the input secret: coefficient 0
    /// of `sum_j u_j (a_j, b_j) + e`, with binary polynomials `u_j`. The query's noise hides the
    /// FFT's rounding errors, at most 2^-40 of the torus.
    pub(super) fn add_to(
        &self,
        fft: &mut FourierContext,
        sampler: &mut Sampler,
        ciphertext: &mut LweCiphertext,
    ) {
        let n = self.params.input_polynomial_size.0;
        let mut u = vec![0; n];
        let mut spectra = Vec::with_capacity(self.bodies.len());
        for body in &self.bodies {
            sampler.fill_binary(&mut u);
            let mut spectrum = fft.zero();
            fft.forward_integer(&mut spectrum, &u);
            spectra.push(spectrum);
            let product = product_coefficient(body, &u, 0);
            ciphertext.body = ciphertext.body.wrapping_add(product);
        }
        let mut polynomial = vec![0; n];
        for (masks, mask) in self.masks.iter().zip(ciphertext.mask.chunks_exact_mut(n)) {
            let mut sum = fft.zero();
            for (zero, u) in masks.iter().zip(&spectra) {
                multiply_add(&mut sum, zero, u);
            }
            polynomial.fill(0);
            fft.add_backward(&mut polynomial, &mut sum);
            // Coefficient 0 of A s is A_0 s_0 - sum_t A_(N-t) s_t.
            mask[0] = mask[0].wrapping_add(polynomial[0]);
            for (mask, coefficient) in mask[1..].iter_mut().zip(polynomial[1..].iter().rev()) {
                *mask = mask.wrapping_sub(*coefficient);
            }
        }
        sampler.add_noise(&mut ciphertext.mask, self.params.input_noise);
        ciphertext.body = ciphertext
            .body
            .wrapping_add(sampler.noise(self.params.input_noise));
    }

    /// Returns the size in memory, in 8-byte words.
    pub(super) const fn words(params: NetworkParams) -> usize {
        let (k, n) = (params.input_glwe_dimension.0, params.input_polynomial_size.0);
        k * (k + 1) * n
    }
}
