//! Negacyclic products with tfhe's f64 FFT.

use pulp::{Arch, Simd, WithSimd};
use tfhe::core_crypto::{
    commons::computation_buffers::ComputationBuffers,
    fft_impl::fft64::{
        c64,
        math::polynomial::{FourierPolynomial, FourierPolynomialOwned},
    },
    prelude::{Fft, Polynomial, PolynomialSize},
};

/// Transform of a polynomial with `N` real coefficients: `N/2` complex values.
pub(super) type Spectrum = FourierPolynomialOwned;

/// FFT for one polynomial size, with the scratch memory of one thread.
pub(super) struct FourierContext {
    fft: Fft,
    size: PolynomialSize,
    scratch: ComputationBuffers,
}

impl FourierContext {
    pub(super) fn new(size: PolynomialSize) -> Self {
        let fft = Fft::new(size);
        let mut scratch = ComputationBuffers::new();
        let view = fft.as_view();
        scratch.resize(
            view.forward_scratch()
                .or(view.backward_scratch())
                .unaligned_bytes_required(),
        );
        Self { fft, size, scratch }
    }

    pub(super) fn zero(&self) -> Spectrum {
        FourierPolynomial::new(self.size)
    }

    /// Transforms torus elements, scaled to `[-1/2, 1/2)`.
    pub(super) fn forward_torus(&mut self, out: &mut Spectrum, coefficients: &[u64]) {
        let polynomial = Polynomial::from_container(coefficients);
        let fft = self.fft.as_view();
        fft.forward_as_torus(out.as_mut_view(), polynomial.as_view(), self.scratch.stack());
    }

    /// Transforms signed integers in two's complement.
    pub(super) fn forward_integer(&mut self, out: &mut Spectrum, coefficients: &[u64]) {
        let polynomial = Polynomial::from_container(coefficients);
        let fft = self.fft.as_view();
        fft.forward_as_integer(out.as_mut_view(), polynomial.as_view(), self.scratch.stack());
    }

    /// Adds the inverse transform of `spectrum`, as torus elements, to `coefficients`. Overwrites
    /// `spectrum`.
    pub(super) fn add_backward(&mut self, coefficients: &mut [u64], spectrum: &mut Spectrum) {
        let mut polynomial = Polynomial::from_container(coefficients);
        let fft = self.fft.as_view();
        fft.add_backward_in_place_as_torus(
            polynomial.as_mut_view(),
            spectrum.as_mut_view(),
            self.scratch.stack(),
        );
    }
}

/// `out = a * b`, pointwise.
pub(super) fn multiply(out: &mut Spectrum, a: &Spectrum, b: &Spectrum) {
    Arch::new().dispatch(Product::<false> {
        out: &mut out.data,
        a: &a.data,
        b: &b.data,
    });
}

/// `out += a * b`, pointwise.
pub(super) fn multiply_add(out: &mut Spectrum, a: &Spectrum, b: &Spectrum) {
    Arch::new().dispatch(Product::<true> {
        out: &mut out.data,
        a: &a.data,
        b: &b.data,
    });
}

/// A product of spectra, which replaces `out` or is added to it, compiled for each SIMD instruction
/// set.
struct Product<'a, const ADD: bool> {
    out: &'a mut [c64],
    a: &'a [c64],
    b: &'a [c64],
}

impl<const ADD: bool> WithSimd for Product<'_, ADD> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // A spectrum's length is a power of two, at least 32: no values are left over.
        assert!(self.out.len().is_multiple_of(S::C64_LANES));
        assert_eq!((self.a.len(), self.b.len()), (self.out.len(), self.out.len()));
        let (out, _) = S::as_mut_simd_c64s(self.out);
        let (a, _) = S::as_simd_c64s(self.a);
        let (b, _) = S::as_simd_c64s(self.b);
        for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
            *out = match ADD {
                true => simd.mul_add_e_c64s(*a, *b, *out),
                false => simd.mul_e_c64s(*a, *b),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use blindscore_protocol::random::reproducible;

    #[test]
    fn products_are_those_of_the_definition() {
        let value = |x: u64| x as i64 as f64 * 2f64.powi(-63);
        for log in 6..=11 {
            let fft = FourierContext::new(PolynomialSize(1 << log));
            let random = |seed| {
                let mut spectrum = fft.zero();
                let numbers = reproducible([seed; 16], 1 << log);
                for (out, parts) in spectrum.data.iter_mut().zip(numbers.chunks_exact(2)) {
                    *out = c64::new(value(parts[0]), value(parts[1]));
                }
                spectrum
            };
            let (a, b, before) = (random(1), random(2), random(3));
            let (mut product, mut sum) = (random(4), random(3));
            multiply(&mut product, &a, &b);
            multiply_add(&mut sum, &a, &b);
            for place in 0..1 << (log - 1) {
                let (a, b) = (a.data[place], b.data[place]);
                let plain = c64::new(a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re);
                assert!((product.data[place] - plain).norm() < 1e-15, "{place} of 2^{log}");
                let expected = before.data[place] + plain;
                assert!((sum.data[place] - expected).norm() < 1e-15, "{place} of 2^{log}");
            }
        }
    }
}
