//! Exact products with binary secrets, the main cost of key generation.
//!
//! A negacyclic FFT in f64 (Klemsa, "Fast and Error-Free Negacyclic Integer Convolution using
//! Extended Fourier Transform", <https://eprint.iacr.org/2021/480>) of two limbs of 32 bits: no sum
//! of `k N <= 2^11` terms exceeds 2^42, and the error of a transform stays far below one half, so
//! that rounding gives the integers. The code is small and vectorises on its own; a large FFT
//! library would be bigger than the whole WebAssembly module. The running time does not depend on
//! the secret.

use std::sync::{Arc, Mutex, PoisonError};
use zeroize::Zeroizing;

/// Bits of the lower limb.
const LIMB_BITS: u32 = 32;

/// Spectrum of a polynomial of `N` coefficients: `N/2` complex values.
struct Spectrum {
    re: Zeroizing<Vec<f64>>,
    im: Zeroizing<Vec<f64>>,
}

/// Roots of unity for one pass over the values.
struct Roots {
    re: Vec<f64>,
    im: Vec<f64>,
}

impl Roots {
    /// Returns `exp(i pi j / half)` for `j < count`, at most `half`.
    fn new(count: usize, half: usize) -> Self {
        let (re, im) = (0..count).map(|j| root(j, half)).unzip();
        Self { re, im }
    }

    fn values(&self) -> impl Iterator<Item = (&f64, &f64)> {
        self.re.iter().zip(&self.im)
    }
}

/// Returns the cosine and the sine of `pi j / half`, for `j` below `half`. The standard library's
/// would be 3 kB more of compressed WebAssembly, mostly for huge angles.
fn root(j: usize, half: usize) -> (f64, f64) {
    let angle = |turns: f64| std::f64::consts::PI * turns / half as f64;
    let (j, half) = (j as f64, half as f64);
    // Symmetry leaves an eighth of a circle on both sides of 0.
    if 4.0 * j <= half {
        near_one(angle(j))
    } else if 4.0 * j <= 3.0 * half {
        let (cos, sin) = near_one(angle(half / 2.0 - j));
        (sin, cos)
    } else {
        let (cos, sin) = near_one(angle(half - j));
        (-cos, sin)
    }
}

/// Returns the cosine and the sine of an angle of at most a quarter of pi, by their power series.
fn near_one(angle: f64) -> (f64, f64) {
    /// The next term is below 2^-62.
    const TERMS: u32 = 18;
    let (mut cos, mut sin, mut term) = (1.0, 0.0, 1.0);
    for power in 1..=TERMS {
        term *= angle / f64::from(power);
        match power % 4 {
            0 => cos += term,
            1 => sin += term,
            2 => cos -= term,
            _ => sin -= term,
        }
    }
    (cos, sin)
}

/// Roots shared by all transforms of one size. They are not secret.
struct Transform {
    twist: Roots,
    /// Roots for the passes over blocks of `N/2`, `N/4`, ..., 2 values.
    passes: Vec<Roots>,
}

impl Transform {
    fn new(size: usize) -> Self {
        let half = size / 2;
        Self {
            twist: Roots::new(half, size),
            passes: (1..=half.ilog2())
                .map(|pass| Roots::new(half >> pass, half >> pass))
                .collect(),
        }
    }

    /// Returns the transform of a size, made only once: the sines took a fifth of an encryption's
    /// time.
    fn of(size: usize) -> Arc<Self> {
        // There are few sizes.
        static MADE: Mutex<Vec<(usize, Arc<Transform>)>> = Mutex::new(Vec::new());
        let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, found)) = made.iter().find(|(other, _)| *other == size) {
            return found.clone();
        }
        let new = Arc::new(Self::new(size));
        made.push((size, new.clone()));
        new
    }
}

/// Multiplies polynomials by the polynomials of one binary secret.
pub(crate) struct BinaryProducts {
    size: usize,
    transform: Arc<Transform>,
    secret: Vec<Spectrum>,
    limb: Spectrum,
    sums: [Spectrum; 2],
}

impl BinaryProducts {
    /// Prepares a secret of polynomials of `size` coefficients, 0 or 1. The size must be a power of
    /// two, at least 4.
    pub(crate) fn new(secret: &[u64], size: usize) -> Self {
        let half = size / 2;
        let zero = || Spectrum {
            re: Zeroizing::new(vec![0.0; half]),
            im: Zeroizing::new(vec![0.0; half]),
        };
        let mut products = Self {
            size,
            transform: Transform::of(size),
            secret: Vec::new(),
            limb: zero(),
            sums: [zero(), zero()],
        };
        for polynomial in secret.chunks_exact(size) {
            let mut spectrum = zero();
            products.forward(&mut spectrum, polynomial, |bit| bit as f64);
            products.secret.push(spectrum);
        }
        products
    }

    /// Adds `sum over i of mask_i s_i` to `out`, exactly modulo 2^64.
    pub(crate) fn add_to(&mut self, out: &mut [u64], mask: &[u64]) {
        let low = |x: u64| f64::from(x as u32 as i32);
        // Remainder after subtracting the signed lower limb.
        let high = |x: u64| f64::from((x.wrapping_add(1 << (LIMB_BITS - 1)) >> LIMB_BITS) as u32 as i32);
        for sum in &mut self.sums {
            sum.re.fill(0.0);
            sum.im.fill(0.0);
        }
        let mut limb = std::mem::replace(
            &mut self.limb,
            Spectrum {
                re: Zeroizing::default(),
                im: Zeroizing::default(),
            },
        );
        for (index, polynomial) in mask.chunks_exact(self.size).enumerate() {
            self.forward(&mut limb, polynomial, low);
            multiply_add(&mut self.sums[0], &limb, &self.secret[index]);
            self.forward(&mut limb, polynomial, high);
            multiply_add(&mut self.sums[1], &limb, &self.secret[index]);
        }
        self.limb = limb;
        for (shift, sum) in [0, LIMB_BITS].into_iter().zip(&mut self.sums) {
            add_backward(&self.transform, out, sum, shift);
        }
    }

    fn forward(&self, out: &mut Spectrum, polynomial: &[u64], value: impl Fn(u64) -> f64) {
        let (low, high) = polynomial.split_at(self.size / 2);
        let outputs = out.re.iter_mut().zip(out.im.iter_mut());
        for ((out_re, out_im), ((&low, &high), (&re, &im))) in
            outputs.zip(low.iter().zip(high).zip(self.transform.twist.values()))
        {
            let (low, high) = (value(low), value(high));
            *out_re = low * re - high * im;
            *out_im = low * im + high * re;
        }
        // Decimation in frequency: the values come out in bit-reversed order, and stay in it.
        for roots in &self.transform.passes {
            let len = roots.re.len();
            for (re, im) in out
                .re
                .chunks_exact_mut(2 * len)
                .zip(out.im.chunks_exact_mut(2 * len))
            {
                let (re_0, re_1) = re.split_at_mut(len);
                let (im_0, im_1) = im.split_at_mut(len);
                let pairs = re_0.iter_mut().zip(im_0).zip(re_1.iter_mut().zip(im_1));
                for (((re_0, im_0), (re_1, im_1)), (&w_re, &w_im)) in pairs.zip(roots.values()) {
                    let (re, im) = (*re_0 - *re_1, *im_0 - *im_1);
                    *re_0 += *re_1;
                    *im_0 += *im_1;
                    *re_1 = re * w_re - im * w_im;
                    *im_1 = re * w_im + im * w_re;
                }
            }
        }
    }
}

fn multiply_add(sum: &mut Spectrum, a: &Spectrum, b: &Spectrum) {
    let factors = a.re.iter().zip(a.im.iter()).zip(b.re.iter().zip(b.im.iter()));
    let sums = sum.re.iter_mut().zip(sum.im.iter_mut());
    for ((sum_re, sum_im), ((a_re, a_im), (b_re, b_im))) in sums.zip(factors) {
        *sum_re += a_re * b_re - a_im * b_im;
        *sum_im += a_re * b_im + a_im * b_re;
    }
}

/// Adds the integers that `spectrum` stands for, times `2^shift`, to `out`. Destroys `spectrum`.
fn add_backward(transform: &Transform, out: &mut [u64], spectrum: &mut Spectrum, shift: u32) {
    // Decimation in time, with the conjugates of the roots.
    for roots in transform.passes.iter().rev() {
        let len = roots.re.len();
        for (re, im) in spectrum
            .re
            .chunks_exact_mut(2 * len)
            .zip(spectrum.im.chunks_exact_mut(2 * len))
        {
            let (re_0, re_1) = re.split_at_mut(len);
            let (im_0, im_1) = im.split_at_mut(len);
            let pairs = re_0.iter_mut().zip(im_0).zip(re_1.iter_mut().zip(im_1));
            for (((re_0, im_0), (re_1, im_1)), (&w_re, &w_im)) in pairs.zip(roots.values()) {
                let re = *re_1 * w_re + *im_1 * w_im;
                let im = *im_1 * w_re - *re_1 * w_im;
                (*re_1, *im_1) = (*re_0 - re, *im_0 - im);
                *re_0 += re;
                *im_0 += im;
            }
        }
    }
    let half = out.len() / 2;
    let scale = 1.0 / half as f64;
    let (low, high) = out.split_at_mut(half);
    let values = spectrum
        .re
        .iter()
        .zip(spectrum.im.iter())
        .zip(transform.twist.values());
    for ((low, high), ((re, im), (w_re, w_im))) in low.iter_mut().zip(high).zip(values) {
        *low = low.wrapping_add(integer((re * w_re + im * w_im) * scale) << shift);
        *high = high.wrapping_add(integer((im * w_re - re * w_im) * scale) << shift);
    }
}

/// Returns the integer nearest to a number below 2^51 in absolute value: adding 1.5 * 2^52 leaves
/// it in the low bits of the mantissa.
fn integer(x: f64) -> u64 {
    const MAGIC: f64 = 1.5 * (1u64 << 52) as f64;
    (x + MAGIC).to_bits().wrapping_sub(MAGIC.to_bits())
}

#[cfg(test)]
mod tests {
    use super::*;
    use blindscore_protocol::random::reproducible;
    use tfhe::core_crypto::{
        algorithms::polynomial_algorithms::polynomial_karatsuba_wrapping_mul,
        prelude::{Polynomial, PolynomialSize},
    };

    fn oracle(mask: &[u64], secret: &[u64], size: usize) -> Vec<u64> {
        let mut sum = vec![0u64; size];
        for (a, s) in mask.chunks_exact(size).zip(secret.chunks_exact(size)) {
            let mut product = Polynomial::new(0, PolynomialSize(size));
            let (a, s) = (Polynomial::from_container(a), Polynomial::from_container(s));
            polynomial_karatsuba_wrapping_mul(&mut product, &a, &s);
            for (sum, product) in sum.iter_mut().zip(product.as_ref()) {
                *sum = sum.wrapping_add(*product);
            }
        }
        sum
    }

    #[test]
    fn roots_are_as_exact_as_floats_can_be() {
        for half in [1, 2, 4, 64, 2048] {
            for j in 0..half {
                let angle = std::f64::consts::PI * j as f64 / half as f64;
                let (cos, sin) = root(j, half);
                let error = (cos - angle.cos()).abs().max((sin - angle.sin()).abs());
                assert!(error <= 2.0 * f64::EPSILON, "{j} of {half}: {error:e}");
            }
        }
    }

    #[test]
    fn products_are_exact() {
        for (k, size) in [(11, 64), (4, 512), (2, 1024), (1, 2048)] {
            let random: Vec<u64> = reproducible([1; 16], k * size).iter().map(|x| x >> 63).collect();
            let worst = 0x7fff_ffff_7fff_ffff;
            let masks = [
                reproducible([2; 16], k * size),
                vec![worst; k * size],
                (0..k * size)
                    .map(|i| if i % 2 == 0 { worst } else { worst + 0x1_0000_0001 })
                    .collect(),
                vec![u64::MAX; k * size],
                vec![0x8000_0000_8000_0000; k * size],
            ];
            for secret in [random, vec![1; k * size], vec![0; k * size]] {
                let mut products = BinaryProducts::new(&secret, size);
                for mask in &masks {
                    let mut found = vec![7; size];
                    products.add_to(&mut found, mask);
                    let expected: Vec<u64> = oracle(mask, &secret, size)
                        .iter()
                        .map(|x| x.wrapping_add(7))
                        .collect();
                    assert!(found == expected, "k = {k}, N = {size}");
                }
            }
        }
    }
}
