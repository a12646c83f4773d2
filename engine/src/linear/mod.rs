//! Scoring of linear models on ciphertexts.
//!
//! For each output `c` the engine
//! 1. multiplies the query by `W_c(X) = w_0 - sum_i w_i X^(N-i)`, so that coefficient 0 of the
//!    phase is the scalar product, and adds the intercept;
//! 2. adds a fresh encryption of zero under the client's evaluation key: otherwise the mask would
//!    be the query's mask times `W_c`, and the client could recover the weights by a division;
//! 3. packs pairs of scores into one ciphertext, adds flooding noise, and rounds to the response's
//!    precision.
//!
//! After step 2 all masks are pseudorandom to the client, so later steps leak nothing more.

mod key;
mod packing;
#[cfg(test)]
mod tests;

use super::{
    exact::Scratch,
    fourier::{FourierContext, Spectrum},
    rounding::expected_loss,
    weights::Weights,
};
use blindscore_protocol::{
    params::LinearParams,
    polynomial::product_coefficient,
    random::{EntropyError, Sampler},
    wire::{Query, Response},
};
pub use key::LinearKey;
use packing::{Packed, Unpacked};

/// Integer weights and intercept of one output.
#[derive(Clone, Debug, PartialEq)]
pub struct IntegerOutput {
    /// One weight per feature.
    pub weights: Vec<i64>,
    /// Torus element added to the scalar product.
    pub intercept: u64,
}

/// A linear model, transformed for scoring.
pub struct LinearEngine {
    params: LinearParams,
    features: usize,
    outputs: Vec<PreparedOutput>,
}

struct PreparedOutput {
    weights: Weights,
    intercept: u64,
}

impl LinearEngine {
    /// Transforms the weights. All outputs must have the same number of weights, at least one.
    pub fn new(params: LinearParams, outputs: &[IntegerOutput]) -> Self {
        let mut fft = FourierContext::new(params.polynomial_size);
        let prepared = outputs.iter().map(|output| PreparedOutput {
            weights: Weights::new(&mut fft, params.n(), &output.weights),
            intercept: output.intercept,
        });
        Self {
            params,
            features: outputs.first().map_or(0, |output| output.weights.len()),
            outputs: prepared.collect(),
        }
    }

    /// Scores one query.
    ///
    /// # Errors
    /// If the platform provides no randomness.
    ///
    /// # Panics
    /// If the query or the key has other parameters than the model, or the query another number of
    /// features. Callers check both when they parse the blobs.
    pub fn score(&self, query: &Query, key: &LinearKey) -> Result<Response, EntropyError> {
        let mut fft = FourierContext::new(self.params.polynomial_size);
        let mut sampler = Sampler::new()?;
        let products = self.products(&mut fft, query);
        let fresh = rerandomise(&mut fft, &mut sampler, key, products);
        let packed = self.pack(&mut fft, &mut sampler, key, fresh);
        Ok(Response {
            format: self.params.response_format(),
            key: query.key,
            model: query.model,
            query: query.id,
            masks: packed
                .iter()
                .flat_map(|ciphertext| &ciphertext.mask)
                .copied()
                .collect(),
            bodies: packed
                .iter()
                .flat_map(|ciphertext| &ciphertext.bodies)
                .copied()
                .collect(),
        })
    }

    /// Step 1: multiplies the query by the weights and adds the intercepts.
    fn products(&self, fft: &mut FourierContext, query: &Query) -> Vec<Unpacked> {
        assert_eq!(
            (query.format.set, query.bodies.len()),
            (self.params.id, self.features)
        );
        let n = self.params.n();
        let masks = query
            .masks()
            .next(n * self.params.query_ciphertexts(self.features));
        let spectra: Vec<Spectrum> = masks
            .chunks_exact(n)
            .map(|mask| {
                let mut spectrum = fft.zero();
                fft.forward_torus(&mut spectrum, mask);
                spectrum
            })
            .collect();
        let product = |output: &PreparedOutput| {
            let mut mask = vec![0; n];
            output.weights.add_mask_product(fft, spectra.iter(), &mut mask);
            let body = output.weights.body_product(&query.bodies, output.intercept);
            Unpacked { mask, body }
        };
        self.outputs.iter().map(product).collect()
    }

    /// Step 3: packs, floods, and centres the modulus switch. The wire format does the rounding.
    fn pack(
        &self,
        fft: &mut FourierContext,
        sampler: &mut Sampler,
        key: &LinearKey,
        scores: Vec<Unpacked>,
    ) -> Vec<Packed> {
        let mut scores = scores.into_iter();
        let mut packed = Vec::with_capacity(self.params.response_format().ciphertexts(self.outputs.len()));
        while let Some(first) = scores.next() {
            let mut ciphertext = match scores.next() {
                Some(second) => Packed::pair(fft, key, &first, &second),
                None => Packed::single(first),
            };
            let positions = 0..ciphertext.bodies.len();
            let losses = expected_loss(self.params.response_bits, &ciphertext.mask, positions);
            for (body, loss) in ciphertext.bodies.iter_mut().zip(losses) {
                let flooding = sampler.noise(self.params.flooding);
                *body = body.wrapping_add(flooding).wrapping_sub(loss);
            }
            packed.push(ciphertext);
        }
        packed
    }
}

/// Step 2: adds to each ciphertext an encryption of zero of its own, `(a u + e1, b u)` with a fresh
/// binary `u`. The flooding noise added later is the body's error.
fn rerandomise(
    fft: &mut FourierContext,
    sampler: &mut Sampler,
    key: &LinearKey,
    mut scores: Vec<Unpacked>,
) -> Vec<Unpacked> {
    let n = key.params.n();
    let mut scratch = Scratch::new(fft, n);
    let mut spectrum = fft.zero();
    let mut u = vec![0; n];
    for score in &mut scores {
        sampler.fill_binary(&mut u);
        fft.forward_integer(&mut spectrum, &u);
        key.zero_mask
            .multiply_add(fft, &mut score.mask, &spectrum, &mut scratch);
        sampler.add_noise(&mut score.mask, key.params.noise);
        score.body = score
            .body
            .wrapping_add(product_coefficient(&key.zero_body, &u, 0));
    }
    scores
}
