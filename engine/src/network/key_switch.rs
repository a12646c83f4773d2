//! Key switch from the output secret to the input secret, between layers.

use super::projection::LweCiphertext;
use crate::fourier::{FourierContext, Spectrum, multiply_add};
use blindscore_protocol::{
    params::{KeySwitch, MODULUS_BITS, NetworkParams},
    random::MaskStream,
};
use pulp::{Arch, NullaryFnOnce};

/// A key-switching key, in the input ring: for each polynomial of the output secret, an encryption
/// for each level of its multiples.
///
/// The ring makes the key 64 times smaller in memory than one for LWE ciphertexts, and its products
/// as much faster. Only coefficient 0 of the result is used.
pub(super) struct KeySwitchKey {
    params: NetworkParams,
    switch: KeySwitch,
    /// Spectra of the masks, by ciphertext, then by polynomial.
    masks: Vec<Vec<Spectrum>>,
    /// Bodies of all ciphertexts, `N` coefficients each.
    bodies: Vec<u64>,
}

impl KeySwitchKey {
    /// Expands the masks from the key's stream, where they come last, and transforms them. `None`
    /// if the set has no key switch.
    pub(super) fn new(params: NetworkParams, stream: &mut MaskStream, bodies: &[u64]) -> Option<Self> {
        let switch = params.key_switch?;
        let n = params.input_polynomial_size.0;
        let mut fft = FourierContext::new(params.input_polynomial_size);
        let mut transformed = |polynomial: &[u64]| {
            let mut spectrum = fft.zero();
            fft.forward_torus(&mut spectrum, polynomial);
            spectrum
        };
        let masks = (0..params.key_switch_ciphertexts()).map(|_| {
            let mask = stream.next(params.input_lwe_dimension().0);
            mask.chunks_exact(n).map(&mut transformed).collect()
        });
        Some(Self {
            params,
            switch,
            masks: masks.collect(),
            bodies: bodies.to_vec(),
        })
    }

    /// Returns an LWE ciphertext under the input secret of what `ciphertext` encrypts under the
    /// output secret. `fft` is that of the input ring.
    ///
    /// Digits are those of the coefficients rounded to the key's levels. A secret bit is 1/2 on
    /// average, so the body absorbs half of the rounding errors.
    pub(super) fn apply(&self, fft: &mut FourierContext, ciphertext: &LweCiphertext) -> LweCiphertext {
        let n = self.params.input_polynomial_size.0;
        let levels = self.switch.level_count.0;
        let mut decomposition = Decomposition::new(self.switch, n);
        let mut sums: Vec<Spectrum> = (0..self.params.input_glwe_dimension.0)
            .map(|_| fft.zero())
            .collect();
        let mut spectrum = fft.zero();
        let mut body = ciphertext.body;
        let ciphertexts = self
            .masks
            .chunks_exact(levels)
            .zip(self.bodies.chunks_exact(levels * n));
        for (mask, (masks, bodies)) in ciphertext.mask.chunks_exact(n).zip(ciphertexts) {
            body = body.wrapping_sub(Arch::new().dispatch(Decompose {
                of: mask,
                bodies,
                into: &mut decomposition,
            }));
            for (digits, masks) in decomposition.digits.iter().zip(masks) {
                fft.forward_integer(&mut spectrum, digits);
                for (sum, mask) in sums.iter_mut().zip(masks) {
                    multiply_add(sum, &spectrum, mask);
                }
            }
        }
        let mut mask = Vec::with_capacity(self.params.input_lwe_dimension().0);
        let mut polynomial = vec![0; n];
        for mut sum in sums {
            polynomial.fill(0);
            fft.add_backward(&mut polynomial, &mut sum);
            mask.push(polynomial[0].wrapping_neg());
            mask.extend(polynomial[1..].iter().rev());
        }
        LweCiphertext {
            mask,
            body: body.wrapping_sub(decomposition.loss as u64),
        }
    }

    /// Returns the size in memory, in 8-byte words.
    pub(super) const fn words(params: NetworkParams) -> usize {
        params.key_switch_ciphertexts() * (params.input_lwe_dimension().0 + params.input_polynomial_size.0)
    }
}

/// Scratch memory for the digits of one polynomial at a time, and the rounding errors of all.
struct Decomposition {
    switch: KeySwitch,
    /// Each coefficient, without the digits taken so far.
    rests: Vec<u64>,
    /// By level: digits `d_p` as `sum_p d_p X^(-p)`. Coefficient 0 of a product with this
    /// polynomial is a scalar product.
    digits: Vec<Vec<u64>>,
    /// Half of the sum of all rounding errors.
    loss: i64,
}

/// Decomposes a polynomial, and returns the scalar product of all digits with `bodies`. It is
/// compiled for each SIMD instruction set.
struct Decompose<'a> {
    of: &'a [u64],
    bodies: &'a [u64],
    into: &'a mut Decomposition,
}

impl Decomposition {
    fn new(switch: KeySwitch, n: usize) -> Self {
        Self {
            switch,
            rests: vec![0; n],
            digits: vec![vec![0; n]; switch.level_count.0],
            loss: 0,
        }
    }
}

impl NullaryFnOnce for Decompose<'_> {
    type Output = u64;

    #[inline(always)]
    fn call(self) -> u64 {
        let Self { of, bodies, into } = self;
        let Decomposition {
            switch,
            rests,
            digits,
            loss,
        } = into;
        let base_log = switch.base_log.0 as u32;
        let kept_bits = base_log * switch.level_count.0 as u32;
        let dropped = MODULUS_BITS - kept_bits;
        // At most 2^49 in absolute value each, so a sum of thousands fits.
        let mut errors = 0i64;
        for (rest, coefficient) in rests.iter_mut().zip(of) {
            let kept = coefficient.wrapping_add(1 << (dropped - 1)) >> dropped;
            errors += coefficient.wrapping_sub(kept << dropped) as i64 / 2;
            // Above the levels' bits are those that were rounded away: they decide between the ends
            // of the first digit.
            *rest = kept | coefficient << kept_bits;
        }
        *loss += errors;
        let mut product = 0u64;
        for (digits, bodies) in digits.iter_mut().zip(bodies.chunks_exact(of.len())).rev() {
            for ((digit, rest), body) in digits.iter_mut().zip(rests.iter_mut()).zip(bodies) {
                *digit = last_digit(rest, base_log);
                product = product.wrapping_add(digit.wrapping_mul(*body));
            }
            // X^(-p) = -X^(n-p).
            digits[1..].reverse();
            digits[1..]
                .iter_mut()
                .for_each(|digit| *digit = digit.wrapping_neg());
        }
        product
    }
}

/// Takes the last digit, from `-base / 2` to `base / 2`, off a number. Both ends are equally
/// likely: digits whose mean isn't zero would shift all phases under one key by the same error.
#[inline(always)]
fn last_digit(rest: &mut u64, base_log: u32) -> u64 {
    let half = 1u64 << (base_log - 1);
    let digit = *rest & (2 * half - 1);
    *rest >>= base_log;
    // A tie goes by the next digit's highest bit. There is no branch: it would often be
    // mispredicted, and would keep loops from being compiled to vectors.
    let carry = (digit + (*rest >> (base_log - 1) & 1) + half - 1) >> base_log;
    *rest = rest.wrapping_add(carry);
    digit.wrapping_sub(carry << base_log)
}

#[cfg(test)]
mod tests {
    use super::*;
    use blindscore_protocol::{
        params::ParameterSet,
        random::{reproducible, reproducible_stream},
    };

    /// The digit by its definition.
    fn plain_digit(rest: &mut u64, base_log: u32) -> u64 {
        let (base, half) = (1u64 << base_log, 1u64 << (base_log - 1));
        let digit = *rest % base;
        *rest >>= base_log;
        if digit > half || (digit == half && *rest & half != 0) {
            *rest = rest.wrapping_add(1);
            return digit.wrapping_sub(base);
        }
        digit
    }

    /// The key switch by its definition: `sum_p,l d_pl (A_pl, b_pl)`, a coefficient at a time.
    fn plain(key: &KeySwitchKey, masks: &[u64], ciphertext: &LweCiphertext) -> LweCiphertext {
        let n = key.params.input_polynomial_size.0;
        let (dimension, levels) = (key.params.input_lwe_dimension().0, key.switch.level_count.0);
        let base_log = key.switch.base_log.0 as u32;
        let dropped = MODULUS_BITS - base_log * levels as u32;
        let (mut mask, mut body) = (vec![0u64; dimension], ciphertext.body);
        for (place, coefficient) in ciphertext.mask.iter().enumerate() {
            let kept = coefficient.wrapping_add(1 << (dropped - 1)) >> dropped;
            let error = coefficient.wrapping_sub(kept << dropped) as i64;
            body = body.wrapping_sub((error / 2) as u64);
            let mut rest = kept | coefficient << (MODULUS_BITS - dropped);
            for level in (0..levels).rev() {
                let digit = plain_digit(&mut rest, base_log);
                let row = place / n * levels + level;
                body = body.wrapping_sub(digit.wrapping_mul(key.bodies[row * n + place % n]));
                // The body at p belongs to (A s)_p, a scalar product with the secret: of A_(p-t)
                // for t up to p, and of -A_(n+p-t) for others.
                for (index, out) in mask.iter_mut().enumerate() {
                    let polynomial = &masks[row * dimension + index / n * n..][..n];
                    let (p, t) = (place % n, index % n);
                    let value = match t <= p {
                        true => polynomial[p - t],
                        false => polynomial[n + p - t].wrapping_neg(),
                    };
                    *out = out.wrapping_sub(digit.wrapping_mul(value));
                }
            }
        }
        LweCiphertext { mask, body }
    }

    #[test]
    fn digits_are_those_of_the_definition() {
        for base_log in 1..=5 {
            let mut numbers = reproducible([7; 16], 200);
            numbers.extend([0, 1, u64::MAX, 1 << 63, (1 << 63) - 1, 0x5555_5555_5555_5555]);
            for number in numbers {
                let (mut rest, mut plain_rest) = (number, number);
                for _ in 0..=64 / base_log {
                    let digit = last_digit(&mut rest, base_log);
                    assert_eq!(digit, plain_digit(&mut plain_rest, base_log), "{number:x}");
                    assert_eq!(rest, plain_rest, "{number:x}");
                }
            }
        }
    }

    #[test]
    fn switched_ciphertexts_are_those_of_the_definition() {
        let mut tried = 0;
        for set in ParameterSet::ALL {
            let ParameterSet::Network(params) = set else {
                continue;
            };
            let n = params.input_polynomial_size.0;
            let bodies = reproducible([8; 16], params.key_switch_ciphertexts() * n);
            let Some(key) = KeySwitchKey::new(params, &mut reproducible_stream([9; 16]), &bodies) else {
                continue;
            };
            tried += 1;
            let mut masks = vec![0; params.key_switch_ciphertexts() * params.input_lwe_dimension().0];
            reproducible_stream([9; 16]).fill(&mut masks);
            let mut mask = reproducible([10; 16], params.output_lwe_dimension().0);
            mask[..4].copy_from_slice(&[0, u64::MAX, 1 << 63, (1 << 63) - 1]);
            let ciphertext = LweCiphertext { mask, body: 12_345 };
            let mut fft = FourierContext::new(params.input_polynomial_size);
            let found = key.apply(&mut fft, &ciphertext);
            let expected = plain(&key, &masks, &ciphertext);
            assert_eq!(found.body, expected.body, "{}", params.name);
            let mut worst = 0;
            for (found, expected) in found.mask.iter().zip(&expected.mask) {
                let error = found.wrapping_sub(*expected) as i64;
                worst = worst.max(error.unsigned_abs());
            }
            // The FFT's rounding errors, far below the key's noise of 2^46 and more.
            assert!(worst < 1 << 24, "{}: {worst}", params.name);
        }
        assert!(tried > 1, "sets with a key switch");
    }
}
