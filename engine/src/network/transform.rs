//! The negacyclic transform of the accumulators' ring: the hot path of a blind rotation.
//!
//! A polynomial of `N` real coefficients is folded into `N/2` complex ones, `p_j + i p_(j+N/2)`,
//! twisted by the `2N`-th roots of unity and transformed (Klemsa, "Fast and Error-Free Negacyclic
//! Integer Convolution using Extended Fourier Transform", <https://eprint.iacr.org/2021/480>).
//! `tfhe-fft` provides the transforms; the steps around them are fused into single passes.

use aligned_vec::{AVec, CACHELINE_ALIGN};
use dyn_stack::{PodBuffer, PodStack};
use std::time::Duration;
use tfhe_fft::{
    c64,
    unordered::{Method, Plan},
};

/// Complex values, aligned to cache lines.
pub(super) type Values = AVec<c64>;

pub(super) fn zeros(len: usize) -> Values {
    AVec::from_iter(CACHELINE_ALIGN, std::iter::repeat_n(c64::default(), len))
}

/// Negacyclic transforms for one `N`.
pub(super) struct Transform {
    plan: Plan,
    /// `exp(i pi j / N)`.
    twist: Twist,
    /// Conjugates of `twist`, divided by `N/2`.
    untwist: Twist,
}

struct Twist {
    re: Vec<f64>,
    im: Vec<f64>,
}

impl Twist {
    fn new(size: usize, sign: f64, factor: f64) -> Self {
        let angles = (0..size / 2).map(|j| sign * std::f64::consts::PI * j as f64 / size as f64);
        let (re, im) = angles.map(|a| (a.cos() * factor, a.sin() * factor)).unzip();
        Self { re, im }
    }
}

/// Scratch memory for the transforms of one thread.
pub(super) struct Scratch(PodBuffer);

impl Transform {
    /// Picks the fastest plan for `size`, a power of two, on this machine, within some
    /// milliseconds. Spectra are only valid with the plan that made them.
    pub(super) fn new(size: usize) -> Self {
        Self {
            plan: Plan::new(size / 2, Method::Measure(Duration::from_millis(5))),
            twist: Twist::new(size, 1.0, 1.0),
            untwist: Twist::new(size, -1.0, 2.0 / size as f64),
        }
    }

    pub(super) fn scratch(&self) -> Scratch {
        Scratch(PodBuffer::new(self.plan.fft_scratch()))
    }

    /// Transforms torus elements, scaled to `[-1/2, 1/2)`.
    pub(super) fn forward_torus(&self, out: &mut [c64], coefficients: &[u64], scratch: &mut Scratch) {
        let (re, im) = coefficients.split_at(coefficients.len() / 2);
        let scaled = |x: u64| x as i64 as f64 * 2f64.powi(-64);
        for (out, ((&re, &im), (&w_re, &w_im))) in
            out.iter_mut().zip(re.iter().zip(im).zip(self.twist.values()))
        {
            *out = c64::new(scaled(re), scaled(im)) * c64::new(w_re, w_im);
        }
        self.plan.fwd(out, PodStack::new(&mut scratch.0));
    }

    /// Transforms the signed `base_log`-bit digit of each coefficient of `p X^steps - p`, for
    /// `steps < 2N`: a one-level decomposition (Chillotti, Gama, Georgieva, Izabachène, J.
    /// Cryptology 2020, section 3).
    ///
    /// `rotated` is scratch memory of `N` coefficients.
    #[inline(always)]
    pub(super) fn forward_difference(
        &self,
        out: &mut [c64],
        polynomial: &[u64],
        steps: usize,
        base_log: u32,
        rotated: &mut [u64],
        scratch: &mut Scratch,
    ) {
        rotate_into(rotated, polynomial, steps);
        let half = polynomial.len() / 2;
        let (re, im) = polynomial.split_at(half);
        let (rotated_re, rotated_im) = rotated.split_at(half);
        let digit = Digit::new(base_log);
        let differences = rotated_re.iter().zip(re).zip(rotated_im.iter().zip(im));
        for (out, (((a, b), (c, d)), (&w_re, &w_im))) in
            out.iter_mut().zip(differences.zip(self.twist.values()))
        {
            let re = digit.of(a.wrapping_sub(*b));
            let im = digit.of(c.wrapping_sub(*d));
            *out = c64::new(re * w_re - im * w_im, re * w_im + im * w_re);
        }
        self.plan.fwd(out, PodStack::new(&mut scratch.0));
    }

    /// Adds the inverse transform of `spectrum`, as torus elements, to `coefficients`. Overwrites
    /// `spectrum`.
    #[inline(always)]
    pub(super) fn add_backward(&self, coefficients: &mut [u64], spectrum: &mut [c64], scratch: &mut Scratch) {
        self.plan.inv(spectrum, PodStack::new(&mut scratch.0));
        let (re, im) = coefficients.split_at_mut(coefficients.len() / 2);
        let outputs = re.iter_mut().zip(im);
        for ((re, im), (value, (&w_re, &w_im))) in outputs.zip(spectrum.iter().zip(self.untwist.values())) {
            *re = re.wrapping_add(torus(value.re * w_re - value.im * w_im));
            *im = im.wrapping_add(torus(value.re * w_im + value.im * w_re));
        }
    }
}

impl Twist {
    #[inline(always)]
    fn values(&self) -> impl Iterator<Item = (&f64, &f64)> {
        self.re.iter().zip(&self.im)
    }
}

/// Computes `out = p X^steps` modulo `X^N + 1`, for `steps < 2N`.
#[inline(always)]
pub(super) fn rotate_into(out: &mut [u64], polynomial: &[u64], steps: usize) {
    let size = polynomial.len();
    let (shift, sign) = if steps < size {
        (steps, 0)
    } else {
        (steps - size, u64::MAX)
    };
    // (x ^ sign) - sign is x or -x.
    let (low, high) = polynomial.split_at(size - shift);
    let (wrapped, kept) = out.split_at_mut(shift);
    for (out, x) in kept.iter_mut().zip(low) {
        *out = (x ^ sign).wrapping_sub(sign);
    }
    for (out, x) in wrapped.iter_mut().zip(high) {
        *out = (x ^ !sign).wrapping_sub(!sign);
    }
}

/// Conversion to the integer closest to `x / 2^(64 - base_log)`, as an f64, for `x` in two's
/// complement.
///
/// It avoids a conversion instruction that some processors lack for vectors of 64-bit integers: the
/// digit, made positive, becomes the low mantissa bits of a number with exponent 52.
#[derive(Clone, Copy)]
struct Digit {
    shift: u32,
    rounding: u64,
    offset: f64,
}

impl Digit {
    const EXPONENT: u64 = (1023 + 52) << 52;

    #[inline(always)]
    fn new(base_log: u32) -> Self {
        let shift = 64 - base_log;
        Self {
            shift,
            rounding: (1 << 63) + (1 << (shift - 1)),
            offset: 2f64.powi(52) + 2f64.powi(base_log as i32 - 1),
        }
    }

    #[inline(always)]
    fn of(self, x: u64) -> f64 {
        let positive = x.wrapping_add(self.rounding) >> self.shift;
        f64::from_bits(positive | Self::EXPONENT) - self.offset
    }
}

/// Returns the torus element closest to `x`, a real number below 2^51 in absolute value, to 52
/// bits.
///
/// The fraction, moved to `[1, 2)`, is the mantissa.
#[inline(always)]
fn torus(x: f64) -> u64 {
    const ROUND: f64 = 1.5 * (1u64 << 52) as f64;
    let fraction = x - ((x + ROUND) - ROUND);
    ((fraction + 1.5).to_bits() << 12) ^ (1 << 63)
}

#[cfg(test)]
mod tests {
    use super::*;
    use blindscore_protocol::random::reproducible;
    use tfhe::core_crypto::prelude::{DecompositionBaseLog, DecompositionLevelCount, SignedDecomposer};

    #[test]
    fn rotations_wrap_with_a_sign() {
        let polynomial = [1, 2, 3, 4];
        let mut out = [0; 4];
        let m = |x: u64| x.wrapping_neg();
        for (steps, expected) in [
            (0, [1, 2, 3, 4]),
            (1, [m(4), 1, 2, 3]),
            (3, [m(2), m(3), m(4), 1]),
            (4, [m(1), m(2), m(3), m(4)]),
            (5, [4, m(1), m(2), m(3)]),
            (7, [2, 3, 4, m(1)]),
        ] {
            rotate_into(&mut out, &polynomial, steps);
            assert_eq!(out, expected, "{steps}");
        }
    }

    #[test]
    fn digits_are_tfhes() {
        for base_log in [1, 7, 22, 23, 30] {
            let digit = Digit::new(base_log);
            let theirs = SignedDecomposer::<u64>::new(
                DecompositionBaseLog(base_log as usize),
                DecompositionLevelCount(1),
            );
            let mut values = reproducible([5; 16], 1000);
            values.extend([0, 1, u64::MAX, 1 << 63, (1 << 63) - 1, 1 << 62, 3 << 62]);
            for value in values {
                // Compared modulo the base: one half of the torus may round to either of two equal
                // digits.
                let expected = theirs.closest_representable(value) >> (64 - base_log);
                let found = digit.of(value);
                assert!(found.abs() <= 2f64.powi(base_log as i32 - 1), "{value:x}");
                assert_eq!(found as i64 as u64 & ((1 << base_log) - 1), expected, "{value:x}");
            }
        }
    }

    #[test]
    fn reals_become_torus_elements() {
        assert_eq!(torus(0.0), 0);
        assert_eq!(torus(0.25), 1 << 62);
        assert_eq!(torus(-0.25), 3 << 62);
        assert_eq!(torus(0.5), 1 << 63);
        assert_eq!(torus(-0.5), 1 << 63);
        assert_eq!(torus(2f64.powi(30) + 0.125), 1 << 61);
        assert_eq!(
            torus(-(2f64.powi(30)) - 2f64.powi(-20)),
            (1u64 << 44).wrapping_neg()
        );
    }

    #[test]
    fn forward_and_backward_is_the_digits_polynomial() {
        let (n, base_log) = (512, 10);
        let transform = Transform::new(n);
        let mut scratch = transform.scratch();
        let polynomial = reproducible([6; 16], n);
        let (mut rotated, mut spectrum) = (vec![0; n], zeros(n / 2));
        transform.forward_difference(
            &mut spectrum,
            &polynomial,
            700,
            base_log,
            &mut rotated,
            &mut scratch,
        );
        // Scaled down, so that the digits become torus elements.
        for value in spectrum.iter_mut() {
            *value *= 2f64.powi(-20);
        }
        let mut found = vec![1u64 << 40; n];
        transform.add_backward(&mut found, &mut spectrum, &mut scratch);
        let mut expected = vec![0; n];
        rotate_into(&mut expected, &polynomial, 700);
        for ((found, rotated), coefficient) in found.iter().zip(&expected).zip(&polynomial) {
            let digit = Digit::new(base_log).of(rotated.wrapping_sub(*coefficient)) as i64;
            let exact = ((digit << 44) as u64).wrapping_add(1 << 40);
            assert!(
                (found.wrapping_sub(exact) as i64).unsigned_abs() < 1 << 16,
                "{found:x} {exact:x}"
            );
        }
    }
}
