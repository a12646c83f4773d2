//! Negacyclic products with tfhe's f64 FFT.

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
    for ((out, a), b) in values(out, a, b) {
        *out = a * b;
    }
}

/// `out += a * b`, pointwise.
pub(super) fn multiply_add(out: &mut Spectrum, a: &Spectrum, b: &Spectrum) {
    for ((out, a), b) in values(out, a, b) {
        *out += a * b;
    }
}

fn values<'a>(
    out: &'a mut Spectrum,
    a: &'a Spectrum,
    b: &'a Spectrum,
) -> impl Iterator<Item = ((&'a mut c64, &'a c64), &'a c64)> {
    out.data.iter_mut().zip(a.data.iter()).zip(b.data.iter())
}
