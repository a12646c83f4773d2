//! Batched blind rotations: each GGSW ciphertext of the key is loaded once per batch.
//!
//! For each bit `s_i` of the input secret,
//! `accumulator += GGSW(s_i) * (accumulator X^(a_i) - accumulator)` (Chillotti, Gama, Georgieva,
//! Izabachène, J. Cryptology 2020, algorithm 3). One external product takes `k + 1` forward
//! transforms of decomposed polynomials, `(k + 1)^2` products of spectra, and `k + 1` inverse
//! transforms.

use super::{
    pages::Pages,
    transform::{Scratch, Transform, Values, rotate_into, zeros},
};
use blindscore_protocol::params::NetworkParams;
use pulp::{Arch, Simd, WithSimd};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::_MM_HINT_T1;
use tfhe_fft::c64;

/// Accumulators per batch. A larger batch reads the key less often; 64 accumulators take 1.3 MB.
const BATCH: usize = 64;
/// Accumulators multiplied while a block of a GGSW ciphertext is in the L1 cache. Their spectra
/// take up to 200 kB of the L2 cache.
const GROUP: usize = 8;
/// Padding between spectra, in complex values, so that they don't all map to the same L1 cache
/// lines. A multiple of the widest SIMD vector.
const PADDING: usize = 4;

/// Bytes of a cache line.
#[cfg(target_arch = "x86_64")]
const CACHE_LINE: usize = 64;

/// A mod-switched LWE ciphertext: coefficients modulo `2N`.
pub struct ModSwitchedLwe {
    /// Mask, one coefficient per bit of the input secret.
    pub mask: Vec<usize>,
    /// Body, a single coefficient.
    pub body: usize,
}

/// GGSW encryptions of the input secret's bits, transformed.
pub struct BootstrapKey {
    params: NetworkParams,
    transform: Transform,
    /// Complex values by bit, then by block of one SIMD vector of frequencies, column, and row: the
    /// order in which external products read them.
    values: Pages,
}

impl BootstrapKey {
    /// Transforms a key of `n` GGSW ciphertexts. `next_row` fills in its GLWE ciphertexts one after
    /// the other, `(k + 1) N` coefficients each.
    pub fn new(params: NetworkParams, mut next_row: impl FnMut(&mut [u64])) -> Self {
        let (n, rows) = (params.polynomial_size.0, params.ggsw_rows());
        let transform = Transform::new(n);
        let mut scratch = transform.scratch();
        let mut row = vec![0; rows * n];
        let mut spectrum = zeros(n / 2);
        let lanes = Arch::new().dispatch(Lanes);
        let ggsw_len = rows * rows * n / 2;
        let mut values = Pages::zeroed(params.input_lwe_dimension().0 * ggsw_len);
        for ggsw in values.chunks_exact_mut(ggsw_len) {
            for r in 0..rows {
                next_row(&mut row);
                for (c, polynomial) in row.chunks_exact(n).enumerate() {
                    transform.forward_torus(&mut spectrum, polynomial, &mut scratch);
                    for (block, vector) in spectrum.chunks_exact(lanes).enumerate() {
                        let place = ((block * rows + c) * rows + r) * lanes;
                        ggsw[place..place + lanes].copy_from_slice(vector);
                    }
                }
            }
        }
        Self {
            params,
            transform,
            values,
        }
    }

    /// Rotates each test polynomial by the phase of its ciphertext. Returns the GLWE ciphertexts
    /// one after the other, `(k + 1) N` coefficients each.
    ///
    /// # Panics
    /// If masks, test polynomials and key have different parameters.
    pub fn rotate(&self, inputs: &[ModSwitchedLwe], tests: &[&[u64]]) -> Vec<u64> {
        let n = self.params.polynomial_size.0;
        let mask_len = self.params.output_lwe_dimension().0;
        let mut accumulators = vec![0; inputs.len() * (mask_len + n)];
        for ((accumulator, test), input) in accumulators.chunks_exact_mut(mask_len + n).zip(tests).zip(inputs)
        {
            assert_eq!(input.mask.len(), self.params.input_lwe_dimension().0);
            rotate_into(&mut accumulator[mask_len..], test, (2 * n - input.body) % (2 * n));
        }
        let batches = accumulators
            .chunks_mut(BATCH * (mask_len + n))
            .zip(inputs.chunks(BATCH));
        for (accumulators, inputs) in batches {
            let arch = Arch::new();
            match self.params.ggsw_rows() {
                3 => arch.dispatch(Steps::<3>::new(self, accumulators, inputs)),
                4 => arch.dispatch(Steps::<4>::new(self, accumulators, inputs)),
                5 => arch.dispatch(Steps::<5>::new(self, accumulators, inputs)),
                rows => panic!("no external product for GGSW ciphertexts of {rows} rows"),
            }
        }
        accumulators
    }

    /// Returns the size of a key in memory, in bytes, except for a few tables.
    pub fn memory_bytes(params: NetworkParams) -> usize {
        let rows = params.ggsw_rows();
        Pages::bytes(params.input_lwe_dimension().0 * rows * rows * params.polynomial_size.0 / 2)
    }
}

/// All external products of a batch, compiled for each SIMD instruction set.
struct Steps<'a, const ROWS: usize> {
    key: &'a BootstrapKey,
    accumulators: &'a mut [u64],
    inputs: &'a [ModSwitchedLwe],
    scratch: Scratch,
    rotated: Vec<u64>,
    /// Spectra of a group of accumulators: of their digits, then of the products.
    spectra: Values,
}

impl<'a, const ROWS: usize> Steps<'a, ROWS> {
    fn new(key: &'a BootstrapKey, accumulators: &'a mut [u64], inputs: &'a [ModSwitchedLwe]) -> Self {
        let n = key.params.polynomial_size.0;
        Self {
            key,
            accumulators,
            inputs,
            scratch: key.transform.scratch(),
            rotated: vec![0; n],
            spectra: zeros(GROUP * ROWS * (n / 2 + PADDING)),
        }
    }
}

impl<const ROWS: usize> WithSimd for Steps<'_, ROWS> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            key,
            accumulators,
            inputs,
            mut scratch,
            mut rotated,
            mut spectra,
        } = self;
        let n = key.params.polynomial_size.0;
        let stride = n / 2 + PADDING;
        let base_log = key.params.base_log.0 as u32;
        for (bit, ggsw) in key.values.chunks_exact(ROWS * ROWS * n / 2).enumerate() {
            // This bit's part of the key is prefetched during the first group's transforms.
            let transforms = ROWS * inputs.len().min(GROUP);
            let mut unread = ggsw.chunks(ggsw.len().div_ceil(transforms));
            let groups = accumulators.chunks_mut(GROUP * ROWS * n);
            for (accumulators, inputs) in groups.zip(inputs.chunks(GROUP)) {
                let spectra = &mut spectra[..inputs.len() * ROWS * stride];
                let polynomials = accumulators.chunks_exact(n);
                for (index, (spectrum, polynomial)) in
                    spectra.chunks_exact_mut(stride).zip(polynomials).enumerate()
                {
                    prefetch(unread.next().unwrap_or_default());
                    let steps = inputs[index / ROWS].mask[bit];
                    let transform = &key.transform;
                    transform.forward_difference(
                        &mut spectrum[..n / 2],
                        polynomial,
                        steps,
                        base_log,
                        &mut rotated,
                        &mut scratch,
                    );
                }
                multiply::<S, ROWS>(simd, spectra, stride, ggsw);
                let polynomials = accumulators.chunks_exact_mut(n);
                for (spectrum, polynomial) in spectra.chunks_exact_mut(stride).zip(polynomials) {
                    key.transform
                        .add_backward(polynomial, &mut spectrum[..n / 2], &mut scratch);
                }
            }
        }
    }
}

/// Starts to fetch values into the L2 cache. Only on x86-64: stable Rust has no such intrinsic for
/// others.
#[inline(always)]
fn prefetch(values: &[c64]) {
    #[cfg(target_arch = "x86_64")]
    // All x86-64 processors have SSE; pulp's token makes the call safe.
    if let Some(sse) = pulp::core_arch::x86::Sse::try_new() {
        for line in values.chunks(CACHE_LINE / size_of::<c64>()) {
            sse._mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = values;
}

/// Replaces the `ROWS` spectra of each accumulator by their products with a GGSW ciphertext:
/// `out[c] = sum over r of in[r] * ggsw[r][c]`, frequency by frequency. Each block of the GGSW
/// ciphertext serves all accumulators while it is in the L1 cache.
#[inline(always)]
fn multiply<S: Simd, const ROWS: usize>(simd: S, spectra: &mut [c64], stride: usize, ggsw: &[c64]) {
    let (spectra, _) = S::as_mut_simd_c64s(spectra);
    let (ggsw, _) = S::as_simd_c64s(ggsw);
    let stride = stride / S::C64_LANES;
    for (block, ggsw) in ggsw.chunks_exact(ROWS * ROWS).enumerate() {
        for spectra in spectra.chunks_exact_mut(ROWS * stride) {
            let digits: [S::c64s; ROWS] = std::array::from_fn(|row| spectra[row * stride + block]);
            for (column, ggsw) in ggsw.chunks_exact(ROWS).enumerate() {
                let mut sum = simd.mul_e_c64s(digits[0], ggsw[0]);
                for row in 1..ROWS {
                    sum = simd.mul_add_e_c64s(digits[row], ggsw[row], sum);
                }
                spectra[column * stride + block] = sum;
            }
        }
    }
}

/// Number of complex values in this processor's SIMD vectors.
struct Lanes;

impl WithSimd for Lanes {
    type Output = usize;

    fn with_simd<S: Simd>(self, _: S) -> usize {
        S::C64_LANES
    }
}
