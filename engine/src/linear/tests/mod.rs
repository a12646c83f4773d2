//! Tests of the linear engine against plaintext integers, predicted noise, and an attacker.

mod correctness;
mod noise;
mod privacy;

use super::{IntegerOutput, LinearEngine, LinearKey};
use blindscore_client::ClientKey;
use blindscore_protocol::{
    descriptor::{Answer, CheckedDescriptor, Inputs, Link, ModelDescriptor, Output, Sizes, Task},
    ids::{KeyId, ModelId},
    params::{LinearParams, ParameterSet},
    random::reproducible,
    wire::{EvaluationKey, FORMAT_VERSION, LinearEvaluationKey, Query, Response},
};
use tfhe::core_crypto::{
    algorithms::polynomial_algorithms::polynomial_karatsuba_wrapping_mul, prelude::Polynomial,
};

const INPUT_STEP_LOG2: u32 = 35;

/// A client and a server with a random integer model, without any transport in between.
struct Fixture {
    params: LinearParams,
    client: ClientKey,
    key: LinearKey,
    descriptor: CheckedDescriptor,
    outputs: Vec<IntegerOutput>,
    engine: LinearEngine,
}

impl Fixture {
    /// Creates a model with random weights below `2^weight_bits` in absolute value, reproducible by
    /// `seed`.
    fn new(features: usize, outputs: usize, weight_bits: u32, seed: u8) -> Self {
        Self::with(LinearParams::N2048, features, outputs, weight_bits, seed)
    }

    fn with(params: LinearParams, features: usize, outputs: usize, weight_bits: u32, seed: u8) -> Self {
        let (client, public) = ClientKey::generate(ParameterSet::Linear(params)).unwrap();
        let public = over_the_wire(&public);
        let random = reproducible([seed; 16], outputs * (features + 1));
        let outputs: Vec<_> = random
            .chunks_exact(features + 1)
            .map(|row| IntegerOutput {
                weights: row[1..].iter().map(|&r| r as i64 >> (63 - weight_bits)).collect(),
                intercept: row[0] >> 3,
            })
            .collect();
        let descriptor = ModelDescriptor {
            name: "test".into(),
            id: ModelId::of(&[seed]),
            title: String::new(),
            formats: vec![FORMAT_VERSION],
            parameter_set: params.name.into(),
            inputs: Inputs::uniform(features, 0.0, 255.0, 256),
            input_step: 1 << INPUT_STEP_LOG2,
            outputs: (0..outputs.len())
                .map(|c| Output {
                    label: c.to_string(),
                    offset: 0.0,
                    half_range: 1.0,
                })
                .collect(),
            task: Task::Regression,
            classes: None,
            link: Link::Identity,
            members: Vec::new(),
            answer: Answer::Scores,
            fine_features: None,
            fine: None,
            sizes: Sizes::of(&ParameterSet::Linear(params), features, outputs.len()),
            score_error: 0.0,
            accuracy: None,
            batch: None,
            version: None,
        };
        Self {
            params,
            client,
            key: LinearKey::new(&public),
            descriptor: descriptor.try_into().unwrap(),
            engine: LinearEngine::new(params, &outputs),
            outputs,
        }
    }

    /// Returns features from 0 to 255, different for each `index`.
    fn features(&self, index: u8) -> Vec<f64> {
        let random = reproducible([index ^ 0x5a; 16], self.descriptor.inputs.count);
        random.iter().map(|r| (r >> 56) as f64).collect()
    }

    fn query(&self, features: &[f64]) -> Query {
        let blob = self.client.encrypt(&self.descriptor, features).unwrap();
        Query::from_blob(&blob, self.params.query_format(), features.len()).unwrap()
    }

    fn response(&self, features: &[f64]) -> Response {
        self.engine.score(&self.query(features), &self.key).unwrap()
    }

    /// Scores features through encryption, both blobs, and decryption.
    fn scores(&self, features: &[f64]) -> Vec<f64> {
        let response = self.response(features);
        self.client
            .decrypt(&self.descriptor, response.query, &response.to_blob())
            .unwrap()
            .scores
    }

    /// Computes the same scores in integers that wrap around like the torus.
    fn expected(&self, features: &[f64]) -> Vec<f64> {
        let score = |output: &IntegerOutput| {
            let terms = features.iter().zip(&output.weights);
            let product = terms.fold(0i64, |sum, (x, w)| sum.wrapping_add((*x as i64).wrapping_mul(*w)));
            let phase = (product << INPUT_STEP_LOG2).wrapping_add(output.intercept as i64);
            phase.wrapping_mul(2) as f64 / 2f64.powi(63)
        };
        self.outputs.iter().map(score).collect()
    }
}

/// Returns the key as the server receives it: rounded.
fn over_the_wire(public: &EvaluationKey) -> LinearEvaluationKey {
    match EvaluationKey::from_blob(&public.to_blob().0).unwrap() {
        EvaluationKey::Linear(key) => key,
        EvaluationKey::Network(_) => panic!("not a linear model's key"),
    }
}

/// Multiplies exactly, by Karatsuba, where the engine uses an FFT. Exactness makes the attack as
/// strong as possible.
fn multiply(a: &[u64], b: &[u64]) -> Vec<u64> {
    let mut product = Polynomial::from_container(vec![0u64; a.len()]);
    polynomial_karatsuba_wrapping_mul(
        &mut product,
        &Polynomial::from_container(a),
        &Polynomial::from_container(b),
    );
    product.into_container()
}

/// Returns `W_c(X) = w_0 - sum_i w_i X^(N-i)`.
fn weight_polynomial(weights: &[i64], n: usize) -> Vec<u64> {
    let mut polynomial = vec![0u64; n];
    for (index, &weight) in weights.iter().enumerate() {
        match index {
            0 => polynomial[0] = weight as u64,
            _ => polynomial[n - index] = (weight as u64).wrapping_neg(),
        }
    }
    polynomial
}

/// Returns the difference of two phases in `[-1, 1)`, on the circle.
fn circular_difference(a: f64, b: f64) -> f64 {
    let difference = (a - b).rem_euclid(2.0);
    if difference >= 1.0 {
        difference - 2.0
    } else {
        difference
    }
}

#[test]
fn response_names_its_query() {
    let fixture = Fixture::new(3, 2, 4, 1);
    let response = fixture.response(&[1.0, 2.0, 3.0]);
    assert_eq!(response.model, fixture.descriptor.id);
    assert_eq!(response.key, fixture.client.key_id());
    assert_ne!(response.key, KeyId::NONE);
}
