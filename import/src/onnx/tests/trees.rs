//! Trees that decide once, and trees that are not whole.

use super::{
    graphs::{Builder, Node, node},
    read,
};

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
        node("TreeEnsembleRegressor", &["x"], &["y"])
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
    refused("a model of decision trees (trees, forests", &|trees| {
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
