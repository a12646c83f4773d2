//! Tests of each stage against plaintext integers.

mod label;
mod oracle;
mod packing;
mod privacy;

use super::{
    IntegerNetwork, IntegerProjection, ModSwitchedLwe, NetworkEngine, NetworkKey, Projection,
    output::{OutputLayer, finish},
    projection,
};
use crate::fourier::FourierContext;
use blindscore_client::ClientKey;
use blindscore_protocol::{
    descriptor::{Answer, CheckedDescriptor, Inputs, Link, ModelDescriptor, Output, Sizes, Task},
    ids::ModelId,
    noise::NetworkNoise,
    params::{NetworkParams, ParameterSet},
    polynomial::product_coefficient,
    random::reproducible,
    wire::{EvaluationKey, FORMAT_VERSION, NetworkEvaluationKey, Query, SecretKeyBits},
};
use std::sync::OnceLock;

const PARAMS: NetworkParams = NetworkParams::N704_K4;
const SET: ParameterSet = ParameterSet::Network(PARAMS);
const FEATURES: usize = 130;

/// Keys shared by all tests; generation takes a second.
struct Keys {
    client: ClientKey,
    secret: SecretKeyBits,
    public: NetworkEvaluationKey,
    key: NetworkKey,
}

fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| {
        let (client, public) = ClientKey::generate(SET).unwrap();
        let blob = public.to_blob().0;
        let EvaluationKey::Network(public) = EvaluationKey::from_blob(&blob).unwrap() else {
            panic!("not a network's")
        };
        let secret = SecretKeyBits::from_blob(&client.to_bytes()).unwrap();
        Keys {
            client,
            secret,
            key: NetworkKey::new(&public),
            public,
        }
    })
}

/// Returns a small random network with three projections and two outputs, with reads at the ends of
/// the range and around zero.
fn network() -> IntegerNetwork {
    let mut random = reproducible([8; 16], 1000).into_iter();
    let mut below = |bound: u64| (random.next().unwrap() % bound) as i64;
    let projections = [0.3, 0.05, 0.9].map(|width| IntegerProjection {
        weights: (0..FEATURES).map(|_| below(7) - 3).collect(),
        bias: below(21) - 10,
        width,
        thresholds: vec![0, 1, -1, 64, -65, 192, -192, 33],
        reads: vec![
            (0..8).map(|_| below(7) - 3).collect(),
            (0..8).map(|_| below(7) - 3).collect(),
        ],
    });
    IntegerNetwork {
        projections: projections.to_vec(),
        biases: vec![1.5, -2.0],
        range: 150.0,
        max_logit: 80.0,
        max_difference: None,
    }
}

fn features(index: u8) -> Vec<i64> {
    reproducible([index; 16], FEATURES)
        .iter()
        .map(|r| (r >> 62) as i64)
        .collect()
}

fn descriptor(network: &IntegerNetwork) -> CheckedDescriptor {
    let half_range = 2f64.powi(63) / network.amplitude();
    let outputs = network.biases.iter().enumerate();
    let descriptor = ModelDescriptor {
        name: "test".into(),
        id: ModelId::of(b"test"),
        title: String::new(),
        formats: vec![FORMAT_VERSION],
        parameter_set: PARAMS.name.into(),
        inputs: Inputs::uniform(FEATURES, 0.0, 3.0, 4),
        input_step: network.input_step(),
        outputs: outputs
            .map(|(c, _)| Output {
                label: c.to_string(),
                offset: 0.0,
                half_range,
            })
            .collect(),
        task: Task::Regression,
        classes: None,
        link: Link::Identity,
        members: Vec::new(),
        answer: Answer::Scores,
        fine_features: None,
        fine: None,
        sizes: Sizes::of(&SET, FEATURES, network.biases.len()),
        score_error: 0.0,
        accuracy: None,
        batch: None,
        version: None,
    };
    descriptor.try_into().unwrap()
}

fn query(model: &CheckedDescriptor, features: &[i64]) -> Query {
    let features: Vec<f64> = features.iter().map(|&x| x as f64).collect();
    let blob = keys().client.encrypt(model, &features).unwrap();
    Query::from_blob(&blob, PARAMS.query_format(), FEATURES).unwrap()
}

fn projections(network: &IntegerNetwork) -> Vec<Projection> {
    let mut fft = FourierContext::new(PARAMS.input_polynomial_size);
    let (step, amplitude) = (network.input_step(), network.amplitude());
    network
        .projections
        .iter()
        .map(|p| Projection::new(&PARAMS, &mut fft, p, step, amplitude))
        .collect()
}

/// Returns coefficient `position` of the phase of a GLWE ciphertext under the output secret.
fn phase(ciphertext: &[u64], position: usize) -> u64 {
    let n = PARAMS.polynomial_size.0;
    let output = &keys().secret.bits[PARAMS.input_lwe_dimension().0..];
    let (mask, body) = ciphertext.split_at(PARAMS.output_lwe_dimension().0);
    let polynomials = mask.chunks_exact(n).zip(output.chunks_exact(n));
    polynomials.fold(body[position], |phase, (a, s)| {
        phase.wrapping_sub(product_coefficient(a, s, position))
    })
}

/// Converts a phase to `p`. The torus spans four units of `p`.
fn as_p(phase: u64) -> f64 {
    phase as i64 as f64 / 2f64.powi(62)
}

fn plain_p(network: &IntegerNetwork, projection: usize, features: &[i64]) -> f64 {
    let IntegerProjection { weights, bias, .. } = &network.projections[projection];
    (bias + weights.iter().zip(features).map(|(w, x)| w * x).sum::<i64>()) as f64 / network.range
}

#[test]
fn first_layer_is_the_inner_product() {
    let network = network();
    let model = descriptor(&network);
    let input = &keys().secret.bits[..PARAMS.input_lwe_dimension().0];
    for index in 0..10 {
        let x = features(index);
        let query = query(&model, &x);
        let spectra = projection::query_spectra(&PARAMS, &query);
        let mut fft = FourierContext::new(PARAMS.input_polynomial_size);
        for (h, projection) in projections(&network).iter().enumerate() {
            let projected = projection.apply(&PARAMS, &mut fft, &spectra, &query.bodies);
            let terms = projected.mask.iter().zip(input);
            let product = terms.fold(0u64, |sum, (a, s)| sum.wrapping_add(a.wrapping_mul(*s)));
            let p = as_p(projected.body.wrapping_sub(product));
            let expected = plain_p(&network, h, &x);
            // ||w|| is about 23, the noise 2^-14.8 of the torus.
            assert!(
                (p - expected).abs() < 0.03,
                "projection {h}: {p}, expected {expected}"
            );

            let rotation = projected.modulus_switch(&PARAMS);
            let steps = rotation
                .mask
                .iter()
                .zip(input)
                .fold(rotation.body, |phase, (a, s)| phase.wrapping_sub(a * *s as usize));
            let p = (steps % 1024) as f64 / 256.0;
            let difference = (p - expected + 2.0).rem_euclid(4.0) - 2.0;
            assert!(
                difference.abs() < 0.1,
                "projection {h}, switched: {p}, expected {expected}"
            );
        }
    }
}

#[test]
fn a_rotation_reads_the_ramp_at_every_threshold() {
    let network = network();
    let n = PARAMS.polynomial_size.0;
    for (h, projection) in projections(&network).iter().enumerate() {
        // A phase of exactly `steps`, with a mask of zeros except for one coefficient.
        for steps in [0usize, 1, 255, 256, 300, 511, 512, 513, 700, 1023] {
            let mut mask = vec![0; PARAMS.input_lwe_dimension().0];
            mask[5] = 77;
            let body = (steps + 77 * keys().secret.bits[5] as usize) % 1024;
            let input = ModSwitchedLwe { mask, body };
            let rotated = keys()
                .key
                .bootstrap
                .rotate(&[input], &[&projection.test_polynomial]);
            for j in [-384i64, -128, -1, 0, 1, 2, 200, 384] {
                let position = j.rem_euclid(n as i64) as usize;
                let sign = if j < 0 { -1.0 } else { 1.0 };
                let value = sign * phase(&rotated, position) as i64 as f64 / network.amplitude();
                let p = (steps as i64 + j) as f64 / 256.0;
                let expected = IntegerNetwork::activation(network.projections[h].width, p);
                assert!(
                    (value - expected).abs() < 0.02,
                    "projection {h}, {steps} steps, read {j}: {value}, not {expected}"
                );
            }
        }
    }
}

/// Returns the ratio of the measured standard deviation to the predicted one.
fn ratio(errors: &[f64], predicted_variance: f64) -> f64 {
    let variance = errors.iter().map(|e| e * e).sum::<f64>() / errors.len() as f64;
    println!(
        "2^{:.2} measured, 2^{:.2} predicted",
        variance.log2() / 2.0,
        predicted_variance.log2() / 2.0
    );
    (variance / predicted_variance).sqrt()
}

#[test]
fn projections_and_rotations_have_the_predicted_noise() {
    let network = network();
    let model = descriptor(&network);
    let input = &keys().secret.bits[..PARAMS.input_lwe_dimension().0];
    let (n, steps) = (PARAMS.polynomial_size.0, 2 * PARAMS.polynomial_size.0);
    let projections = projections(&network);
    let (mut before, mut after) = (Vec::new(), Vec::new());
    let mut squared_norm = 0.0;
    for index in 0..=255 {
        let x = features(index);
        let query = query(&model, &x);
        let spectra = projection::query_spectra(&PARAMS, &query);
        let mut fft = FourierContext::new(PARAMS.input_polynomial_size);
        for (h, projection) in projections.iter().enumerate() {
            let input_step = network.input_step() as f64 / 2f64.powi(64);
            let exact = plain_p(&network, h, &x) * network.range * input_step;
            let projected = projection.apply(&PARAMS, &mut fft, &spectra, &query.bodies);
            let rotation = projected.modulus_switch(&PARAMS);
            let terms = rotation.mask.iter().zip(input);
            let phase =
                terms.fold(rotation.body, |phase, (a, s)| phase.wrapping_sub(a * *s as usize)) % steps;
            let error = phase as f64 / steps as f64 - exact;
            before.push(error - error.round());
            squared_norm += network.projections[h]
                .weights
                .iter()
                .map(|w| (w * w) as f64)
                .sum::<f64>()
                / 768.0;
            if index < 30 {
                let rotated = keys()
                    .key
                    .bootstrap
                    .rotate(&[rotation], &[&projection.test_polynomial]);
                for position in (0..n).step_by(8) {
                    let read = self::phase(&rotated, position);
                    let place = (phase + position) % steps;
                    let value = projection.test_polynomial[place % n];
                    let value = if place < n { value } else { value.wrapping_neg() };
                    after.push(read.wrapping_sub(value) as i64 as f64 / 2f64.powi(64));
                }
            }
        }
    }
    let ratios = [
        ratio(&before, NetworkNoise::projection(&PARAMS, squared_norm)),
        ratio(&after, NetworkNoise::rotation(&PARAMS)),
    ];
    assert!(ratios.iter().all(|ratio| (ratio - 1.0).abs() < 0.1), "{ratios:?}");
}

#[test]
fn a_whole_score_is_the_plain_networks() {
    let network = network();
    let model = descriptor(&network);
    let engine = NetworkEngine::new(PARAMS, &network);
    let mut largest = 0f64;
    for index in 0..8 {
        let x = features(index);
        let response = engine.score(&query(&model, &x), &keys().key).unwrap();
        let blob = response.to_blob();
        let scores = keys()
            .client
            .decrypt(&model, response.query, &blob)
            .unwrap()
            .scores;
        for (score, expected) in scores.iter().zip(network.logits(&x)) {
            largest = largest.max((score - expected).abs());
        }
    }
    // The narrow ramp amplifies modulus-switch noise to a third of a read.
    println!("largest error of a logit: {largest}");
    assert!(largest < 6.0, "{largest}");
}

#[test]
fn output_layer_adds_reads_up() {
    // A trivial encryption of the first test polynomial, unrotated: p = 0.
    let mut network = network();
    network.projections.truncate(1);
    let layer = OutputLayer::new(&PARAMS, &network, network.amplitude());
    let mut rotated = vec![0; PARAMS.output_lwe_dimension().0];
    rotated.extend(&projections(&network)[0].test_polynomial);
    let query = query(&descriptor(&network), &features(0));
    let mut sampler = blindscore_protocol::random::Sampler::new().unwrap();
    let sums = vec![layer.sum(&PARAMS, 0, &rotated)];
    let response = finish(
        &PARAMS,
        &keys().key,
        &mut sampler,
        &query,
        &layer.biases,
        sums,
        None,
    );
    let scores = keys()
        .client
        .decrypt(&descriptor(&network), response.query, &response.to_blob())
        .unwrap()
        .scores;
    let IntegerProjection {
        width,
        thresholds,
        reads,
        ..
    } = &network.projections[0];
    for (c, score) in scores.iter().enumerate() {
        let reads = thresholds.iter().zip(&reads[c]);
        let sum: f64 = reads
            .map(|(t, v)| *v as f64 * IntegerNetwork::activation(*width, *t as f64 / 256.0))
            .sum();
        assert!(
            (score - sum - network.biases[c]).abs() < 0.2,
            "{score}, not {}",
            sum + network.biases[c]
        );
    }
}
