//! Leakage of a response about the model, besides its scores.

use super::{FEATURES, IntegerNetwork, NetworkEngine, PARAMS, descriptor, features, keys, network, query};
use blindscore_protocol::{descriptor::CheckedDescriptor, wire::Query};

/// Responses that the client tries to identify the model by.
const RESPONSES: usize = 24;
/// Wrong models among the client's guesses.
const CANDIDATES: usize = 15;

fn scores(engine: &NetworkEngine, model: &CheckedDescriptor, query: &Query) -> Vec<f64> {
    let response = engine.score(query, &keys().key).unwrap();
    let blob = response.to_blob();
    keys()
        .client
        .decrypt(model, response.query, &blob)
        .unwrap()
        .scores
}

/// Returns the root mean square difference.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    let squares = a.iter().zip(b).map(|(a, b)| (a - b).powi(2));
    (squares.sum::<f64>() / a.len() as f64).sqrt()
}

/// Returns features that are zero where candidates differ.
fn drawing(index: u8) -> Vec<i64> {
    let mut features = features(index);
    features[..CANDIDATES].fill(0);
    features
}

/// Scores one query repeatedly. Without fresh encryptions of zero before the rotation, all but a
/// thirtieth of its noise would repeat.
#[test]
fn a_query_that_is_scored_again_gets_fresh_noise() {
    let network = network();
    let model = descriptor(&network);
    let engine = NetworkEngine::new(PARAMS, &network);
    let drawing = drawing(1);
    let exact = network.logits(&drawing);
    let one = query(&model, &drawing);
    let (mut again, mut fresh) = (Vec::new(), Vec::new());
    for _ in 0..600 {
        again.push(scores(&engine, &model, &one));
        fresh.push(scores(&engine, &model, &query(&model, &drawing)));
    }
    // About the mean of each set, which the query's noise shifts.
    let spread = |all: &[Vec<f64>]| {
        let mean: Vec<f64> = (0..exact.len())
            .map(|c| all.iter().map(|scores| scores[c]).sum::<f64>() / all.len() as f64)
            .collect();
        let squares = all.iter().map(|scores| distance(scores, &mean).powi(2));
        (squares.sum::<f64>() / all.len() as f64).sqrt()
    };
    let ratio = spread(&again) / spread(&fresh);
    println!("noise of one query's scores: {ratio:.3} of that of fresh queries");
    // So many give it to some 4 %.
    assert!(ratio > 0.8, "{ratio}");
}

/// Guesses the model as a client that knows all but one weight, at a feature that is zero: it
/// scores its query with each guess and picks the guess whose scores are closest to the response's.
#[test]
fn a_response_does_not_tell_a_model_from_one_with_another_weight() {
    let network = network();
    let model = descriptor(&network);
    let changed = |feature: usize| {
        let mut candidate: IntegerNetwork = network.clone();
        let projection = feature % candidate.projections.len();
        candidate.projections[projection].weights[feature] += 1;
        NetworkEngine::new(PARAMS, &candidate)
    };
    let engine = NetworkEngine::new(PARAMS, &network);
    let candidates: Vec<NetworkEngine> = (0..CANDIDATES).map(changed).collect();
    let mut found = 0;
    for index in 0..RESPONSES {
        let query = query(&model, &drawing(index as u8));
        assert_eq!(query.bodies.len(), FEATURES);
        let response = scores(&engine, &model, &query);
        let right = distance(&scores(&engine, &model, &query), &response);
        let wrong = candidates
            .iter()
            .map(|candidate| distance(&scores(candidate, &model, &query), &response));
        found += usize::from(wrong.fold(f64::INFINITY, f64::min) > right);
    }
    println!(
        "found in {found} of {RESPONSES} responses; {} by chance",
        RESPONSES / (CANDIDATES + 1)
    );
    // 1.5 by chance; more than 8 in one of a hundred thousand runs.
    assert!(
        found <= 8,
        "the model was found by {found} of {RESPONSES} responses"
    );
}
