//! Generation of evaluation keys.

use crate::{
    ClientKey,
    glwe::{GlweSecret, Randomness, SeededEncryption},
};
use blindscore_protocol::{
    params::{LinearParams, MODULUS_BITS, NetworkParams, ParameterSet, TUniformBound},
    polynomial::automorphism,
    random::MaskSeed,
    wire::{EvaluationKey, Kind, LinearEvaluationKey, NetworkEvaluationKey, SecretKeyBits},
};
use zeroize::Zeroizing;

/// Evaluation key that is being generated. A network's takes long, so it is made in steps: the
/// caller can show progress, do other work in between, or give up.
pub struct EvaluationKeyGeneration {
    secret: SecretKeyBits,
    seed: MaskSeed,
    encryption: SeededEncryption,
    noise: TUniformBound,
    bodies: Vec<u64>,
    /// Groups of ciphertexts that are done: one for each GGSW ciphertext, one for each
    /// automorphism, and one for the encryptions of zero.
    done: usize,
}

impl EvaluationKeyGeneration {
    /// Starts an evaluation key for a secret key.
    pub(crate) fn new(key: &ClientKey, randomness: Randomness) -> Self {
        let noise = match key.parameters() {
            ParameterSet::Linear(params) => params.noise,
            ParameterSet::Network(params) => params.noise,
        };
        let masks = randomness.seed.stream(Kind::EvaluationKey, key.parameters().id());
        Self {
            secret: key.bits().clone(),
            seed: randomness.seed,
            encryption: SeededEncryption::new(key.score_key(), masks, randomness.sampler),
            noise,
            bodies: Vec::new(),
            done: 0,
        }
    }

    /// Generates up to `count` more groups of ciphertexts, each a few tenths of a millisecond of
    /// work. Returns the share that is done, 1 at the end.
    pub fn advance(&mut self, count: usize) -> f64 {
        let total = self.groups();
        for _ in 0..count.min(total - self.done) {
            let messages = match self.secret.set {
                ParameterSet::Linear(params) => self.linear_messages(&params),
                ParameterSet::Network(params) => self.network_messages(&params),
            };
            self.encryption.encrypt(&mut self.bodies, &messages, self.noise);
            self.done += 1;
        }
        self.done as f64 / total as f64
    }

    /// Generates the rest of the key. `features` is the secret that features are encrypted under.
    pub(crate) fn finish(mut self, features: GlweSecret<'_>) -> EvaluationKey {
        self.advance(usize::MAX);
        let (seed, mut bodies) = (self.seed, self.bodies);
        match self.secret.set {
            ParameterSet::Linear(params) => {
                let automorphism_body = bodies.split_off(params.n());
                EvaluationKey::Linear(LinearEvaluationKey {
                    params,
                    seed,
                    zero_body: bodies,
                    automorphism_body,
                })
            }
            ParameterSet::Network(params) => {
                let zeros = vec![0; params.input_lwe_dimension().0];
                let mut input_zeros = Vec::with_capacity(zeros.len());
                let mut encryption = self.encryption.under(features);
                encryption.encrypt(&mut input_zeros, &zeros, params.input_noise);
                let messages = key_switch_messages(&self.secret, &params);
                let mut key_switch = Vec::with_capacity(messages.len());
                encryption.encrypt(&mut key_switch, &messages, params.input_noise);
                EvaluationKey::Network(NetworkEvaluationKey {
                    params,
                    seed,
                    bodies,
                    input_zeros,
                    key_switch,
                })
            }
        }
    }

    fn groups(&self) -> usize {
        match self.secret.set {
            ParameterSet::Linear(_) => 2,
            ParameterSet::Network(params) => {
                params.input_lwe_dimension().0 + params.packing_log2 as usize + 1
            }
        }
    }

    /// Returns the next messages: zero, then `s(-X)` times the gadget.
    fn linear_messages(&self, params: &LinearParams) -> Zeroizing<Vec<u64>> {
        let n = params.n();
        let mut message = Zeroizing::new(vec![0; n]);
        if self.done == 1 {
            // -X = X^(N+1).
            automorphism(&mut message, &self.secret.bits, n + 1);
            scale(&mut message, params.automorphism_gadget());
        }
        message
    }

    /// Returns the next messages: the rows of a GGSW ciphertext, `s_i(X^g)` times the gadget, or
    /// zeros.
    fn network_messages(&self, params: &NetworkParams) -> Zeroizing<Vec<u64>> {
        let n = params.polynomial_size.0;
        let (input, output) = self.secret.bits.split_at(params.input_lwe_dimension().0);
        if let Some(bit) = input.get(self.done) {
            let mut rows = Zeroizing::new(vec![0; params.ggsw_rows() * n]);
            rows[..output.len()].copy_from_slice(output);
            let factor = bit.wrapping_mul(params.gadget());
            scale(&mut rows, factor.wrapping_neg());
            rows[output.len()] = factor;
            return rows;
        }
        let mut rows = Zeroizing::new(vec![0; output.len()]);
        if let Some(exponent) = params.galois_elements().nth(self.done - input.len()) {
            for (row, secret) in rows.chunks_exact_mut(n).zip(output.chunks_exact(n)) {
                automorphism(row, secret, exponent);
            }
            scale(&mut rows, params.gadget());
        }
        rows
    }
}

/// Returns the messages of the key-switching key: the output secret's polynomials of the input
/// ring's size, each times `2^(64 - level * base_log)` for each level.
fn key_switch_messages(secret: &SecretKeyBits, params: &NetworkParams) -> Zeroizing<Vec<u64>> {
    let n = params.input_polynomial_size.0;
    let mut messages = Zeroizing::new(Vec::with_capacity(params.key_switch_ciphertexts() * n));
    if let Some(switch) = &params.key_switch {
        let output = &secret.bits[params.input_lwe_dimension().0..];
        for polynomial in output.chunks_exact(n) {
            for level in 1..=switch.level_count.0 {
                let shift = MODULUS_BITS as usize - level * switch.base_log.0;
                messages.extend(polynomial.iter().map(|bit| bit << shift));
            }
        }
    }
    messages
}

fn scale(coefficients: &mut [u64], factor: u64) {
    for coefficient in coefficients {
        *coefficient = coefficient.wrapping_mul(factor);
    }
}
