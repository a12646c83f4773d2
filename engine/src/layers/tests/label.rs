//! Tests of networks of which only the label is sent.

use super::{FEATURES, PARAMS, TORUS, descriptor, features, keys, secrets};
use crate::{
    bits::{BIT, FLOODING},
    layers::{IntegerLayers, IntegerUnit, LayersEngine, SLOTS},
    rounding::expected_loss,
};
use blindscore_protocol::{
    descriptor::CheckedDescriptor, params::TUniformBound, polynomial::product_coefficient, wire::Query,
};

/// Responses that the client tries to identify the model by.
const RESPONSES: usize = 24;
/// Wrong models among the client's guesses.
const CANDIDATES: usize = 15;

/// Compares one score with zero.
fn network() -> IntegerLayers {
    let unit = |layer, features, units, part: f64| IntegerUnit {
        layer,
        features,
        units,
        offset: 0,
        repeats: 1,
        table: vec![(part * 2f64.powi(32)).round() as i32; PARAMS.polynomial_size.0],
    };
    let weights = (0..FEATURES as i64).map(|feature| 17 + feature % 5 - 2).collect();
    IntegerLayers {
        features: FEATURES,
        input_step: 1 << 40,
        units: vec![
            unit(0, weights, Vec::new(), 0.25 / SLOTS as f64),
            unit(1, Vec::new(), vec![SLOTS as i32], BIT),
        ],
        outputs: vec![vec![0, 1]],
        biases: vec![0],
    }
}

fn engine(network: &IntegerLayers, flooding: Option<TUniformBound>) -> LayersEngine {
    LayersEngine::new(PARAMS, network, flooding)
}

fn query(model: &CheckedDescriptor, index: u8) -> Query {
    let row: Vec<f64> = features(index).iter().map(|&x| x as f64).collect();
    let blob = keys().client.encrypt(model, &row).unwrap();
    Query::from_blob(&blob, PARAMS.query_format(), FEATURES).unwrap()
}

/// Returns the phase of the only bit before the response's rounding and what makes up for it, which
/// both follow from the mask and tell nothing more.
fn exact(engine: &LayersEngine, query: &Query) -> f64 {
    let response = engine.score(query, &keys().key).unwrap();
    let n = PARAMS.polynomial_size.0;
    let pairs = response.masks.chunks_exact(n).zip(secrets().1.chunks_exact(n));
    let phase = pairs.fold(response.bodies[0], |phase, (mask, secret)| {
        let lost: u64 = expected_loss(response.format.bits, mask, [0].into_iter())
            .into_iter()
            .sum();
        phase
            .wrapping_add(lost)
            .wrapping_sub(product_coefficient(mask, secret, 0))
    });
    phase as i64 as f64 / TORUS
}

/// Returns the phase of the only bit as the client finds it in a response, as a part of the torus.
fn phase(engine: &LayersEngine, model: &CheckedDescriptor, query: &Query) -> f64 {
    let response = engine.score(query, &keys().key).unwrap().to_blob();
    keys().client.decrypt(model, query.id, &response).unwrap().scores[0]
}

#[test]
fn flooding_is_more_than_a_thousand_times_what_it_drowns() {
    let network = network();
    assert_eq!(network.check(&PARAMS), Ok(()));
    let model = descriptor(&network);
    let query = query(&model, 3);
    let spread = |flooding, count: usize| {
        let engine = engine(&network, flooding);
        let phases: Vec<f64> = (0..count).map(|_| exact(&engine, &query)).collect();
        let mean = phases.iter().sum::<f64>() / count as f64;
        let squares = phases.iter().map(|phase| (phase - mean).powi(2)).sum::<f64>();
        // No sum is nearer to that of another bit.
        assert!(
            phases.iter().all(|phase| (phase - BIT).abs() < BIT / 2.0 + 0.01),
            "{phases:?}"
        );
        (mean, (squares / count as f64).sqrt())
    };
    let (flooded, drowned) = (spread(Some(FLOODING), 400), spread(None, 100));
    let margin = (flooded.1 / drowned.1).log2();
    println!("flooding margin: {margin:.1} bits");
    // A deviation of 100 samples is known to 7 %.
    assert!(margin > 10.4, "{margin}: {flooded:?} over {drowned:?}");
    // A uniform number of up to an eighth of the torus.
    let expected = 0.125 / 3f64.sqrt();
    assert!((flooded.1 / expected - 1.0).abs() < 0.1, "{flooded:?}");
    assert!((flooded.0 - BIT).abs() < 5.0 * expected / 20.0, "{flooded:?}");
}

/// Guesses the model as a client that knows all but one weight: it scores its query with each guess
/// and picks the one whose response is closest to the one that it got.
#[test]
fn a_label_does_not_tell_a_model_from_one_with_another_weight_as_a_score_does() {
    let label = network();
    // The same sum, sent as it is.
    let mut score = label.clone();
    let n = PARAMS.polynomial_size.0 as i32;
    score.units[0].table = (0..n).map(|entry| (entry - n / 2) << 18).collect();
    score.outputs = vec![vec![SLOTS as i32, 0]];
    let found = |network: &IntegerLayers, flooding: Option<TUniformBound>| {
        let model = descriptor(network);
        let changed = |feature: usize| {
            let mut candidate = network.clone();
            candidate.units[0].features[feature] += 400;
            engine(&candidate, flooding)
        };
        let right = engine(network, flooding);
        let candidates: Vec<LayersEngine> = (0..CANDIDATES).map(changed).collect();
        let guess = |index: usize| {
            let query = query(&model, index as u8);
            let response = phase(&right, &model, &query);
            let off = |engine: &LayersEngine| (phase(engine, &model, &query) - response).abs();
            let closest = candidates.iter().map(off).fold(f64::INFINITY, f64::min);
            off(&right) < closest
        };
        (0..RESPONSES).filter(|index| guess(*index)).count()
    };
    let (by_score, by_label) = (found(&score, None), found(&label, Some(FLOODING)));
    println!("found in {by_score} of {RESPONSES} scores, and in {by_label} labels");
    assert!(
        by_score > RESPONSES / 2 && by_score > by_label + 4,
        "{by_score} and {by_label}"
    );
    // 1.5 by chance; more than 8 in one of a hundred thousand runs.
    assert!(
        by_label <= 8,
        "the model was found by {by_label} of {RESPONSES} responses"
    );
}
