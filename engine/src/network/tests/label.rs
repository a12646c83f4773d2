//! Tests of networks of which only the label is sent: each stage against its phases in the clear.

use super::{FEATURES, features, network, ratio};
use crate::{
    bits::{BIT, FLOODING},
    fourier::FourierContext,
    network::{
        IntegerNetwork, IntegerProjection, LweCiphertext, ModSwitchedLwe, NetworkEngine, NetworkKey,
        label::{Bits, Largest, MOST_CLASSES, Pair, Scale, compared},
        output::finish,
    },
    rounding::expected_loss,
};
use blindscore_client::ClientKey;
use blindscore_protocol::{
    descriptor::{Answer, CheckedDescriptor, ModelDescriptor, Output, Sizes, Task},
    noise::NetworkNoise,
    params::{NetworkParams, ParameterSet},
    polynomial::product_coefficient,
    random::{Sampler, reproducible},
    wire::{EvaluationKey, Query, Response, SecretKeyBits},
};
use std::sync::OnceLock;

const PARAMS: NetworkParams = NetworkParams::N704_K4_SWITCH;
const SET: ParameterSet = ParameterSet::Network(PARAMS);
const TORUS: f64 = 18_446_744_073_709_551_616.0;

struct Keys {
    client: ClientKey,
    secret: SecretKeyBits,
    key: NetworkKey,
}

fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| {
        let (client, public) = ClientKey::generate(SET).unwrap();
        let EvaluationKey::Network(public) = EvaluationKey::from_blob(&public.to_blob().0).unwrap() else {
            panic!("not a network's")
        };
        Keys {
            secret: SecretKeyBits::from_blob(&client.to_bytes()).unwrap(),
            client,
            key: NetworkKey::new(&public),
        }
    })
}

/// Returns the parts of the secret: under which features are, and under which scores are.
fn secrets() -> (&'static [u64], &'static [u64]) {
    keys().secret.bits.split_at(PARAMS.input_lwe_dimension().0)
}

/// Returns a ciphertext of a part of the torus under the output secret, without noise.
fn encrypted(part: f64, index: u64) -> LweCiphertext {
    let mut seed = [7; 16];
    seed[..8].copy_from_slice(&index.to_le_bytes());
    let mask = reproducible(seed, PARAMS.output_lwe_dimension().0);
    let product = product(&mask, secrets().1);
    LweCiphertext::new(mask, product.wrapping_add((part * TORUS) as i64 as u64))
}

fn product(mask: &[u64], secret: &[u64]) -> u64 {
    let terms = mask.iter().zip(secret);
    terms.fold(0, |sum, (a, s)| sum.wrapping_add(a.wrapping_mul(*s)))
}

fn phase(ciphertext: &LweCiphertext, secret: &[u64]) -> f64 {
    ciphertext.body.wrapping_sub(product(&ciphertext.mask, secret)) as i64 as f64 / TORUS
}

#[test]
fn a_key_switch_with_bits_for_digits_has_the_predicted_noise() {
    let mut fft = FourierContext::new(PARAMS.input_polynomial_size);
    let errors: Vec<f64> = (0..1_500)
        .map(|index| {
            let switched = keys().key.switched(&mut fft, &encrypted(0.1, index));
            phase(&switched, secrets().0) - 0.1
        })
        .collect();
    let mean = errors.iter().sum::<f64>() / errors.len() as f64;
    let predicted = NetworkNoise::key_switch(&PARAMS);
    assert!(mean.abs() < 0.15 * predicted.sqrt(), "{mean} of {predicted}");
    let ratio = ratio(&errors, predicted);
    assert!((ratio - 1.0).abs() < 0.1, "{ratio}");
}

#[test]
fn the_larger_score_of_a_pair_has_the_predicted_noise() {
    let largest = Largest::new(PARAMS, 4);
    let unit = Scale::of(&PARAMS, 4).unit;
    let mut errors = Vec::new();
    // Phases are twice the differences.
    for (one, other) in [(0.1, -0.05), (-0.09, 0.1), (0.03, -0.01), (0.2, 0.1)] {
        let exact = f64::max(one, other);
        let scores: Vec<LweCiphertext> = (0..250)
            .flat_map(|index| [encrypted(one, 2 * index), encrypted(other, 2 * index + 1)])
            .collect();
        let pairs = largest.pairs(&keys().key, &scores).unwrap();
        errors.extend(pairs.iter().map(|Pair { score, sign }| {
            let sign = phase(sign, secrets().1) / unit;
            assert!(
                (sign - (one - other).signum()).abs() < 0.01,
                "{sign}: {one} and {other}"
            );
            phase(score, secrets().1) - 2.0 * exact
        }));
    }
    let own = NetworkNoise::key_switch(&PARAMS)
        + NetworkNoise::input_rerandomisation(&PARAMS)
        + NetworkNoise::modulus_switch(&PARAMS);
    let predicted = own / 4.0 + NetworkNoise::rotation(&PARAMS);
    let ratio = ratio(&errors, predicted);
    // 1,000 samples give it to 2.2 %.
    assert!((ratio - 1.0).abs() < 0.1, "{ratio}");
}

#[test]
fn a_phase_is_looked_up_at_the_entry_that_it_is_in() {
    let largest = Largest::new(PARAMS, 10);
    let steps = (2 * PARAMS.polynomial_size.0) as f64;
    // Phases everywhere within a step, and in both halves of the torus.
    let phases: Vec<f64> = (0..8_000).map(|index| index as f64 / 8_000.0 - 0.5).collect();
    let ciphertexts: Vec<LweCiphertext> = phases
        .iter()
        .enumerate()
        .map(|(index, part)| encrypted(*part, index as u64))
        .collect();
    let of_entry = |input: &ModSwitchedLwe| {
        let ones = input.mask.iter().zip(secrets().0).filter(|(_, s)| **s == 1);
        let entry = input.body as f64 - ones.map(|(a, _)| *a as f64).sum::<f64>();
        (entry + 0.5) / steps
    };
    // Encryptions of zero have a mean of their own under each key, which is not 0.
    let (mut fft, mut sampler) = (
        FourierContext::new(PARAMS.input_polynomial_size),
        Sampler::new().unwrap(),
    );
    let mut differences = Vec::with_capacity(phases.len());
    for ciphertext in &ciphertexts {
        let input = largest.switched(&keys().key, &mut fft, &mut sampler, ciphertext);
        let mut switched = keys().key.switched(&mut fft, ciphertext);
        keys().key.refresh(&mut fft, &mut sampler, &mut switched);
        let difference = of_entry(&input) - phase(&switched, secrets().0);
        differences.push(difference - difference.round());
    }
    let mean = differences.iter().sum::<f64>() / phases.len() as f64;
    // Half an entry is 2^-11. Differences are those of two modulus switches, some 2^-8, so that the
    // mean of 8,000 is within 2^-12 by five deviations.
    assert!(mean.abs() < 2f64.powi(-12), "{mean}");
    // The absolute value is the same on both sides.
    let half = |entry: i64| {
        let value = largest.half[entry.rem_euclid(512) as usize] as i64;
        if entry.rem_euclid(1_024) < 512 {
            value
        } else {
            -value
        }
    };
    for entry in 0..511 {
        assert!((half(entry) - half(-1 - entry)).abs() < 16, "{entry}");
        assert!(half(entry) - half(entry + 1) > 1 << 52, "{entry}");
    }
}

#[test]
fn the_sign_of_a_pair_is_a_ramp_for_small_differences() {
    let largest = Largest::new(PARAMS, 10);
    let unit = Scale::of(&PARAMS, 10).unit;
    let own = NetworkNoise::key_switch(&PARAMS)
        + NetworkNoise::input_rerandomisation(&PARAMS)
        + NetworkNoise::modulus_switch(&PARAMS);
    for difference in [-0.2, -0.004, 0.0, 0.002, 0.2] {
        let scores: Vec<LweCiphertext> = (0..60)
            .flat_map(|index| [encrypted(difference, 2 * index), encrypted(0.0, 2 * index + 1)])
            .collect();
        let pairs = largest.pairs(&keys().key, &scores).unwrap();
        let signs = pairs.iter().map(|pair| phase(&pair.sign, secrets().1));
        let mean = signs.sum::<f64>() / pairs.len() as f64;
        // The phase is twice the difference, and the slope is 2.
        let expected = (4.0 * difference).clamp(-unit, unit);
        let noise = 2.0 * (own / pairs.len() as f64).sqrt();
        assert!(
            (mean - expected).abs() < 5.0 * noise,
            "{difference}: {mean}, not {expected}"
        );
    }
}

#[test]
fn thresholds_are_far_from_every_sum_of_signs() {
    let noise = |signs: usize| {
        let own = NetworkNoise::key_switch(&PARAMS)
            + NetworkNoise::input_rerandomisation(&PARAMS)
            + NetworkNoise::modulus_switch(&PARAMS);
        (own + signs as f64 * NetworkNoise::rotation(&PARAMS)).sqrt()
    };
    for classes in 3..=MOST_CLASSES {
        let scale = Scale::of(&PARAMS, classes);
        let noise = noise(scale.rounds + 1);
        // Sums with the pair's own sign, in units: of one that wins all its rounds, or loses some.
        for won in 0..=scale.rounds {
            let rounds = 2.0 * (2.0 * won as f64 - scale.rounds as f64);
            for own in [-1.0, 1.0] {
                let above = (rounds + own) * scale.unit - scale.upper();
                let (upper, lower) = (above, above + scale.below());
                for distance in [upper, lower] {
                    let nearest = distance.abs().min(0.5 - distance.abs());
                    assert!(nearest > 4.1 * noise, "{classes}: {distance}, {noise}");
                }
                let wins = won == scale.rounds;
                assert_eq!((upper > 0.0, lower > 0.0), (wins && own > 0.0, wins), "{classes}");
            }
        }
    }
}

/// Returns a network whose outputs are sums of four projections.
fn of_classes(classes: usize) -> IntegerNetwork {
    let mut random = reproducible([classes as u8; 16], 4_000).into_iter();
    let mut below = |bound: u64| (random.next().unwrap() % bound) as i64;
    let projections: Vec<IntegerProjection> = network().projections[..1]
        .iter()
        .cycle()
        .take(4)
        .map(|projection| IntegerProjection {
            weights: (0..FEATURES).map(|_| below(7) - 3).collect(),
            width: 0.9,
            reads: (0..classes)
                .map(|_| (0..8).map(|_| below(7) - 3).collect())
                .collect(),
            ..projection.clone()
        })
        .collect();
    let mut network = IntegerNetwork {
        projections,
        biases: (0..classes).map(|_| below(9) as f64 - 4.0).collect(),
        range: 150.0,
        max_logit: 80.0,
        max_difference: None,
    };
    let differences = (0..60).map(|index| {
        let logits = network.logits(&features(index));
        let smallest = logits.iter().copied().fold(f64::INFINITY, f64::min);
        let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if classes == 1 {
            largest.abs()
        } else {
            largest - smallest
        }
    });
    network.max_difference = Some(differences.fold(0.0, f64::max));
    network
}

fn descriptor(network: &IntegerNetwork) -> CheckedDescriptor {
    let classes = network.biases.len();
    let output = |class: usize| Output {
        label: class.to_string(),
        offset: 0.0,
        half_range: 0.5 / BIT,
    };
    let scores: ModelDescriptor = super::descriptor(network).into();
    ModelDescriptor {
        parameter_set: PARAMS.name.into(),
        outputs: (0..classes).map(output).collect(),
        task: Task::Classification,
        classes: (classes == 1).then(|| vec!["no".into(), "yes".into()]),
        answer: Answer::Label,
        sizes: Sizes::of(&SET, FEATURES, classes),
        ..scores
    }
    .try_into()
    .unwrap()
}

fn query(model: &CheckedDescriptor, features: &[i64]) -> Query {
    let row: Vec<f64> = features.iter().map(|&x| x as f64).collect();
    let blob = keys().client.encrypt(model, &row).unwrap();
    Query::from_blob(&blob, PARAMS.query_format(), FEATURES).unwrap()
}

#[test]
fn only_the_class_with_the_largest_score_has_its_bit_set() {
    for classes in [1, 2, 3, 4, 5, 10, MOST_CLASSES] {
        let network = of_classes(classes);
        let model = descriptor(&network);
        let engine = NetworkEngine::new(PARAMS, &network);
        assert_eq!(network.rotations() - 4, Largest::rotations(classes));
        // What encryption adds to a difference, and to the projections before that.
        let own = compared(&PARAMS, &network).sqrt() * TORUS / 2.0 / network.amplitude();
        let mut told = 0;
        for index in 0..20 {
            let x = features(index);
            let logits = network.logits(&x);
            let mut sorted = logits.clone();
            sorted.sort_by(|one, other| other.total_cmp(one));
            let margin = match sorted.as_slice() {
                [only] => only.abs(),
                sorted => sorted[0] - sorted[1],
            };
            let spread = network.spread(&x, |projection| {
                let squares = projection.weights.iter().map(|w| (w * w) as f64).sum();
                NetworkNoise::projection(&PARAMS, squares).sqrt() * 4.0
            });
            let before = 2.0 * spread.into_iter().fold(0.0, f64::max);
            if margin < 4.0 * (own * own + before).sqrt() {
                continue;
            }
            told += 1;
            let response = engine.score(&query(&model, &x), &keys().key).unwrap();
            let found = keys()
                .client
                .decrypt(&model, response.query, &response.to_blob())
                .unwrap();
            let expected: Vec<f64> = logits
                .iter()
                .map(|logit| match classes {
                    1 => logit.signum(),
                    _ if *logit == sorted[0] => 1.0,
                    _ => -1.0,
                })
                .collect();
            assert_eq!(
                found.scores, expected,
                "{classes} classes, row {index}: {logits:?}"
            );
        }
        assert!(told >= 5, "{classes} classes: {told} rows");
    }
}

/// Returns the phases of a response's bits before its rounding and what makes up for it, which both
/// follow from the mask and tell nothing more.
fn exact(response: &Response) -> Vec<f64> {
    let (n, format) = (PARAMS.polynomial_size.0, response.format);
    let bits = response.bodies.iter().enumerate();
    let phase = |(place, body): (usize, &u64)| {
        let position = place * format.stride;
        let pairs = response.masks.chunks_exact(n).zip(secrets().1.chunks_exact(n));
        let phase = pairs.fold(*body, |phase, (mask, secret)| {
            let lost: u64 = expected_loss(format.bits, mask, [position].into_iter())
                .into_iter()
                .sum();
            let product = product_coefficient(mask, secret, position);
            phase.wrapping_add(lost).wrapping_sub(product)
        });
        phase as i64 as f64 / TORUS
    };
    bits.map(phase).collect()
}

#[test]
fn flooding_is_more_than_a_thousand_times_what_it_drowns() {
    const CLASSES: usize = 10;
    const RUNS: usize = 40;
    let query = query(&descriptor(&of_classes(CLASSES)), &features(3));
    let (largest, key) = (Largest::new(PARAMS, CLASSES), &keys().key);
    let mut sampler = Sampler::new().unwrap();
    // Scores far apart, so that the bits are the same in each run.
    let scores: Vec<LweCiphertext> = (0..CLASSES)
        .map(|class| encrypted(0.02 * class as f64, class as u64))
        .collect();
    let mut spread = |flooding| {
        let mut squares = [0.0; CLASSES];
        for _ in 0..RUNS {
            let sums = largest.rounds(key, largest.pairs(key, &scores).unwrap()).unwrap();
            let Bits { ciphertexts, offsets } = largest.decide(key, sums, CLASSES).unwrap();
            let response = finish(
                &PARAMS,
                key,
                &mut sampler,
                &query,
                &offsets,
                vec![ciphertexts],
                flooding,
            );
            for (class, (sum, phase)) in squares.iter_mut().zip(exact(&response)).enumerate() {
                let bit = if class == CLASSES - 1 { BIT } else { -BIT };
                *sum += (phase - bit).powi(2);
            }
        }
        squares.map(|sum| (sum / RUNS as f64).sqrt())
    };
    let drowned = spread(None).into_iter().fold(0.0, f64::max);
    let flooded = spread(Some(FLOODING)).into_iter().fold(f64::INFINITY, f64::min);
    let margin = (flooded / drowned).log2();
    println!("flooding margin of the worst bit: {margin:.1} bits");
    // The worst of ten deviations, each known to 11 %.
    assert!(margin > 10.0, "{margin}");
}

/// Guesses the model as a client that knows all but one weight: it scores its query with each guess
/// and picks the one whose response is closest to the one that it got.
#[test]
fn a_label_does_not_tell_a_model_from_one_with_another_weight_as_scores_do() {
    const RESPONSES: usize = 24;
    const CANDIDATES: usize = 15;
    let label = of_classes(3);
    let scores = IntegerNetwork {
        max_difference: None,
        ..label.clone()
    };
    let model = descriptor(&label);
    let found = |network: &IntegerNetwork| {
        let changed = |feature: usize| {
            let mut candidate = network.clone();
            candidate.projections[0].weights[feature] += 40;
            NetworkEngine::new(PARAMS, &candidate)
        };
        let right = NetworkEngine::new(PARAMS, network);
        let candidates: Vec<NetworkEngine> = (0..CANDIDATES).map(changed).collect();
        let guess = |index: usize| {
            // All features count.
            let x: Vec<i64> = features(index as u8).iter().map(|x| (*x).max(1)).collect();
            let query = query(&model, &x);
            let phases = |engine: &NetworkEngine| exact(&engine.score(&query, &keys().key).unwrap());
            let response = phases(&right);
            let off = |engine: &NetworkEngine| {
                let pairs = phases(engine).into_iter().zip(&response);
                pairs.map(|(one, other)| (one - other).powi(2)).sum::<f64>()
            };
            let closest = candidates.iter().map(off).fold(f64::INFINITY, f64::min);
            off(&right) < closest
        };
        (0..RESPONSES).filter(|index| guess(*index)).count()
    };
    let (by_scores, by_label) = (found(&scores), found(&label));
    println!("found in {by_scores} of {RESPONSES} responses with scores, and in {by_label} with labels");
    assert!(by_scores > RESPONSES / 2, "{by_scores}");
    // 1.5 by chance; more than 8 in one of a hundred thousand runs.
    assert!(
        by_label <= 8,
        "the model was found by {by_label} of {RESPONSES} responses"
    );
}
