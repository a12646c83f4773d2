//! Reads of a rotated table: sums over a window of coefficients.
//!
//! The noise of neighbouring coefficients is independent in part, and a table changes little from
//! one to the next. A sum of several is a read with the same weight and less noise than one
//! coefficient times their number.

use crate::network::{LweCiphertext, extracted};
use blindscore_protocol::params::{MODULUS_BITS, NetworkParams};

/// Coefficients of a window. Wider ones have little less noise for the same weight, because a part of it is
/// shared, and divide weights less finely.
pub const WINDOW: usize = 4;
/// Coefficients before the middle of a window.
const BEFORE: usize = WINDOW / 2;
/// Bits kept of a read's coefficients: rounding to them is far below the noise.
const BITS: u32 = u32::BITS;

/// LWE ciphertext of a read under the output secret.
#[derive(Clone)]
pub(super) struct Read {
    mask: Vec<u32>,
    body: u32,
}

impl Read {
    /// Reads a rotated table, a GLWE ciphertext of `(k + 1) N` coefficients.
    pub(super) fn of(params: &NetworkParams, rotated: &[u64]) -> Self {
        let (mask, body) = rotated.split_at(params.output_lwe_dimension().0);
        let rounded = |coefficient: u64| {
            let dropped = MODULUS_BITS - BITS;
            (coefficient.wrapping_add(1 << (dropped - 1)) >> dropped) as u32
        };
        let mut coefficients = Vec::with_capacity(mask.len());
        for polynomial in mask.chunks_exact(params.polynomial_size.0) {
            coefficients.extend(extracted(&windows(polynomial)).map(rounded));
        }
        Self {
            mask: coefficients,
            body: rounded(windows(body)[0]),
        }
    }

    /// Adds another read.
    pub(super) fn add(&mut self, other: &Self) {
        for (sum, coefficient) in self.mask.iter_mut().zip(&other.mask) {
            *sum = sum.wrapping_add(*coefficient);
        }
        self.body = self.body.wrapping_add(other.body);
    }

    /// Returns the sum of reads times integer weights.
    pub(super) fn weighted<'r>(
        params: &NetworkParams,
        terms: impl Iterator<Item = (&'r Self, i32)>,
    ) -> LweCiphertext {
        let mut sum = vec![0u32; params.output_lwe_dimension().0];
        let mut body = 0u32;
        for (read, weight) in terms {
            let weight = weight as u32;
            for (sum, coefficient) in sum.iter_mut().zip(&read.mask) {
                *sum = sum.wrapping_add(coefficient.wrapping_mul(weight));
            }
            body = body.wrapping_add(read.body.wrapping_mul(weight));
        }
        let widened = |coefficient: u32| u64::from(coefficient) << (MODULUS_BITS - BITS);
        LweCiphertext {
            mask: sum.into_iter().map(widened).collect(),
            body: widened(body),
        }
    }
}

/// Returns the sums of the windows around each coefficient, from [`BEFORE`] before it, with
/// `X^N = -1`.
fn windows(polynomial: &[u64]) -> Vec<u64> {
    let n = polynomial.len();
    // Coefficients from -BEFORE to N + BEFORE - 1.
    let before = polynomial[n - BEFORE..].iter().map(|x| x.wrapping_neg());
    let after = polynomial[..BEFORE].iter().map(|x| x.wrapping_neg());
    let extended: Vec<u64> = before.chain(polynomial.iter().copied()).chain(after).collect();
    let mut sum = extended[..WINDOW]
        .iter()
        .fold(0u64, |sum, x| sum.wrapping_add(*x));
    let mut sums = Vec::with_capacity(n);
    sums.push(sum);
    for (entering, leaving) in extended[WINDOW..].iter().zip(&extended).take(n - 1) {
        sum = sum.wrapping_add(*entering).wrapping_sub(*leaving);
        sums.push(sum);
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_wrap_with_a_sign() {
        let polynomial: Vec<u64> = (0..32).map(|x| x * x + 1).collect();
        let at = |index: i64| match index {
            index if index < 0 => polynomial[(index + 32) as usize].wrapping_neg(),
            index if index >= 32 => polynomial[(index - 32) as usize].wrapping_neg(),
            index => polynomial[index as usize],
        };
        for (place, sum) in windows(&polynomial).into_iter().enumerate() {
            let place = place as i64;
            let expected = (place - 2..place + 2).fold(0u64, |sum, index| sum.wrapping_add(at(index)));
            assert_eq!(sum, expected, "{place}");
        }
    }
}
