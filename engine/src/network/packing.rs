//! Packing of up to 16 scores into one ciphertext.
//!
//! Each level merges pairs of ciphertexts. For polynomials `a` and `b`, of which the coefficients
//! at multiples of `2 d` matter, the coefficients of `a + X^d b + phi(a - X^d b)` at multiples of
//! `d` are alternately twice those of `a` and of `b`. Here `phi: X -> X^(N/d + 1)` keeps `X^(2 d)`
//! and negates `X^d` (Chen, Dai, Kim, Song, ACNS 2021, algorithm 2). `phi(c)` is an encryption
//! under `phi(s)`; a key switch returns it to `s`. All other coefficients are unused and never
//! leave the server.

use crate::fourier::{FourierContext, Spectrum, multiply_add};
use blindscore_protocol::{
    params::{MODULUS_BITS, NetworkParams},
    polynomial::automorphism,
};

/// Key-switching keys from `s(X^g)` to `s`, for each Galois element `g` of packing.
pub(super) struct PackingKey {
    params: NetworkParams,
    /// GLWE ciphertexts, by Galois element, then by polynomial of the secret.
    levels: Vec<Vec<Vec<Spectrum>>>,
}

impl PackingKey {
    /// Transforms a key. `next_row` fills in its GLWE ciphertexts one after the other.
    pub(super) fn new(
        params: NetworkParams,
        fft: &mut FourierContext,
        mut next_row: impl FnMut(&mut [u64]),
    ) -> Self {
        let n = params.polynomial_size.0;
        let mut row = vec![0; params.ggsw_rows() * n];
        let mut transformed = || {
            next_row(&mut row);
            let spectra = row.chunks_exact(n).map(|polynomial| {
                let mut spectrum = fft.zero();
                fft.forward_torus(&mut spectrum, polynomial);
                spectrum
            });
            spectra.collect()
        };
        let levels = params.galois_elements();
        Self {
            params,
            levels: levels
                .map(|_| (0..params.glwe_dimension.0).map(|_| transformed()).collect())
                .collect(),
        }
    }

    /// Packs 1 to `2^levels` GLWE ciphertexts. Coefficient 0 of the phase of `ciphertexts[j]`
    /// becomes coefficient `j N / 2^levels` of the phase of the result.
    pub(super) fn pack(&self, fft: &mut FourierContext, mut ciphertexts: Vec<Vec<u64>>) -> Vec<u64> {
        // Every level doubles, so divide first. Errors of the division, multiples of 2^-levels of
        // the torus, become whole turns.
        for coefficient in ciphertexts.iter_mut().flatten() {
            *coefficient >>= self.params.packing_log2;
        }
        for (level, exponent) in self.params.galois_elements().enumerate() {
            let half = 1 << (self.levels.len() - 1 - level);
            let others = ciphertexts.split_off(half.min(ciphertexts.len()));
            let mut others = others.into_iter();
            for ciphertext in &mut ciphertexts {
                match others.next() {
                    Some(other) => self.merge(fft, ciphertext, &other, level, exponent),
                    None => ciphertext.iter_mut().for_each(|x| *x = x.wrapping_mul(2)),
                }
            }
        }
        ciphertexts.swap_remove(0)
    }

    /// `a = a + X^d b + phi(a - X^d b)`.
    fn merge(&self, fft: &mut FourierContext, a: &mut [u64], b: &[u64], level: usize, exponent: usize) {
        let n = self.params.polynomial_size.0;
        let d = n >> (level + 1);
        let mut images = Vec::with_capacity(a.len());
        for (a, b) in a.chunks_exact_mut(n).zip(b.chunks_exact(n)) {
            let shifted = b[n - d..]
                .iter()
                .map(|x| x.wrapping_neg())
                .chain(b[..n - d].iter().copied());
            let mut difference = vec![0; n];
            for ((a, difference), shifted) in a.iter_mut().zip(&mut difference).zip(shifted) {
                *difference = a.wrapping_sub(shifted);
                *a = a.wrapping_add(shifted);
            }
            let mut image = vec![0; n];
            automorphism(&mut image, &difference, exponent);
            images.push(image);
        }
        // phi(c) - sum over i of digits(mask_i) * row_i.
        let (mask, body) = a.split_at_mut(a.len() - n);
        if let Some(image) = images.pop() {
            for (body, image) in body.iter_mut().zip(image) {
                *body = body.wrapping_add(image);
            }
        }
        let shift = MODULUS_BITS - self.params.base_log.0 as u32;
        let mut sums: Vec<Spectrum> = (0..=images.len()).map(|_| fft.zero()).collect();
        let mut spectrum = fft.zero();
        for (mut image, row) in images.into_iter().zip(&self.levels[level]) {
            for coefficient in &mut image {
                let digit = coefficient.wrapping_add(1 << (shift - 1)) as i64 >> shift;
                *coefficient = digit.wrapping_neg() as u64;
            }
            fft.forward_integer(&mut spectrum, &image);
            for (sum, row) in sums.iter_mut().zip(row) {
                multiply_add(sum, &spectrum, row);
            }
        }
        for (out, mut sum) in mask.chunks_exact_mut(n).chain([body]).zip(sums) {
            fft.add_backward(out, &mut sum);
        }
    }
}
