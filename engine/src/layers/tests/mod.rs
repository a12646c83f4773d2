//! Tests of each stage against the plain network.

mod label;

use super::{IntegerLayers, IntegerUnit, LayersEngine, MOST_LAYERS, PlainLayers, SLOTS, plain, slots::Read};
use crate::{
    fourier::FourierContext,
    network::{LweCiphertext, NetworkKey},
};
use blindscore_client::ClientKey;
use blindscore_protocol::{
    descriptor::{Answer, CheckedDescriptor, Inputs, Link, ModelDescriptor, Output, Sizes, Task},
    ids::ModelId,
    noise::NetworkNoise,
    params::{NetworkParams, ParameterSet},
    random::reproducible,
    wire::{EvaluationKey, FORMAT_VERSION, Query, QueryId, SecretKeyBits},
};
use std::sync::OnceLock;

const PARAMS: NetworkParams = NetworkParams::N832_K2;
const SET: ParameterSet = ParameterSet::Network(PARAMS);
const FEATURES: usize = 70;
const LEVELS: u32 = 1 << 12;
const TORUS: f64 = 18_446_744_073_709_551_616.0;

struct Keys {
    client: ClientKey,
    secret: SecretKeyBits,
    key: NetworkKey,
}

impl Keys {
    fn generate() -> Self {
        let (client, public) = ClientKey::generate(SET).unwrap();
        let EvaluationKey::Network(public) = EvaluationKey::from_blob(&public.to_blob().0).unwrap() else {
            panic!("not a network's")
        };
        Self {
            secret: SecretKeyBits::from_blob(&client.to_bytes()).unwrap(),
            client,
            key: NetworkKey::new(&public),
        }
    }

    /// Returns the encrypted scores of a row, as parts of the torus.
    fn scored(&self, network: &IntegerLayers, engine: &LayersEngine, row: &[i64]) -> Vec<f64> {
        let model = descriptor(network);
        let row: Vec<f64> = row.iter().map(|&x| x as f64).collect();
        let blob = self.client.encrypt(&model, &row).unwrap();
        let query = Query::from_blob(&blob, PARAMS.query_format(), FEATURES).unwrap();
        let response = engine.score(&query, &self.key).unwrap().to_blob();
        let id = QueryId::of(&blob).unwrap();
        self.client.decrypt(&model, id, &response).unwrap().scores
    }
}

fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(Keys::generate)
}

/// Returns the parts of the secret: under which features are, and under which reads are.
fn secrets() -> (&'static [u64], &'static [u64]) {
    keys().secret.bits.split_at(PARAMS.input_lwe_dimension().0)
}

fn phase(ciphertext: &LweCiphertext, secret: &[u64]) -> u64 {
    let terms = ciphertext.mask.iter().zip(secret);
    terms.fold(ciphertext.body, |phase, (a, s)| {
        phase.wrapping_sub(a.wrapping_mul(*s))
    })
}

/// A table of `f` of a phase, times `amplitude`, so that the slots of a rotation add up to the
/// latter.
fn table(amplitude: f64, f: impl Fn(f64) -> f64) -> Vec<i32> {
    let n = PARAMS.polynomial_size.0;
    let entry = |index: usize| {
        let phase = (index as f64 + 0.5) / (2 * n) as f64;
        // The half of the torus around zero; the upper quarter is the lower one, negated.
        let value = if phase < 0.25 { f(phase) } else { -f(phase - 0.5) };
        (value * amplitude / SLOTS as f64 * 2f64.powi(32)).round() as i32
    };
    (0..n).map(entry).collect()
}

/// Two layers of which the second also reads features, with units of several rotations.
fn network() -> IntegerLayers {
    let mut random = reproducible([5; 16], 4_000).into_iter();
    let mut below = |bound: u64| (random.next().unwrap() % bound) as i64;
    // Neither has a jump at the ends of the half torus, where a little noise would matter much.
    let ramps = table(0.05, |p| 4.0 * p.abs() - 1.0);
    let wave = table(0.05, |p| (std::f64::consts::TAU * p).sin());
    let first = (0..6).map(|unit| {
        (
            0,
            if unit % 2 == 0 {
                ramps.clone()
            } else {
                wave.clone()
            },
        )
    });
    let second = (0..3).map(|unit| (1, if unit == 1 { ramps.clone() } else { wave.clone() }));
    let units = first
        .chain(second)
        .enumerate()
        .map(|(place, (layer, table))| IntegerUnit {
            layer,
            features: if place == 7 {
                Vec::new()
            } else {
                (0..FEATURES).map(|_| below(61) - 30).collect()
            },
            units: (0..6 * layer).map(|_| below(33) as i32 - 16).collect(),
            offset: (below(1 << 20) as u64) << 42,
            repeats: 1 + place % 3,
            table,
        });
    IntegerLayers {
        features: FEATURES,
        input_step: 1 << 41,
        units: units.collect(),
        outputs: (0..2)
            .map(|_| (0..9).map(|_| below(33) as i32 - 16).collect())
            .collect(),
        biases: vec![1 << 61, 5 << 61],
    }
}

fn features(index: u8) -> Vec<i64> {
    let random = reproducible([index; 16], FEATURES);
    random.iter().map(|r| (r >> 52) as i64).collect()
}

fn descriptor(network: &IntegerLayers) -> CheckedDescriptor {
    ModelDescriptor {
        name: "test".into(),
        id: ModelId::of(b"test"),
        title: String::new(),
        formats: vec![FORMAT_VERSION],
        parameter_set: PARAMS.name.into(),
        inputs: Inputs::uniform(FEATURES, 0.0, f64::from(LEVELS - 1), LEVELS),
        input_step: network.input_step,
        outputs: (0..network.outputs.len())
            .map(|output| Output {
                label: output.to_string(),
                offset: 0.0,
                half_range: 0.5,
            })
            .collect(),
        answer: Answer::Scores,
        fine_features: None,
        fine: None,
        task: Task::Regression,
        classes: None,
        link: Link::Identity,
        members: Vec::new(),
        sizes: Sizes::of(&SET, FEATURES, network.outputs.len()),
        score_error: 0.0,
        accuracy: None,
        batch: None,
        version: None,
    }
    .try_into()
    .unwrap()
}

/// Returns the encrypted scores of a row, as parts of the torus.
fn scored(network: &IntegerLayers, engine: &LayersEngine, row: &[i64]) -> Vec<f64> {
    keys().scored(network, engine, row)
}

fn deviation(errors: &[f64]) -> f64 {
    (errors.iter().map(|error| error * error).sum::<f64>() / errors.len() as f64).sqrt()
}

#[test]
fn scores_are_those_of_the_plain_network_with_the_predicted_noise() {
    let network = network();
    assert_eq!(network.check(&PARAMS), Ok(()));
    let engine = LayersEngine::new(PARAMS, &network, None);
    assert_eq!(engine.rotations(), 18);
    let averaged = network.averaged(&PARAMS);
    let (clear, average) = (PlainLayers::new(&network), PlainLayers::new(&averaged));
    let mut relative = Vec::new();
    for index in 0..90 {
        let row = features(index);
        let (plain, spread) = (average.scores(&row), clear.spread(&PARAMS, &row));
        for ((score, plain), variance) in scored(&network, &engine, &row).iter().zip(plain).zip(spread) {
            // The client reads scores modulo the torus.
            let error = score - plain;
            let rest = NetworkNoise::score(&PARAMS, 0.0);
            relative.push((error - error.round()) / (variance + rest).sqrt());
        }
    }
    let measured = deviation(&relative);
    assert!(relative.iter().all(|error| error.abs() < 6.0), "{relative:?}");
    // 180 samples give a deviation to 5 %, less precisely if both scores of a row are alike.
    assert!((0.75..1.3).contains(&measured), "{measured} of what is predicted");
}

#[test]
fn a_table_that_is_off_by_one_place_or_rotation_is_noticed() {
    const REPEATS: usize = 8;
    let wave = table(0.5, |p| (std::f64::consts::TAU * p).sin());
    let one = |table: Vec<i32>, repeats| IntegerLayers {
        features: FEATURES,
        input_step: 1 << 41,
        units: vec![IntegerUnit {
            layer: 0,
            features: vec![0; FEATURES],
            units: Vec::new(),
            offset: 1 << 57,
            repeats,
            table,
        }],
        outputs: vec![vec![(SLOTS * REPEATS) as i32]],
        biases: vec![1 << 60],
    };
    let network = one(wave.clone(), REPEATS);
    let engine = LayersEngine::new(PARAMS, &network, None);
    let row = features(0);
    // A key's encryptions of zero are added up with a mean weight of a half, so that a part of the
    // noise is the same for all rows of a key, some 0.3 deviations: several keys average it out.
    let (sets, rows) = (5, 40);
    let each = (0..sets).map(|_| {
        let keys = Keys::generate();
        let scores = (0..rows).map(|_| keys.scored(&network, &engine, &row)[0]);
        scores.sum::<f64>() / f64::from(rows)
    });
    let mean = each.sum::<f64>() / f64::from(sets);
    // A table that is off by one place is 1.7 deviations away.
    let variance = PlainLayers::new(&network).spread(&PARAMS, &row)[0] + NetworkNoise::score(&PARAMS, 0.0);
    let allowed = 0.85 * variance.sqrt();
    let away = |network: &IntegerLayers| (mean - PlainLayers::new(network).scores(&row)[0]).abs();
    assert!(away(&network) < allowed, "{} of {allowed}", away(&network));
    for (sign, shift) in [(1, 1), (-1, wave.len() - 1)] {
        let mut shifted = wave.clone();
        shifted.rotate_left(shift);
        // Entries that wrap change their sign.
        let wrapped = if sign == 1 { wave.len() - 1 } else { 0 };
        shifted[wrapped] = -shifted[wrapped];
        let wrong = one(shifted, REPEATS);
        assert!(away(&wrong) > allowed, "{} of {allowed}", away(&wrong));
    }
    let mut weighted = one(wave, REPEATS);
    weighted.outputs[0][0] -= SLOTS as i32;
    assert!(away(&weighted) > allowed);
}

/// Opposite errors cancel out where a table is straight, and not at the corner of an absolute
/// value.
#[test]
fn what_a_corner_adds_does_not_cancel_out_and_is_predicted() {
    const REPEATS: usize = 8;
    let single = f64::from(2 * PARAMS.polynomial_size.0 as u32);
    let of = |table: Vec<i32>, steps: f64| IntegerLayers {
        features: FEATURES,
        input_step: 1 << 41,
        units: vec![IntegerUnit {
            layer: 0,
            features: vec![0; FEATURES],
            units: Vec::new(),
            offset: (steps / single * TORUS) as u64,
            repeats: REPEATS,
            table,
        }],
        outputs: vec![vec![(SLOTS * REPEATS) as i32]],
        biases: vec![0],
    };
    let row = features(0);
    let in_the_clear = |network: &IntegerLayers| PlainLayers::new(network).scores(&row)[0];
    let mut biases: Vec<f64> = Vec::new();
    // A rotation has an error of 5.8 steps.
    for (sharpened, steps) in [(false, 0.0), (true, 0.0), (true, 6.0)] {
        let plain = of(table(0.5, |p| 4.0 * p.abs() - 1.0), steps);
        let mut network = plain.clone();
        if sharpened {
            network.units[0] = network.units[0].clone().sharpened(&PARAMS);
        }
        let engine = LayersEngine::new(PARAMS, &network, None);
        let plain = in_the_clear(&plain);
        let mut errors = Vec::new();
        for _ in 0..5 {
            let keys = Keys::generate();
            errors.extend((0..24).map(|_| {
                let error = keys.scored(&network, &engine, &row)[0] - plain;
                (error - error.round()) * single
            }));
        }
        let mean = errors.iter().sum::<f64>() / errors.len() as f64;
        let about: Vec<f64> = errors.iter().map(|error| error - mean).collect();
        let expected = (in_the_clear(&network.averaged(&PARAMS)) - plain) * single;
        let variance =
            PlainLayers::new(&network).spread(&PARAMS, &row)[0] + NetworkNoise::score(&PARAMS, 0.0);
        let predicted = variance.sqrt() * single;
        println!("{mean} of {expected}, {} of {predicted}", deviation(&about));
        // Five keys and 120 samples give the mean to a sixth of a deviation, and the deviation to
        // 7 %.
        assert!(
            (mean - expected).abs() < 0.8 * predicted,
            "{mean}, not {expected}"
        );
        assert!(
            (0.65..1.4).contains(&(deviation(&about) / predicted)),
            "{predicted}"
        );
        biases.push(expected / predicted);
    }
    // The corner's mean error is far more than its noise, so that leaving it out would fail.
    assert!(biases[0] > 2.0 && biases[1] < 0.5 * biases[0], "{biases:?}");
}

#[test]
fn errors_of_several_rotations_cancel_out() {
    let steps = PARAMS.rotation_log2();
    let dimension = PARAMS.input_lwe_dimension().0;
    // So many give a deviation to 1.8 %.
    let count = 1_500;
    let masks = reproducible([4; 16], count * dimension);
    let zeros: Vec<LweCiphertext> = masks
        .chunks_exact(dimension)
        .map(|mask| LweCiphertext {
            body: mask
                .iter()
                .zip(secrets().0)
                .fold(0u64, |sum, (a, s)| sum.wrapping_add(a.wrapping_mul(*s))),
            mask: mask.to_vec(),
        })
        .collect();
    let error = |zero: &LweCiphertext, part: usize, parts: usize| {
        let switched = zero.modulus_switch_part(&PARAMS, part, parts);
        let terms = switched.mask.iter().zip(secrets().0);
        let product = terms.fold(0u64, |sum, (a, s)| sum.wrapping_add(*a as u64 * s));
        let phase = (switched.body as u64).wrapping_sub(product) << (64 - steps);
        phase as i64 as f64 / TORUS
    };
    let predicted = NetworkNoise::modulus_switch(&PARAMS).sqrt();
    for parts in [1, 2, 3, 8] {
        let (mut single, mut average) = (Vec::new(), Vec::new());
        for zero in &zeros {
            let errors: Vec<f64> = (0..parts).map(|part| error(zero, part, parts)).collect();
            average.push(errors.iter().sum::<f64>() / parts as f64);
            single.extend(errors);
        }
        let (single, average) = (deviation(&single), deviation(&average));
        let expected = predicted / parts as f64;
        assert!(
            (average / expected - 1.0).abs() < 0.1,
            "{parts}: {average}, not {expected}"
        );
        // Each by itself is rounded up or down at random: up to sqrt(2) times the error.
        assert!(single < 1.5 * predicted, "{parts}: {single} and {predicted}");
    }
    // A weight that doesn't divide evenly.
    for (weight, parts) in [(1, 2), (4, 3), (-3, 8), (13, 5)] {
        let (each, more) = super::divided(weight, parts);
        let share = |part: usize| {
            let first = part < more.unsigned_abs() as usize;
            f64::from(each + if first { more.signum() } else { 0 })
        };
        let sum = |zero: &LweCiphertext| -> f64 {
            (0..parts)
                .map(|part| share(part) * error(zero, part, parts))
                .sum()
        };
        let measured = deviation(&zeros.iter().map(sum).collect::<Vec<f64>>());
        let shares: Vec<f64> = (0..parts).map(share).collect();
        let one = super::Division::new(&PARAMS, parts).switch(weight);
        let other = plain::switch(&PARAMS, &shares);
        assert!(
            (one / other - 1.0).abs() < 1e-9,
            "{weight} by {parts}: {one} and {other}"
        );
        let expected = one.sqrt();
        assert!(
            (measured / expected - 1.0).abs() < 0.1,
            "{weight} by {parts}: {measured}, not {expected}"
        );
    }
}

/// Returns LWE ciphertexts of zero under the output secret, without noise.
fn zeros(count: usize) -> Vec<LweCiphertext> {
    let dimension = PARAMS.output_lwe_dimension().0;
    let masks = reproducible([9; 16], count * dimension);
    let of = |mask: &[u64]| LweCiphertext {
        body: mask
            .iter()
            .zip(secrets().1)
            .fold(0u64, |sum, (a, s)| sum.wrapping_add(a.wrapping_mul(*s))),
        mask: mask.to_vec(),
    };
    masks.chunks_exact(dimension).map(of).collect()
}

#[test]
fn key_switch_has_the_predicted_noise() {
    let mut fft = FourierContext::new(PARAMS.input_polynomial_size);
    let message = 0x1234_5678_u64 << 32;
    let errors: Vec<f64> = zeros(1_500)
        .into_iter()
        .map(|mut ciphertext| {
            ciphertext.body = ciphertext.body.wrapping_add(message);
            let switched = keys().key.switched(&mut fft, &ciphertext);
            phase(&switched, secrets().0).wrapping_sub(message) as i64 as f64 / TORUS
        })
        .collect();
    let (measured, predicted) = (deviation(&errors), NetworkNoise::key_switch(&PARAMS).sqrt());
    let mean = errors.iter().sum::<f64>() / errors.len() as f64;
    assert!(
        mean.abs() < 0.15 * predicted,
        "mean {mean}, deviation {predicted}"
    );
    assert!(
        (measured / predicted - 1.0).abs() < 0.1,
        "{measured}, not {predicted}"
    );
}

#[test]
fn what_the_key_switch_rounds_away_is_made_up_for() {
    let mut fft = FourierContext::new(PARAMS.input_polynomial_size);
    // All coefficients are rounded down by the same: a secret of 1,024 ones would shift the phase.
    let rest = 1u64 << 46;
    let errors: Vec<f64> = zeros(40)
        .into_iter()
        .map(|mut ciphertext| {
            for (coefficient, secret) in ciphertext.mask.iter_mut().zip(secrets().1) {
                let moved = (*coefficient >> 48 << 48) + rest;
                ciphertext.body = ciphertext
                    .body
                    .wrapping_add(moved.wrapping_sub(*coefficient) * secret);
                *coefficient = moved;
            }
            let switched = keys().key.switched(&mut fft, &ciphertext);
            phase(&switched, secrets().0) as i64 as f64 / TORUS
        })
        .collect();
    let mean = errors.iter().sum::<f64>() / errors.len() as f64;
    // Half of the coefficients times the remainder; the ones of a secret are 1,024 within a
    // hundred.
    let shift = 1_024.0 * rest as f64 / TORUS;
    assert!(mean.abs() < 0.2 * shift, "{mean} of {shift}");
}

#[test]
fn divided_weights_have_the_variance_of_their_slots() {
    for (weight, repeats) in [(1, 1), (7, 1), (-3, 2), (13, 3), (-50, 8), (64, 4)] {
        let mut network = network();
        network.units.truncate(1);
        network.units[0].repeats = repeats;
        network.outputs = vec![vec![weight]];
        network.biases = vec![0];
        let clear = PlainLayers::new(&network);
        let gradient = &clear.gradients(&PARAMS, &features(1))[0][0];
        let division = super::Division::new(&PARAMS, repeats);
        assert_eq!(gradient.slots.len(), SLOTS * repeats);
        assert_eq!(gradient.total(), f64::from(weight));
        for (one, other) in [
            (gradient.reads(&PARAMS), division.reads(weight)),
            (gradient.switch(&PARAMS), division.switch(weight)),
        ] {
            assert!(
                (one / other - 1.0).abs() < 1e-9,
                "{weight} by {repeats}: {one} and {other}"
            );
        }
    }
}

#[test]
fn reads_have_the_predicted_noise() {
    let n = PARAMS.polynomial_size.0;
    let count = 240;
    let inputs: Vec<_> = zeros(count)
        .iter()
        .map(|ciphertext| crate::network::ModSwitchedLwe {
            mask: ciphertext.mask[..PARAMS.input_lwe_dimension().0]
                .iter()
                .map(|a| (a >> 53) as usize)
                .collect(),
            body: 0,
        })
        .collect();
    // A constant table rotates to plus or minus itself: only the noise is left.
    let height = 1u64 << 40;
    let table = vec![height; n];
    let tables: Vec<&[u64]> = inputs.iter().map(|_| table.as_slice()).collect();
    let rotated = keys().key.rotate(&inputs, &tables);
    let len = PARAMS.output_lwe_dimension().0 + n;
    let weights = [[1, 0, 0, 0], [1, 1, 1, 1], [2, 1, 1, 1]];
    let mut errors = [const { Vec::new() }; 3];
    for (index, (input, rotated)) in inputs.iter().zip(rotated.chunks_exact(len)).enumerate() {
        let turned = input.mask.iter().zip(secrets().0);
        let turned = turned.fold(0usize, |sum, (a, s)| sum + a * *s as usize) % (2 * n);
        // Phase -<a, s>: coefficient 0 is the table at that place.
        let place = (2 * n - turned) % (2 * n);
        let near = |x: usize| x % n < SLOTS || x % n > n - SLOTS;
        if near(place) {
            continue;
        }
        let sign = if place < n { 1.0 } else { -1.0 };
        let slots = Read::slots(&PARAMS, rotated, index % 2);
        for (errors, weights) in errors.iter_mut().zip(&weights) {
            let read = Read::weighted(&PARAMS, slots.iter().zip(weights.iter().copied()));
            let expected = sign * height as f64 * f64::from(weights.iter().sum::<i32>());
            errors.push((phase(&read, secrets().1) as i64 as f64 - expected) / TORUS);
        }
    }
    for (errors, weights) in errors.iter().zip(&weights) {
        let squares: f64 = weights.iter().map(|weight| f64::from(weight * weight)).sum();
        let sum = f64::from(weights.iter().sum::<i32>());
        let predicted = NetworkNoise::reads(&PARAMS, squares, sum * sum).sqrt();
        let measured = deviation(errors);
        assert!(errors.len() > 200);
        assert!(
            (0.75..1.3).contains(&(measured / predicted)),
            "{weights:?}: {measured}, not {predicted}"
        );
    }
}

#[test]
fn malformed_networks_are_refused() {
    let good = network();
    let refused = |change: &dyn Fn(&mut IntegerLayers)| {
        let mut bad = good.clone();
        change(&mut bad);
        bad.check(&PARAMS).unwrap_err()
    };
    assert!(refused(&|n| n.units.clear()).contains("0 units"));
    assert!(refused(&|n| n.units[0].layer = 1).contains("layer 1"));
    assert!(refused(&|n| n.units[7].layer = 3).contains("layer 3"));
    assert!(refused(&|n| n.units[2].features.truncate(3)).contains("3 weights"));
    assert!(refused(&|n| n.units[7].units.push(1)).contains("7 weights"));
    assert!(refused(&|n| n.units[0].units.push(1)).contains("1 weights"));
    assert!(refused(&|n| n.units[0].repeats = 0).contains("0 times"));
    assert!(refused(&|n| n.units[0].table.truncate(5)).contains("5 values"));
    assert!(refused(&|n| n.outputs[1].truncate(5)).contains("output 1"));
    assert!(refused(&|n| n.biases.push(0)).contains("3 biases"));
    // One unit after the other, each of which reads the one before.
    let layered = |layers: usize| {
        let mut network = good.clone();
        network.units = (0..layers)
            .map(|layer| IntegerUnit {
                layer,
                units: (0..layer).map(|unit| i32::from(unit + 1 == layer)).collect(),
                ..good.units[0].clone()
            })
            .collect();
        network.outputs = vec![vec![1; layers]; 2];
        network.check(&PARAMS)
    };
    assert_eq!(layered(MOST_LAYERS), Ok(()));
    assert_eq!(
        layered(MOST_LAYERS + 1),
        Err(format!("more than {MOST_LAYERS} layers of units"))
    );
}
