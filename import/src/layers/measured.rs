//! Errors of encrypted comparisons and scores, measured on what clients get.

use super::{
    Curve, FloatNetwork, HiddenUnit,
    choose::{ROTATIONS, choose},
    curve::Function,
    forest::ForestLabel,
    rounded::Rounded,
};
use crate::{BOUND, Fitted};
use blindscore_client::{ClientKey, Scores};
use blindscore_engine::{
    PreparedKey,
    forest::{Cover, Forest, ForestNode, ForestTree, ForestVariable},
    layers::IntegerLayers,
    model::{LAYERS, LayersModel, Model, Salt},
};
use blindscore_protocol::{
    descriptor::{Answer, Inputs, Link, Task},
    params::ParameterSet,
    wire::Query,
};

/// Encrypted rows on each side of zero.
const ROWS: usize = 150;
/// Their difference of scores, over its stated standard deviation.
const DISTANCE: f64 = 0.8;

/// Returns a model of which only the label is sent.
fn content(
    network: IntegerLayers,
    inputs: Inputs,
    scales: Vec<f64>,
    fine_features: Option<u32>,
) -> LayersModel {
    let scores = scales.len();
    LayersModel {
        salt: Salt::fresh().unwrap(),
        name: "measured".parse().unwrap(),
        title: "Measured".into(),
        inputs,
        labels: (0..scores).map(|score| score.to_string()).collect(),
        task: Task::Classification,
        classes: (scores == 1).then(|| vec!["no".into(), "yes".into()]),
        link: Link::Identity,
        accuracy: None,
        network,
        bases: vec![0.0; scores],
        scales,
        fine_features,
        fine: None,
        answer: Answer::Label,
        score_error: 0.0,
    }
}

fn model(network: IntegerLayers, inputs: Inputs, scales: Vec<f64>, fine_features: Option<u32>) -> Model {
    let content = content(network, inputs, scales, fine_features);
    Model::from_safetensors(&content.to_safetensors().unwrap()).unwrap()
}

/// Encrypted rows, scored with one key: encryptions of zero have a mean of their own under each.
struct Asked {
    key: ClientKey,
    prepared: PreparedKey,
}

impl Asked {
    fn new() -> Self {
        let (key, public) = ClientKey::generate(ParameterSet::Network(LAYERS)).unwrap();
        let prepared = PreparedKey::new(&public);
        Self { key, prepared }
    }

    fn scores(&self, model: &Model, row: &[f64]) -> Scores {
        let descriptor = model.descriptor();
        let query = self.key.encrypt(descriptor, row).unwrap();
        let format = model.parameters().query_format();
        let query = Query::from_blob(&query, format, descriptor.sent_features()).unwrap();
        let response = model.engine().score(&query, &self.prepared).unwrap();
        self.key
            .decrypt(descriptor, query.id, &response.to_blob())
            .unwrap()
    }

    /// Encrypts a row several times, and returns how often the answer is another class.
    fn wrong(&self, model: &Model, row: &[f64], expected: usize) -> usize {
        let is_wrong = |_: &usize| {
            let scores = self.scores(model, row);
            scores.decision != Scores::new(model.descriptor(), bits(&scores, expected)).decision
        };
        (0..ROWS).filter(is_wrong).count()
    }
}

/// Returns the scores of an answer that is the expected class.
fn bits(scores: &Scores, expected: usize) -> Vec<f64> {
    match scores.scores.len() {
        1 => vec![if expected == 1 { 1.0 } else { -1.0 }],
        count => (0..count)
            .map(|class| if class == expected { 1.0 } else { -1.0 })
            .collect(),
    }
}

/// Checks the shares of wrong answers, as far away from zero as [`DISTANCE`] says.
fn check(what: &str, [below, above]: [usize; 2]) {
    let expected = libm::erfc(DISTANCE / 2f64.sqrt()) / 2.0;
    let [below, above] = [below, above].map(|wrong| wrong as f64 / ROWS as f64);
    println!("{what}: {below:.3} and {above:.3} wrong, {expected:.3} expected");
    // Four standard deviations of so many rows: 0.6 to 1.6 times the stated error.
    let both = (below + above) / 2.0;
    assert!((0.1..0.31).contains(&both), "{what}: {both}, not {expected}");
    // An error that is the same each time favours a side: one standard deviation does so by 0.54.
    // The key's own is an eighth of one.
    assert!((below - above).abs() < 0.45, "{what}: {below} and {above}");
}

/// Of `classes`, the first two have scores that are nearly equal.
fn linear(classes: usize) {
    let coef = match classes {
        1 => vec![vec![1.0]],
        _ => (0..classes)
            .map(|class| vec![if class == 0 { 1.0 } else { 0.0 }])
            .collect(),
    };
    let intercept = match classes {
        1 => vec![-0.5],
        _ => (0..classes)
            .map(|class| if class == 1 { 0.5 } else { -0.1 * class as f64 })
            .collect(),
    };
    let network = FloatNetwork::linear(Fitted::new(Link::Identity, coef, intercept));
    let inputs = Inputs::uniform(1, 0.0, 1.0, 1 << 16);
    let rows: Vec<Vec<f64>> = (0..200).map(|row| vec![f64::from(row) / 199.0]).collect();
    let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
    // A fifth of what a single rotation has.
    let mut wanted = vec![1.0; (classes * (classes - 1) / 2).max(1)];
    wanted[0] = 0.000_5;
    let chosen = choose(&network, &inputs, &rows, &wanted, ROTATIONS, Answer::Label).unwrap();
    let compared = &chosen.rounded.comparisons[0];
    let repeats = chosen.rounded.network.units[compared.unit].repeats;
    assert!(repeats >= 4, "{repeats}");
    let deviation = chosen.errors()[0];
    let Rounded {
        network,
        scales,
        fine_features,
        ..
    } = chosen.rounded;
    let model = model(network, inputs, scales, fine_features);
    let asked = Asked::new();
    let side = |side: f64| {
        let row = [0.5 + side * DISTANCE * deviation];
        let first = side > 0.0;
        let expected = if classes == 1 { first } else { !first };
        asked.wrong(&model, &row, usize::from(expected))
    };
    check(
        &format!("{classes} scores, {repeats} rotations"),
        [side(-1.0), side(1.0)],
    );
}

#[test]
fn an_encrypted_score_is_compared_with_zero_as_precisely_as_stated() {
    linear(1);
}

#[test]
fn encrypted_scores_are_compared_as_precisely_as_stated() {
    linear(3);
}

/// An absolute value with many rows near its corner, where rotations' errors don't cancel out.
#[test]
fn encrypted_scores_near_a_corner_are_as_precise_as_stated() {
    let unit = HiddenUnit {
        layer: 0,
        features: vec![1.0],
        units: Vec::new(),
        offset: -0.5,
        curve: Curve::number().then(Function::Abs).unwrap(),
    };
    let network = FloatNetwork {
        fitted: Fitted::new(Link::Identity, vec![vec![0.0]], vec![0.0]),
        units: vec![unit],
        outputs: vec![vec![1.0]],
    };
    let inputs = Inputs::uniform(1, 0.0, 1.0, 1 << 16);
    let rows: Vec<Vec<f64>> = (0..400)
        .map(|row| {
            let place = f64::from(row / 2) / 199.0;
            vec![if row % 2 == 0 { place } else { 0.495 + 0.01 * place }]
        })
        .collect();
    let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
    let chosen = choose(&network, &inputs, &rows, &[1e-4], 48, Answer::Scores).unwrap();
    let stated = BOUND * chosen.stated(&network, &inputs, &rows, &[])[0];
    let Rounded {
        network: integers,
        scales,
        bases,
        fine,
        fine_features,
        ..
    } = chosen.rounded;
    let repeats = integers.units.iter().map(|unit| unit.repeats).max();
    assert!(repeats >= Some(8), "{repeats:?}");
    let model = LayersModel {
        task: Task::Regression,
        classes: None,
        bases,
        fine: Some(fine),
        answer: Answer::Scores,
        score_error: stated / BOUND,
        ..content(integers, inputs, scales, fine_features)
    };
    let model = Model::from_safetensors(&model.to_safetensors().unwrap()).unwrap();
    let asked = Asked::new();
    let errors: Vec<f64> = (0..40)
        .map(|place| {
            let row = [0.495 + 0.01 * f64::from(place) / 39.0];
            asked.scores(&model, &row).scores[0] - network.scores(&row)[0]
        })
        .collect();
    let largest = errors.iter().fold(0.0, |most: f64, error| most.max(error.abs()));
    println!("{largest} of {stated}");
    // Without sharpened tables, or with their bends left out, another error would be stated.
    assert!(
        largest < stated && largest > 0.2 * stated,
        "{largest} of {stated}"
    );
    assert!(stated < 0.004_7, "{stated}");
}

#[test]
fn encrypted_trees_are_compared_as_precisely_as_stated() {
    let tree = |variable: usize| ForestTree {
        nodes: vec![
            ForestNode::Split {
                variable,
                cut: 1,
                flags: Vec::new(),
                branches: [1, 2],
            },
            ForestNode::Leaf(vec![-1.0]),
            ForestNode::Leaf(vec![1.0]),
        ],
        output: Some(0),
    };
    let label = |base: f64, wanted: f64| {
        let variables = vec![ForestVariable { cuts: 1, flags: 0 }; 2];
        let forest = Forest::new(variables, vec![tree(0), tree(1)], vec![base]).unwrap();
        let cover = Cover::of(&LAYERS, &forest).unwrap();
        ForestLabel::of(&cover, forest.bits(), &[wanted])
    };
    let deviation = label(0.0, 0.003).errors[0];
    let asked = Asked::new();
    let side = |side: f64| {
        let found = label(side * DISTANCE * deviation, 0.003);
        let repeats = found.network.units.iter().map(|unit| unit.repeats).max();
        assert!(repeats >= Some(4), "{repeats:?}");
        let inputs = Inputs::uniform(2, 0.0, 1.0, 2);
        let model = model(found.network, inputs, found.scales, None);
        // The trees cancel out.
        asked.wrong(&model, &[0.0, 1.0], usize::from(side > 0.0))
    };
    check("trees", [side(-1.0), side(1.0)]);
}
