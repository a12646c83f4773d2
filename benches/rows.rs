//! Benchmark of whole rows on all cores: `mnist-net` when only its label is sent, 100 trees of
//! depth 3, and a network with two hidden layers of 64 units, beside `mnist-net`.
//!
//! Compare the figures only as ratios within one run: `cargo xtask bench`.

use blindscore_client::ClientKey;
use blindscore_engine::{
    Engine, PreparedKey,
    forest::{Forest, ForestNode, ForestTree, ForestVariable},
    layers::{IntegerLayers, IntegerUnit},
    model::{ForestModel, LAYERS, LayersModel, Model, Plain, Salt},
};
use blindscore_protocol::{
    descriptor::{Answer, Inputs, Link, Task},
    encoding::{Column, ColumnKind, Encoding, Step},
    random::reproducible,
    wire::{EvaluationKey, Query},
};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use std::hint::black_box;

/// Columns of the trees, and thresholds of each.
const COLUMNS: usize = 30;
const CUTS: usize = 10;

/// Returns an ensemble whose trees decide about different columns on every path, which takes the
/// most rotations.
fn forest(trees: usize, depth: usize) -> Model {
    let mut random = reproducible([3; 16], trees << depth).into_iter();
    let mut below = |bound: usize| random.next().map_or(0, |number| (number % bound as u64) as usize);
    let trees = (0..trees).map(|tree| {
        let mut nodes = Vec::new();
        let decisions = (1 << depth) - 1;
        for place in 0..decisions {
            nodes.push(ForestNode::Split {
                variable: (tree * 7 + place) % COLUMNS,
                cut: 1 + below(CUTS),
                flags: Vec::new(),
                branches: [2 * place + 1, 2 * place + 2],
            });
        }
        nodes.extend((0..=decisions).map(|leaf| ForestNode::Leaf(vec![leaf as f64])));
        ForestTree {
            nodes,
            output: Some(0),
        }
    });
    let variables = vec![ForestVariable { cuts: CUTS, flags: 0 }; COLUMNS];
    let forest = Forest::new(variables, trees.collect(), vec![0.0]).expect("well-formed");
    let columns = (0..COLUMNS).map(|_| Column {
        name: None,
        kind: ColumnKind::Number,
        single: false,
    });
    let steps = (0..COLUMNS).map(|column| Step::Thermometer {
        of: column as u32,
        edges: (0..CUTS).map(|edge| edge as f64).collect(),
        missing: false,
    });
    let model = ForestModel {
        salt: Salt::none(),
        name: "trees".parse().expect("a name"),
        title: "Trees".into(),
        encoding: Encoding {
            columns: columns.collect(),
            steps: steps.collect(),
            features: (COLUMNS..COLUMNS + COLUMNS * CUTS).collect(),
        },
        labels: vec!["value".into()],
        task: Task::Regression,
        classes: None,
        link: Link::Identity,
        forest,
    };
    Model::from_safetensors(&model.to_safetensors().expect("few trees")).expect("it can be served")
}

/// Returns a network of two hidden layers of 64 units for MNIST, each rotated once.
fn layers() -> Model {
    const FEATURES: usize = 784;
    const UNITS: usize = 64;
    const SCORES: usize = 10;
    let mut random =
        reproducible([4; 16], UNITS * FEATURES + 2 * UNITS * UNITS + 4 * UNITS * SCORES).into_iter();
    // From -8 to 7.
    let mut weight = || random.next().map_or(0, |number| (number as i64) >> 60);
    let unit = |layer: usize, weight: &mut dyn FnMut() -> i64| IntegerUnit {
        layer,
        features: if layer == 0 {
            (0..FEATURES).map(|_| weight()).collect()
        } else {
            Vec::new()
        },
        units: (0..layer * UNITS).map(|_| weight() as i32).collect(),
        offset: 0,
        repeats: 1,
        table: (0..LAYERS.polynomial_size.0 as i32)
            .map(|entry| entry << 8)
            .collect(),
    };
    let units = (0..2 * UNITS).map(|place| unit(place / UNITS, &mut weight));
    let units: Vec<IntegerUnit> = units.collect();
    let outputs = (0..2 * SCORES).map(|_| (0..2 * UNITS).map(|_| weight() as i32).collect());
    let model = LayersModel {
        salt: Salt::none(),
        name: "layers".parse().expect("a name"),
        title: "Layers".into(),
        inputs: Inputs::uniform(FEATURES, 0.0, 1.0, 256),
        labels: (0..SCORES).map(|score| score.to_string()).collect(),
        task: Task::Classification,
        classes: None,
        link: Link::Softmax,
        accuracy: None,
        network: IntegerLayers {
            features: FEATURES,
            input_step: 1 << 42,
            units,
            outputs: outputs.collect(),
            biases: vec![0; 2 * SCORES],
        },
        bases: vec![0.0; SCORES],
        scales: vec![1.0; SCORES],
        fine_features: None,
        fine: Some(4),
        answer: Answer::Scores,
        score_error: 0.1,
    };
    Model::from_safetensors(&model.to_safetensors().expect("few units")).expect("it can be served")
}

fn scores(c: &mut Criterion) {
    let bundled = |file| Model::from_safetensors(file).expect("the model loads");
    let models = [
        ("baseline: mnist-net", bundled(blindscore_models::MNIST_NET)),
        (
            "mnist-net, only the label",
            bundled(blindscore_models::MNIST_NET_LABEL),
        ),
        ("100 trees of depth 3", forest(100, 3)),
        ("two hidden layers of 64", layers()),
    ];
    let mut group = c.benchmark_group("one row, all cores");
    group.sample_size(10);
    for (name, model) in &models {
        let (descriptor, set) = (model.descriptor(), model.parameters());
        let (client, public) = ClientKey::generate(set).expect("the platform gives randomness");
        let key = PreparedKey::new(&EvaluationKey::from_blob(&public.to_blob().0).expect("just made"));
        let features: Vec<f64> = (0..descriptor.inputs.count)
            .map(|index| (index % 2) as f64)
            .collect();
        let query = client
            .encrypt(descriptor, &features)
            .expect("features are in range");
        let query =
            Query::from_blob(&query, set.query_format(), descriptor.sent_features()).expect("just made");
        let rotations = match (model.engine(), model.plain()) {
            (_, Plain::Network { network, .. }) => network.rotations(),
            (Engine::Forest(forest), _) => forest.rotations(),
            (Engine::Layers(layers), _) => layers.rotations(),
            _ => 0,
        };
        group.bench_function(BenchmarkId::new(*name, rotations), |b| {
            b.iter(|| {
                model
                    .engine()
                    .score(black_box(&query), &key)
                    .expect("the platform gives randomness")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, scores);
criterion_main!(benches);
