//! Trees that decide once, and trees that are not whole.

use super::{
    graphs::{Builder, Node, node},
    read,
};
use crate::onnx::{Graph, proto::tensor_proto::DataType};
use blindscore_protocol::encoding::{Side, Step};
use std::path::Path;

/// Attributes of a regression by trees.
#[derive(Clone)]
struct Trees {
    trees: Vec<i64>,
    nodes: Vec<i64>,
    features: Vec<i64>,
    modes: Vec<&'static str>,
    truths: Vec<i64>,
    falses: Vec<i64>,
    thresholds: Vec<f32>,
    leaf_trees: Vec<i64>,
    leaf_nodes: Vec<i64>,
    leaf_targets: Vec<i64>,
    weights: Vec<f32>,
    base: Vec<f32>,
    missing: Vec<i64>,
    targets: i64,
    aggregate: &'static str,
}

/// Two trees, on the first and on the second column, and a leaf that is a tree.
fn whole() -> Trees {
    Trees {
        trees: vec![0, 0, 0, 1, 1, 1, 2],
        nodes: vec![0, 1, 2, 0, 1, 2, 0],
        features: vec![0, 0, 0, 1, 0, 0, 0],
        modes: vec!["BRANCH_LEQ", "LEAF", "LEAF", "BRANCH_LT", "LEAF", "LEAF", "LEAF"],
        truths: vec![1, 0, 0, 1, 0, 0, 0],
        falses: vec![2, 0, 0, 2, 0, 0, 0],
        thresholds: vec![0.5, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0],
        leaf_trees: vec![0, 0, 1, 1, 2],
        leaf_nodes: vec![1, 2, 1, 2, 0],
        leaf_targets: vec![0; 5],
        weights: vec![1.0, 2.0, 4.0, 8.0, 0.25],
        base: vec![0.5],
        missing: vec![0; 7],
        targets: 1,
        aggregate: "SUM",
    }
}

impl Trees {
    fn node(&self) -> Node {
        self.node_of("x")
    }

    fn node_of(&self, input: &str) -> Node {
        node("TreeEnsembleRegressor", &[input], &["y"])
            .learning()
            .ints("nodes_treeids", &self.trees)
            .ints("nodes_nodeids", &self.nodes)
            .ints("nodes_featureids", &self.features)
            .texts("nodes_modes", &self.modes)
            .ints("nodes_truenodeids", &self.truths)
            .ints("nodes_falsenodeids", &self.falses)
            .floats("nodes_values", &self.thresholds)
            .ints("target_treeids", &self.leaf_trees)
            .ints("target_nodeids", &self.leaf_nodes)
            .ints("target_ids", &self.leaf_targets)
            .floats("target_weights", &self.weights)
            .floats("base_values", &self.base)
            .ints("nodes_missing_value_tracks_true", &self.missing)
            .int("n_targets", self.targets)
            .text("aggregate_function", self.aggregate)
    }

    fn read(&self) -> Result<crate::Fitted, String> {
        let graph = Builder::new(2).node(self.node()).output("y");
        read(&graph.bytes()).map_err(|error| error.to_string())
    }
}

#[test]
fn trees_that_are_not_whole_are_refused() {
    let fitted = whole().read().unwrap();
    assert_eq!(fitted.coef, [[1.0, 2.0, 4.0, 8.0]]);
    assert_eq!(fitted.intercept, [0.75]);
    let refused = |words: &str, change: &dyn Fn(&mut Trees)| {
        let mut trees = whole();
        change(&mut trees);
        let error = trees.read().unwrap_err();
        assert!(error.contains(words), "{words}: {error}");
    };
    refused("lists of different lengths", &|trees| trees.falses.truncate(6));
    refused("lists of different lengths", &|trees| {
        trees.thresholds.truncate(6)
    });
    refused("in several parts", &|trees| trees.trees[6] = 0);
    refused("several roots", &|trees| trees.modes[0] = "LEAF");
    refused("with trees that decide more than once", &|trees| {
        trees.modes[1] = "BRANCH_LEQ"
    });
    // To the root, to no node, and to two nodes of one number.
    refused("no leaf of its own", &|trees| trees.truths[0] = 0);
    refused("no leaf of its own", &|trees| trees.falses[3] = 7);
    refused("no leaf of its own", &|trees| {
        trees.nodes[2] = 1;
        trees.falses[0] = 1;
    });
    refused("the mode BRANCH_EQ", &|trees| trees.modes[3] = "BRANCH_EQ");
    refused("about no column", &|trees| trees.features[3] = 2);
    refused("about no column", &|trees| trees.features[3] = -1);
    refused("about no column", &|trees| trees.thresholds[0] = f32::NAN);
    refused("a leaf of no output", &|trees| {
        trees.targets = 2;
        trees.base = vec![0.0; 2];
        trees.leaf_targets[3] = 2;
    });
    refused("2 base values", &|trees| trees.base = vec![0.0; 2]);
    refused("missing values", &|trees| trees.missing[0] = 1);
    refused("aggregate_function MAX", &|trees| trees.aggregate = "MAX");
    refused("without a decision", &|trees| {
        trees.modes = vec!["LEAF"; 7];
        trees.trees = vec![0, 1, 2, 3, 4, 5, 6];
        trees.nodes = vec![0; 7];
    });
}

/// A tree of two decisions, the first of which has this mode, and tracks missing numbers or not.
fn deep(mode: &'static str, tracks: i64) -> Trees {
    Trees {
        trees: vec![0; 5],
        nodes: vec![0, 1, 2, 3, 4],
        features: vec![0, 1, 0, 0, 0],
        modes: vec![mode, "BRANCH_LEQ", "LEAF", "LEAF", "LEAF"],
        truths: vec![1, 3, 0, 0, 0],
        falses: vec![2, 4, 0, 0, 0],
        thresholds: vec![2.0, -1.0, 0.0, 0.0, 0.0],
        leaf_trees: vec![0; 3],
        leaf_nodes: vec![2, 3, 4],
        leaf_targets: vec![0; 3],
        weights: vec![1.0, 2.0, 4.0],
        base: vec![0.5],
        missing: vec![tracks, 0, 0, 0, 0],
        targets: 1,
        aggregate: "SUM",
    }
}

fn ensemble(trees: &Trees) -> Result<crate::trees::Ensemble, String> {
    let graph = Builder::new(2).node(trees.node()).output("y");
    let graph = super::Graph::decode(&graph.bytes(), std::path::Path::new("")).unwrap();
    let ensemble = graph.ensemble().map_err(|error| error.to_string())?;
    ensemble.ok_or_else(|| "an additive model".into())
}

#[test]
fn deeper_trees_decide_as_their_modes_say() {
    type Rule = fn(f32) -> bool;
    let modes: [(&str, Rule); 6] = [
        ("BRANCH_LEQ", |x| x <= 2.0),
        ("BRANCH_LT", |x| x < 2.0),
        ("BRANCH_GTE", |x| x >= 2.0),
        ("BRANCH_GT", |x| x > 2.0),
        ("BRANCH_EQ", |x| x == 2.0),
        ("BRANCH_NEQ", |x| x != 2.0),
    ];
    for (mode, rule) in modes {
        for tracks in [0, 1] {
            let ensemble = ensemble(&deep(mode, tracks)).unwrap();
            for x in [2f32.next_down(), 2.0, 2f32.next_up(), -2.0, 0.0] {
                let expected = if rule(x) { 2.5 } else { 1.5 };
                assert_eq!(
                    ensemble.raw_scores(&[f64::from(x), -1.0]),
                    [expected],
                    "{mode} {x}"
                );
            }
            // Without a word about missing numbers, rows that have some are refused.
            if tracks == 1 {
                assert_eq!(ensemble.raw_scores(&[f64::NAN, -1.0]), [2.5], "{mode}");
            }
        }
    }
}

/// Returns a graph as skl2onnx writes it, with these trees after a scaler in double precision.
fn scaled(trees: &Trees) -> Graph {
    let graph = Builder::default()
        .input("x", 2, DataType::Double)
        .doubles("scale", &[2], &[3.0, 7.0])
        .node(node("Div", &["x", "scale"], &["scaled"]))
        .node(trees.node_of("scaled"))
        .output("y")
        .by("skl2onnx");
    Graph::decode(&graph.bytes(), Path::new("")).unwrap()
}

/// Numbers in double precision around 2: those that round to it, and those that don't.
fn around_two() -> Vec<f64> {
    let halves = [2f32.next_down(), 2.0, 2f32.next_up()].map(f64::from);
    let middles = [
        f64::midpoint(halves[0], halves[1]),
        f64::midpoint(halves[1], halves[2]),
    ];
    let all = halves.into_iter().chain(middles);
    all.flat_map(|x| [x.next_down(), x, x.next_up()]).collect()
}

#[test]
fn trees_round_what_a_scaler_computes_as_their_library_does() {
    type Rule = fn(f32) -> bool;
    let modes: [(&'static str, Rule); 4] = [
        ("BRANCH_LEQ", |x| x <= 2.0),
        ("BRANCH_LT", |x| x < 2.0),
        ("BRANCH_GTE", |x| x >= 2.0),
        ("BRANCH_GT", |x| x > 2.0),
    ];
    for (mode, rule) in modes {
        let ensemble = scaled(&deep(mode, 0)).ensemble().unwrap().unwrap();
        for x in around_two() {
            let expected = if rule(x as f32) { 2.5 } else { 1.5 };
            assert_eq!(ensemble.raw_scores(&[x, -1.0]), [expected], "{mode} {x}");
        }
        // Trees that decide once become bins.
        let once = Trees {
            modes: vec![mode, "LEAF", "LEAF", "LEAF"],
            nodes: vec![0, 1, 2, 0],
            trees: vec![0, 0, 0, 1],
            features: vec![0; 4],
            truths: vec![1, 0, 0, 0],
            falses: vec![2, 0, 0, 0],
            thresholds: vec![2.0, 0.0, 0.0, 0.0],
            leaf_trees: vec![0, 0, 1],
            leaf_nodes: vec![1, 2, 0],
            missing: vec![0; 4],
            ..deep(mode, 0)
        };
        let encoding = scaled(&once).fitted().unwrap().encoding.unwrap();
        let bins = encoding.steps.iter().find_map(|step| match step {
            Step::Bins { edges, equal, .. } => Some((edges[0], *equal)),
            _ => None,
        });
        let (edge, equal) = bins.unwrap();
        for x in around_two() {
            let above = x > edge || x == edge && equal == Side::Above;
            let holds_above = matches!(mode, "BRANCH_GTE" | "BRANCH_GT");
            assert_eq!(above == holds_above, rule(x as f32), "{mode} {x}");
        }
    }
}

#[test]
fn deeper_trees_that_are_not_whole_are_refused() {
    let refused = |words: &str, change: &dyn Fn(&mut Trees)| {
        let mut trees = deep("BRANCH_LEQ", 0);
        change(&mut trees);
        let error = ensemble(&trees).unwrap_err();
        assert!(error.contains(words), "{words}: {error}");
    };
    refused("lists of different lengths", &|trees| trees.falses.truncate(4));
    refused("lists of different lengths", &|trees| trees.weights.truncate(2));
    refused("in several parts", &|trees| {
        trees.trees = vec![0, 0, 1, 0, 0];
    });
    refused("two nodes of one number", &|trees| trees.nodes[4] = 3);
    refused("a branch to no node", &|trees| trees.truths[1] = 0);
    refused("a branch to no node", &|trees| trees.truths[1] = 9);
    refused("another leads to", &|trees| trees.truths[1] = 2);
    refused("several roots", &|trees| {
        trees.trees.push(0);
        trees.nodes.push(5);
        trees.features.push(0);
        trees.modes.push("LEAF");
        trees.truths.push(0);
        trees.falses.push(0);
        trees.thresholds.push(0.0);
        trees.missing.push(0);
    });
    refused("the mode BRANCH_MEMBER", &|trees| {
        trees.modes[0] = "BRANCH_MEMBER"
    });
    refused("about no column", &|trees| trees.features[0] = 2);
    refused("a leaf of no output", &|trees| {
        trees.targets = 2;
        trees.base = vec![0.0; 2];
        trees.leaf_targets[0] = 2;
    });
    refused("2 base values", &|trees| trees.base = vec![0.0; 2]);
    refused("aggregate_function MAX", &|trees| trees.aggregate = "MAX");
    refused("an additive model", &|trees| *trees = whole());
}
