//! Exact products of a 64-bit polynomial and a binary polynomial.

use super::fourier::{FourierContext, Spectrum, multiply};

/// Width of the low limb, in bits.
const LIMB_BITS: u32 = 32;

/// A polynomial of torus elements, transformed for exact products with binary polynomials.
///
/// An f64 FFT of 64-bit coefficients errs by about 2^-46 of the torus, more than the noise of an
/// encryption of zero. With two 32-bit limbs, every sum of `N` terms stays below 2^43, which f64
/// holds exactly.
pub(super) struct ExactMultiplier {
    low: Spectrum,
    high: Spectrum,
}

impl ExactMultiplier {
    pub(super) fn new(fft: &mut FourierContext, coefficients: &[u64]) -> Self {
        let sign_extend = |limb: u64| (limb as u32 as i32) as i64 as u64;
        let low: Vec<u64> = coefficients.iter().map(|&c| sign_extend(c)).collect();
        let high: Vec<u64> = coefficients
            .iter()
            .zip(&low)
            .map(|(c, l)| sign_extend(c.wrapping_sub(*l) >> LIMB_BITS))
            .collect();
        let mut multiplier = Self {
            low: fft.zero(),
            high: fft.zero(),
        };
        fft.forward_torus(&mut multiplier.low, &low);
        fft.forward_torus(&mut multiplier.high, &high);
        multiplier
    }

    /// Adds the product with the binary polynomial of spectrum `binary` to `out`.
    pub(super) fn multiply_add(
        &self,
        fft: &mut FourierContext,
        out: &mut [u64],
        binary: &Spectrum,
        scratch: &mut Scratch,
    ) {
        scratch.product.fill(0);
        multiply(&mut scratch.spectrum, &self.high, binary);
        fft.add_backward(&mut scratch.product, &mut scratch.spectrum);
        for coefficient in &mut scratch.product {
            *coefficient <<= LIMB_BITS;
        }
        multiply(&mut scratch.spectrum, &self.low, binary);
        fft.add_backward(&mut scratch.product, &mut scratch.spectrum);
        for (out, product) in out.iter_mut().zip(&scratch.product) {
            *out = out.wrapping_add(*product);
        }
    }
}

/// Scratch memory for one product.
pub(super) struct Scratch {
    spectrum: Spectrum,
    product: Vec<u64>,
}

impl Scratch {
    pub(super) fn new(fft: &FourierContext, n: usize) -> Self {
        Self {
            spectrum: fft.zero(),
            product: vec![0; n],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use blindscore_protocol::{params::LinearParams, random::reproducible};
    use tfhe::core_crypto::{
        algorithms::polynomial_algorithms::polynomial_karatsuba_wrapping_mul, prelude::Polynomial,
    };

    #[test]
    fn equals_karatsuba_to_the_last_bit() {
        let params = LinearParams::N2048;
        let mut fft = FourierContext::new(params.polynomial_size);
        let mut scratch = Scratch::new(&fft, params.n());
        for round in 0..20u8 {
            let mut a = reproducible([round; 16], params.n());
            if round == 0 {
                a.fill(i64::MIN as u64);
            }
            let mut binary: Vec<u64> = reproducible([!round; 16], params.n())
                .iter()
                .map(|v| v & 1)
                .collect();
            if round < 2 {
                binary.fill(1);
            }
            let mut spectrum = fft.zero();
            fft.forward_integer(&mut spectrum, &binary);
            let mut product = vec![0; params.n()];
            let multiplier = ExactMultiplier::new(&mut fft, &a);
            multiplier.multiply_add(&mut fft, &mut product, &spectrum, &mut scratch);

            let mut expected = Polynomial::from_container(vec![0u64; params.n()]);
            polynomial_karatsuba_wrapping_mul(
                &mut expected,
                &Polynomial::from_container(a.as_slice()),
                &Polynomial::from_container(binary.as_slice()),
            );
            assert_eq!(product, expected.as_ref());
        }
    }
}
