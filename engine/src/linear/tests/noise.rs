//! Measured noise of the linear engine against its prediction.

use super::super::{
    LinearKey,
    packing::{Packed, Unpacked},
    rerandomise,
};
use super::{Fixture, INPUT_STEP_LOG2, circular_difference, multiply, over_the_wire, weight_polynomial};
use crate::fourier::FourierContext;
use blindscore_client::ClientKey;
use blindscore_protocol::random::Sampler;
use blindscore_protocol::{
    noise::ScoreNoise,
    params::{LinearParams, ParameterSet},
    polynomial::product_coefficient,
    wire::SecretKeyBits,
};

/// Largest relative error of a predicted standard deviation. Sampling accounts for 2 to 4 %.
const TOLERANCE: f64 = 0.10;
const QUERIES: u8 = 200;

fn check(what: &str, errors: &[f64], predicted_variance: f64) {
    let measured = (errors.iter().map(|e| e * e).sum::<f64>() / errors.len() as f64).sqrt();
    let ratio = measured / predicted_variance.sqrt();
    println!(
        "{what}: 2^{:.2} measured, {ratio:.3} of the prediction",
        measured.log2()
    );
    assert!(
        (ratio - 1.0).abs() < TOLERANCE,
        "{what}: measured {ratio:.3} of the prediction"
    );
}

fn predicted(fixture: &Fixture, output: usize, packed: bool) -> ScoreNoise {
    let squared_norm = fixture.outputs[output]
        .weights
        .iter()
        .map(|&w| (w as f64).powi(2))
        .sum();
    ScoreNoise::predict(&fixture.params, squared_norm, packed)
}

#[test]
fn scores_have_the_predicted_noise() {
    let fixture = Fixture::new(784, 10, 13, 5);
    let mut errors = Vec::new();
    for index in 0..QUERIES {
        let input = fixture.features(index);
        let pairs = fixture.scores(&input).into_iter().zip(fixture.expected(&input));
        // A phase in [-1, 1) is twice its torus element.
        errors.extend(pairs.map(|(score, expected)| circular_difference(score, expected) / 2.0));
    }
    check("a whole score", &errors, predicted(&fixture, 0, true).total());
}

/// Scores three outputs: two share a ciphertext, the third has its own.
#[test]
fn fine_scores_have_the_predicted_noise() {
    let fixture = Fixture::with(LinearParams::N2048_FINE, 784, 3, 13, 9);
    let (mut shared, mut alone) = (Vec::new(), Vec::new());
    for index in 0..=u8::MAX {
        let input = fixture.features(index);
        for _ in 0..4 {
            let pairs = fixture.scores(&input).into_iter().zip(fixture.expected(&input));
            let errors: Vec<f64> = pairs
                .map(|(score, expected)| circular_difference(score, expected) / 2.0)
                .collect();
            shared.extend(&errors[..2]);
            alone.push(errors[2]);
        }
    }
    check("a shared score", &shared, predicted(&fixture, 0, true).total());
    check("a single score", &alone, predicted(&fixture, 2, false).total());
}

/// Uses exact products instead of the FFT's.
#[test]
fn a_query_has_the_predicted_noise() {
    let fixture = Fixture::new(784, 4, 13, 8);
    let secret = SecretKeyBits::from_blob(&fixture.client.to_bytes()).unwrap();
    let n = fixture.params.n();
    let mut errors = Vec::new();
    for index in 0..QUERIES {
        let input = fixture.features(index);
        let query = fixture.query(&input);
        let mask = query.masks().next(n);
        for output in &fixture.outputs {
            let body = query.bodies.iter().zip(&output.weights);
            let body = body.fold(0u64, |sum, (b, w)| sum.wrapping_add(b.wrapping_mul(*w as u64)));
            let product = multiply(&mask, &weight_polynomial(&output.weights, n));
            let phase = body.wrapping_sub(product_coefficient(&product, &secret.bits, 0));
            let terms = input.iter().zip(&output.weights);
            let exact = terms.fold(0i64, |sum, (x, w)| sum.wrapping_add((*x as i64).wrapping_mul(*w)));
            let error = phase.wrapping_sub((exact << INPUT_STEP_LOG2) as u64);
            errors.push(2.0 * error as i64 as f64 / 2f64.powi(64));
        }
    }
    check("query", &errors, predicted(&fixture, 0, true).query);
}

/// Uses many keys: a binary `u` has mean 1/2, so for a single key half of the variance is a
/// constant.
#[test]
fn an_encryption_of_zero_has_the_predicted_noise() {
    let params = LinearParams::N2048;
    let mut fft = FourierContext::new(params.polynomial_size);
    let mut sampler = Sampler::new().unwrap();
    let mut errors = Vec::new();
    for _ in 0..600 {
        let (client, public) = ClientKey::generate(ParameterSet::Linear(params)).unwrap();
        let key = LinearKey::new(&over_the_wire(&public));
        let secret = SecretKeyBits::from_blob(&client.to_bytes()).unwrap();
        let nothing = || Unpacked {
            mask: vec![0; params.n()],
            body: 0,
        };
        for zero in rerandomise(&mut fft, &mut sampler, &key, vec![nothing(), nothing()]) {
            let phase = zero
                .body
                .wrapping_sub(product_coefficient(&zero.mask, &secret.bits, 0));
            errors.push(2.0 * phase as i64 as f64 / 2f64.powi(64));
        }
    }
    let noise = ScoreNoise::predict(&params, 0.0, true);
    check("encryption of zero", &errors, noise.rerandomisation);
}

/// Checks each stage separately: the noise that flooding must drown, and the noise of packing.
#[test]
fn every_stage_has_the_predicted_noise() {
    let fixture = Fixture::new(784, 10, 13, 6);
    let secret = SecretKeyBits::from_blob(&fixture.client.to_bytes()).unwrap();
    let n = fixture.params.n();
    let torus = |difference: u64| difference as i64 as f64 / 2f64.powi(64);
    let (mut query, mut fresh, mut packing, mut single) = (vec![], vec![], vec![], vec![]);
    for index in 0..QUERIES {
        let input = fixture.features(index);
        let mut fft = FourierContext::new(fixture.params.polynomial_size);
        let mut sampler = Sampler::new().unwrap();
        let products = fixture.engine.products(&mut fft, &fixture.query(&input));
        let phase = |mask: &[u64], body: u64, position| {
            body.wrapping_sub(product_coefficient(mask, &secret.bits, position))
        };
        let before: Vec<u64> = products.iter().map(|c| phase(&c.mask, c.body, 0)).collect();
        for (phase, output) in before.iter().zip(&fixture.outputs) {
            let terms = input.iter().zip(&output.weights);
            let product = terms.fold(0i64, |sum, (x, w)| sum.wrapping_add((*x as i64).wrapping_mul(*w)));
            let exact = ((product << INPUT_STEP_LOG2) as u64).wrapping_add(output.intercept);
            query.push(2.0 * torus(phase.wrapping_sub(exact)));
        }
        let products = rerandomise(&mut fft, &mut sampler, &fixture.key, products);
        let after: Vec<u64> = products.iter().map(|c| phase(&c.mask, c.body, 0)).collect();
        fresh.extend(
            before
                .iter()
                .zip(&after)
                .map(|(b, a)| 2.0 * torus(a.wrapping_sub(*b))),
        );
        for (pair, phases) in products.chunks_exact(2).zip(after.chunks_exact(2)) {
            let packed = Packed::pair(&mut fft, &fixture.key, &pair[0], &pair[1]);
            for (position, exact) in phases.iter().enumerate() {
                let phase = phase(&packed.mask, packed.bodies[position], position);
                packing.push(torus(phase.wrapping_sub(exact.wrapping_mul(2))));
            }
        }
        let Some(last) = products.into_iter().last() else {
            unreachable!("the model has ten outputs")
        };
        let alone = Packed::single(last);
        single.push(torus(
            phase(&alone.mask, alone.bodies[0], 0).wrapping_sub(after[9].wrapping_mul(2)),
        ));
        assert_eq!(alone.mask.len(), n);
    }
    let noise = predicted(&fixture, 0, true);
    let products = (query.iter().map(|e| e * e).sum::<f64>() / query.len() as f64).sqrt();
    let ratio = products / (noise.query + noise.fourier).sqrt();
    println!("query times weights: {ratio:.3} of the prediction, which estimates the FFT's errors");
    assert!((0.75..1.25).contains(&ratio), "query times weights: {ratio}");
    check("packing", &packing, noise.key_switch + noise.decomposition);
    assert!(
        single.iter().all(|error| *error == 0.0),
        "doubling a single score is exact"
    );

    let margin = noise.flooding_margin();
    let measured = |errors: &[f64]| {
        let variance = errors.iter().map(|e| e * e).sum::<f64>() / errors.len() as f64;
        0.5 * (noise.flooding / variance).log2()
    };
    println!("flooding margin: {margin:?}");
    assert!(
        measured(&fresh) > 14.0 && measured(&query) > 12.0,
        "measured flooding margins are too small"
    );
}
