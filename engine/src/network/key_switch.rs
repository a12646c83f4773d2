//! Key switch from the output secret to the input secret, between layers.

use super::projection::LweCiphertext;
use crate::fourier::{FourierContext, Spectrum, multiply_add};
use blindscore_protocol::{
    params::{KeySwitch, MODULUS_BITS, NetworkParams},
    random::MaskStream,
};

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
        let mut digits = vec![vec![0u64; n]; levels];
        let mut sums: Vec<Spectrum> = (0..self.params.input_glwe_dimension.0)
            .map(|_| fft.zero())
            .collect();
        let mut spectrum = fft.zero();
        let (mut body, mut loss) = (ciphertext.body, 0i64);
        let ciphertexts = self
            .masks
            .chunks_exact(levels)
            .zip(self.bodies.chunks_exact(levels * n));
        for (mask, (masks, bodies)) in ciphertext.mask.chunks_exact(n).zip(ciphertexts) {
            // Coefficient 0 of the product with this polynomial is the scalar product.
            for (place, coefficient) in mask.iter().enumerate() {
                let mut rest = self.rounded(*coefficient, &mut loss);
                for level in (0..levels).rev() {
                    let digit = self.last_digit(&mut rest);
                    body = body.wrapping_sub(digit.wrapping_mul(bodies[level * n + place]));
                    match place {
                        0 => digits[level][0] = digit,
                        _ => digits[level][n - place] = digit.wrapping_neg(),
                    }
                }
            }
            for (digits, masks) in digits.iter().zip(masks) {
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
            body: body.wrapping_sub(loss as u64),
        }
    }

    /// Rounds a coefficient to the levels' bits, and adds half of the error to `loss`. Above these
    /// bits are those that were rounded away: they decide between the ends of the first digit.
    fn rounded(&self, coefficient: u64, loss: &mut i64) -> u64 {
        let bits = (self.switch.base_log.0 * self.switch.level_count.0) as u32;
        let dropped = MODULUS_BITS - bits;
        let kept = coefficient.wrapping_add(1 << (dropped - 1)) >> dropped;
        // Below 2^46 in absolute value, so a sum of thousands fits.
        *loss += coefficient.wrapping_sub(kept << dropped) as i64 / 2;
        kept | coefficient << bits
    }

    /// Takes the last digit, from `-base / 2` to `base / 2`, off a number. Both ends are equally
    /// likely: digits whose mean isn't zero would shift all phases under one key by the same error.
    fn last_digit(&self, rest: &mut u64) -> u64 {
        let base_log = self.switch.base_log.0 as u32;
        let (base, half) = (1u64 << base_log, 1u64 << (base_log - 1));
        let digit = *rest & (base - 1);
        *rest >>= base_log;
        if digit > half || (digit == half && *rest & half != 0) {
            *rest = rest.wrapping_add(1);
            return digit.wrapping_sub(base);
        }
        digit
    }

    /// Returns the size in memory, in 8-byte words.
    pub(super) const fn words(params: NetworkParams) -> usize {
        params.key_switch_ciphertexts() * (params.input_lwe_dimension().0 + params.input_polynomial_size.0)
    }
}
