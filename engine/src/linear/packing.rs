//! Packing of two scores into one ciphertext.
//!
//! With `phi: X -> -X`, coefficients 0 and 1 of `c1 + X c2 + phi(c1 - X c2)` are twice coefficient
//! 0 of `c1` and of `c2`: odd coefficients of `c1` and even ones of `X c2` cancel (Chen, Dai, Kim,
//! Song, ACNS 2021, section 3.2, with one level). `phi(c)` is an encryption under `s(-X)`; one key
//! switch, with a one-level decomposition, returns it to `s`.

use super::key::LinearKey;
use crate::{
    fourier::{FourierContext, Spectrum, multiply},
    rounding::{Secret, expected_product},
};
use blindscore_protocol::{params::MODULUS_BITS, polynomial::product_coefficient};

/// A ciphertext with a score at coefficient 0: a mask of `N` coefficients and one body coefficient.
pub(super) struct Unpacked {
    pub(super) mask: Vec<u64>,
    pub(super) body: u64,
}

/// A ciphertext with scores, doubled, at its first coefficients.
pub(super) struct Packed {
    pub(super) mask: Vec<u64>,
    pub(super) bodies: Vec<u64>,
}

impl Packed {
    /// Doubles a single score, as packing does.
    pub(super) fn single(mut one: Unpacked) -> Self {
        for coefficient in &mut one.mask {
            *coefficient = coefficient.wrapping_mul(2);
        }
        Self {
            mask: one.mask,
            bodies: vec![one.body.wrapping_mul(2)],
        }
    }

    /// Packs two scores.
    pub(super) fn pair(
        fft: &mut FourierContext,
        key: &LinearKey,
        first: &Unpacked,
        second: &Unpacked,
    ) -> Self {
        let base_log = key.params.automorphism_base_log.0;
        let gadget = key.params.automorphism_gadget();
        let n = key.params.n();
        // sum = A1 + X A2; the key switch applies to phi(A1 - X A2).
        let mut sum = Vec::with_capacity(n);
        let mut digits = Vec::with_capacity(n);
        let mut residuals = Vec::with_capacity(n);
        for index in 0..n {
            let one = first.mask[index];
            let shifted = if index == 0 {
                second.mask[n - 1].wrapping_neg()
            } else {
                second.mask[index - 1]
            };
            sum.push(one.wrapping_add(shifted));
            let difference = one.wrapping_sub(shifted);
            let image = if index % 2 == 0 {
                difference
            } else {
                difference.wrapping_neg()
            };
            let digit = image.wrapping_add(gadget / 2) as i64 >> (MODULUS_BITS as usize - base_log);
            digits.push(digit as u64);
            residuals.push(image.wrapping_sub((digit as u64).wrapping_mul(gadget)));
        }

        // phi(c) - digits * (a, b). Only two coefficients of the body are needed.
        let bodies = [(0, first.body), (1, second.body)].map(|(position, body)| {
            body.wrapping_mul(2)
                .wrapping_sub(product_coefficient(&key.automorphism_body, &digits, position))
                .wrapping_sub(expected_product(&residuals, Secret::Image, position))
        });
        for digit in &mut digits {
            *digit = digit.wrapping_neg();
        }
        let (mut spectrum, mut product): (Spectrum, Spectrum) = (fft.zero(), fft.zero());
        fft.forward_integer(&mut spectrum, &digits);
        multiply(&mut product, &spectrum, &key.automorphism_mask);
        fft.add_backward(&mut sum, &mut product);
        Self {
            mask: sum,
            bodies: bodies.to_vec(),
        }
    }
}
