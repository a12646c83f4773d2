//! The output layer: weighted sums of reads, a fresh encryption of zero, and the response.

use super::{IntegerNetwork, NetworkKey, THRESHOLD_STEPS};
use crate::{
    exact::Scratch,
    fourier::{FourierContext, Spectrum, multiply_add},
    rounding::expected_loss,
};
use blindscore_protocol::{
    params::{NetworkParams, TUniformBound},
    polynomial::product_coefficient,
    random::Sampler,
    wire::{Query, Response},
};

/// Output weights as polynomials. Coefficient 0 of a rotated test polynomial times
/// `sum_k v_k X^(-j_k)` is the weighted sum of its reads at `j_k`.
pub(super) struct OutputLayer {
    /// Spectra of the weights, by projection, then by output.
    spectra: Vec<Vec<Spectrum>>,
    /// Biases as torus elements.
    pub(super) biases: Vec<u64>,
}

/// Sum over some of the units: for each output, the `k + 1` polynomials of a GLWE ciphertext.
pub(crate) struct Partial(pub(crate) Vec<Vec<u64>>);

impl OutputLayer {
    pub(super) fn new(params: &NetworkParams, network: &IntegerNetwork, amplitude: f64) -> Self {
        let n = params.polynomial_size.0;
        let mut fft = FourierContext::new(params.polynomial_size);
        // Coefficient j of a test polynomial is f at 2 j / N.
        let coefficient = |threshold: i64| threshold * n as i64 / (2 * THRESHOLD_STEPS);
        let mut spectrum = |thresholds: &[i64], reads: &[i64]| {
            let mut polynomial = vec![0u64; n];
            for (&threshold, &weight) in thresholds.iter().zip(reads) {
                // X^(-j) = -X^(N-j), and X^(-j) = X^|j| for a negative j.
                let (index, sign) = match coefficient(threshold) {
                    j if j > 0 => (n - j as usize, -1),
                    j => (j.unsigned_abs() as usize, 1),
                };
                polynomial[index] = polynomial[index].wrapping_add((weight * sign) as u64);
            }
            let mut spectrum = fft.zero();
            fft.forward_integer(&mut spectrum, &polynomial);
            spectrum
        };
        let spectra = network.projections.iter().map(|projection| {
            projection
                .reads
                .iter()
                .map(|reads| spectrum(&projection.thresholds, reads))
                .collect()
        });
        Self {
            spectra: spectra.collect(),
            biases: network
                .biases
                .iter()
                .map(|bias| (bias * amplitude).round() as i64 as u64)
                .collect(),
        }
    }

    /// Sums the reads of the rotated test polynomials of projections `first` and up.
    pub(super) fn sum(&self, params: &NetworkParams, first: usize, rotated: &[u64]) -> Partial {
        let n = params.polynomial_size.0;
        let polynomials = params.glwe_dimension.0 + 1;
        let mut fft = FourierContext::new(params.polynomial_size);
        let mut sums: Vec<Vec<Spectrum>> = self
            .biases
            .iter()
            .map(|_| (0..polynomials).map(|_| fft.zero()).collect())
            .collect();
        let mut spectrum = fft.zero();
        for (ciphertext, weights) in rotated.chunks_exact(polynomials * n).zip(&self.spectra[first..]) {
            for (index, polynomial) in ciphertext.chunks_exact(n).enumerate() {
                fft.forward_torus(&mut spectrum, polynomial);
                for (sum, weights) in sums.iter_mut().zip(weights) {
                    multiply_add(&mut sum[index], &spectrum, weights);
                }
            }
        }
        let to_coefficients = |sum: Vec<Spectrum>| {
            let mut ciphertext = vec![0; polynomials * n];
            for (out, mut spectrum) in ciphertext.chunks_exact_mut(n).zip(sum) {
                fft.add_backward(out, &mut spectrum);
            }
            ciphertext
        };
        Partial(sums.into_iter().map(to_coefficients).collect())
    }
}

/// Adds up partial sums and biases, packs the scores, and adds a fresh encryption of zero to
/// each ciphertext, and to each score the noise of `flooding`, if there is any.
pub(crate) fn finish(
    params: &NetworkParams,
    key: &NetworkKey,
    sampler: &mut Sampler,
    query: &Query,
    biases: &[u64],
    partials: Vec<Partial>,
    flooding: Option<TUniformBound>,
) -> Response {
    let n = params.polynomial_size.0;
    let mask_len = params.output_lwe_dimension().0;
    let format = params.response_format();
    let mut fft = FourierContext::new(params.polynomial_size);
    let mut sums = vec![vec![0u64; mask_len + n]; biases.len()];
    for (output, (sum, bias)) in sums.iter_mut().zip(biases).enumerate() {
        sum[mask_len] = *bias;
        for Partial(partial) in &partials {
            for (sum, partial) in sum.iter_mut().zip(&partial[output]) {
                *sum = sum.wrapping_add(*partial);
            }
        }
    }
    let mut masks = Vec::with_capacity(format.ciphertexts(sums.len()) * mask_len);
    let mut bodies = Vec::with_capacity(sums.len());
    while !sums.is_empty() {
        let rest = sums.split_off(format.scores.min(sums.len()));
        let positions: Vec<usize> = (0..sums.len()).map(|score| score * format.stride).collect();
        let mut packed = key.packing.pack(&mut fft, sums);
        sums = rest;
        let (mask, body) = packed.split_at_mut(mask_len);
        add_fresh_zero(&mut fft, key, sampler, mask, body, &positions);
        for polynomial in mask.chunks_exact(n) {
            let losses = expected_loss(format.bits, polynomial, positions.iter().copied());
            for (&position, loss) in positions.iter().zip(losses) {
                body[position] = body[position].wrapping_sub(loss);
            }
        }
        masks.extend_from_slice(mask);
        let start = bodies.len();
        bodies.extend(positions.iter().map(|&position| body[position]));
        if let Some(flooding) = flooding {
            sampler.add_noise(&mut bodies[start..], flooding);
        }
    }
    Response {
        format,
        key: query.key,
        model: query.model,
        query: query.id,
        masks,
        bodies,
    }
}

/// Adds a fresh encryption of zero, `sum_i u_i (a_i, b_i) + e` with binary polynomials `u_i`, to a
/// ciphertext: to its whole mask, and to its body at the positions sent.
fn add_fresh_zero(
    fft: &mut FourierContext,
    key: &NetworkKey,
    sampler: &mut Sampler,
    mask: &mut [u64],
    body: &mut [u64],
    positions: &[usize],
) {
    let n = body.len();
    let mut scratch = Scratch::new(fft, n);
    let mut spectrum = fft.zero();
    let mut u = vec![0; n];
    for (zero_mask, zero_body) in &key.zeros {
        sampler.fill_binary(&mut u);
        fft.forward_integer(&mut spectrum, &u);
        for (multiplier, out) in zero_mask.iter().zip(mask.chunks_exact_mut(n)) {
            multiplier.multiply_add(fft, out, &spectrum, &mut scratch);
        }
        for &position in positions {
            body[position] = body[position].wrapping_add(product_coefficient(zero_body, &u, position));
        }
    }
    sampler.add_noise(mask, key.params.noise);
    sampler.add_noise(body, key.params.noise);
}
