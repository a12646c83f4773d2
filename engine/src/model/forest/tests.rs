//! Files of trees, written, read, and malformed.

use super::*;
use blindscore_protocol::encoding::{Column, ColumnKind, Step};

fn split(variable: usize, cut: usize, flags: &[usize], branches: [usize; 2]) -> ForestNode {
    ForestNode::Split {
        variable,
        cut,
        flags: flags.to_vec(),
        branches,
    }
}

fn leaf(numbers: &[f64]) -> ForestNode {
    ForestNode::Leaf(numbers.to_vec())
}

/// Returns an ensemble of a number with two thresholds that may be missing.
fn model(trees: Vec<ForestTree>, scores: usize) -> ForestModel {
    let variables = vec![ForestVariable { cuts: 2, flags: 1 }];
    ForestModel {
        salt: Salt::parse("0123456789abcdef0123456789abcdef").unwrap(),
        name: "trees".parse().unwrap(),
        title: "Two trees".into(),
        encoding: Encoding {
            columns: vec![Column {
                name: Some("x".into()),
                kind: ColumnKind::Number,
                single: true,
            }],
            steps: vec![
                Step::Thermometer {
                    of: 0,
                    edges: vec![1.0, 2.5],
                    missing: true,
                },
                Step::Missing {
                    of: [0].into_iter().collect(),
                },
            ],
            features: (1..4).collect(),
        },
        labels: (0..scores).map(|score| score.to_string()).collect(),
        task: Task::Regression,
        classes: None,
        link: Link::Identity,
        forest: Forest::new(variables, trees, vec![0.5; scores]).unwrap(),
    }
}

fn one() -> ForestModel {
    let nodes = vec![
        split(0, 1, &[0], [1, 2]),
        leaf(&[1.0]),
        split(0, 2, &[], [3, 4]),
        leaf(&[-2.0]),
        leaf(&[1.0 / 3.0]),
    ];
    let output = Some(0);
    model(
        vec![
            ForestTree { nodes, output },
            ForestTree {
                nodes: vec![leaf(&[4.0])],
                output,
            },
        ],
        1,
    )
}

#[test]
fn a_file_keeps_everything_about_a_model() {
    let model = one();
    let file = model.to_safetensors().unwrap();
    assert_eq!(ForestModel::from_safetensors(&file).unwrap(), model);
    let served = Model::from_safetensors(&file).unwrap();
    let descriptor = served.descriptor();
    assert_eq!((descriptor.inputs.count, descriptor.inputs.levels), (3, 2));
    for (bits, score) in [
        ([0.0, 0.0, 0.0], 5.5),
        ([1.0, 0.0, 0.0], 2.5),
        ([1.0, 1.0, 0.0], 4.5 + 1.0 / 3.0),
        ([0.0, 0.0, 1.0], 2.5),
    ] {
        assert_eq!(served.plain_scores(&bits), [score]);
    }
}

#[test]
fn trees_of_one_score_and_of_all_are_in_one_file() {
    let of_all = ForestTree {
        nodes: vec![split(0, 1, &[], [1, 2]), leaf(&[1.0, 2.0]), leaf(&[3.0, 5.0])],
        output: None,
    };
    let of_one = ForestTree {
        nodes: vec![split(0, 2, &[0], [1, 2]), leaf(&[10.0]), leaf(&[20.0])],
        output: Some(1),
    };
    for trees in [vec![of_all.clone(), of_one.clone()], vec![of_one, of_all]] {
        let model = model(trees, 2);
        let file = model.to_safetensors().unwrap();
        let read = ForestModel::from_safetensors(&file).unwrap();
        for bits in [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 0, 1]] {
            assert_eq!(read.forest.scores(&bits), model.forest.scores(&bits));
        }
    }
}

/// Returns why a file is refused in which one tensor of whole numbers is another.
fn refusal(name: &str, shape: [usize; 2], values: &[i32]) -> String {
    let file = one().to_safetensors().unwrap();
    let tensors = SafeTensors::deserialize(&file).unwrap();
    let (_, header) = SafeTensors::read_metadata(&file).unwrap();
    let other: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let changed = tensors.tensors().into_iter().map(|(found, tensor)| {
        if found == name {
            (
                found,
                TensorView::new(Dtype::I32, shape.to_vec(), &other).unwrap(),
            )
        } else {
            (found, tensor)
        }
    });
    let file = safetensors::serialize(changed.collect::<Vec<_>>(), header.metadata().clone()).unwrap();
    match Model::from_safetensors(&file) {
        Err(error) => error.to_string(),
        Ok(_) => String::new(),
    }
}

#[test]
fn malformed_tensors_are_refused_by_name() {
    let nodes = [
        0, 1, 1, 2, -1, 0, -1, -1, 0, 2, 3, 4, -1, 1, -1, -1, -1, 2, -1, -1, -1, 3, -1, -1,
    ];
    let with = |place: usize, value: i32| {
        let mut nodes = nodes;
        nodes[place] = value;
        refusal("nodes", [6, 4], &nodes)
    };
    assert_eq!(refusal("nodes", [6, 4], &nodes), "");
    for (refusal, words) in [
        (refusal("nodes", [8, 3], &nodes), "nodes: has shape"),
        (with(0, 7), "a variable that is not there"),
        (with(1, 9), "a cut or flag that is not there"),
        (with(2, 0), "a branch to no node of its own"),
        (with(5, 99), "nodes: has an index of nothing"),
        (with(6, 3), "nodes: has an index of nothing"),
        (with(4, -2), "nodes: has a value that is no index"),
        (
            refusal("trees", [2, 2], &[0, 0, 9, 0]),
            "trees: don't follow each other",
        ),
        (
            refusal("trees", [2, 2], &[1, 0, 5, 0]),
            "trees: don't follow each other",
        ),
        (
            refusal("trees", [2, 2], &[0, 1, 5, 0]),
            "a score that is not there",
        ),
        (refusal("trees", [0, 2], &[]), "trees"),
        (
            refusal("flags", [1, 2], &[0, 1]),
            "a cut or flag that is not there",
        ),
        (
            refusal("flags", [1, 2], &[9, 0]),
            "flags: has an index of nothing",
        ),
        (
            refusal("variables", [1, 2], &[2, -1]),
            "variables: has an index of nothing",
        ),
        (refusal("variables", [1, 2], &[0, 0]), "variables: have 0 bits"),
        (
            refusal("variables", [1, 2], &[20_000, 0]),
            "variables: have 20000 bits",
        ),
        (
            refusal("variables", [1, 2], &[4, 1]),
            "the encoding gives 3 features, the model takes 5",
        ),
    ] {
        assert!(refusal.contains(words), "{words}: {refusal}");
    }
}
