//! Ensembles of decision trees.

use super::{
    NotRun,
    learning::{floats, named, text},
    not_run,
    standard::attribute,
    tensor::Tensor,
};
use crate::onnx::proto::{NodeProto, tensor_proto::DataType};
use std::collections::HashMap;

/// Walks down every tree, and adds the numbers of the leaves.
pub(super) fn run(node: &NodeProto, tensor: &Tensor, kind: &str, outputs: usize) -> Result<Tensor, NotRun> {
    let (rows, width) = tensor.matrix()?;
    let ints = |name: &str| attribute(node, name).map_or(&[][..], |value| value.ints.as_slice());
    let modes: Vec<String> = attribute(node, "nodes_modes").map_or_else(Vec::new, |modes| {
        let text = |mode: &Vec<u8>| String::from_utf8_lossy(mode).into_owned();
        modes.strings.iter().map(text).collect()
    });
    let (tree_ids, node_ids) = (ints("nodes_treeids"), ints("nodes_nodeids"));
    let (features, truths, falses) = (
        ints("nodes_featureids"),
        ints("nodes_truenodeids"),
        ints("nodes_falsenodeids"),
    );
    let values = floats(node, "nodes_values");
    let ids = tree_ids.iter().copied().zip(node_ids.iter().copied());
    let places: HashMap<(i64, i64), usize> = ids.zip(0..).collect();
    let leaves = leaves(node, kind, outputs)?;
    let mut roots: Vec<(i64, usize)> = Vec::new();
    for (place, tree) in tree_ids.iter().enumerate() {
        if place == 0 || tree_ids[place - 1] != *tree {
            roots.push((*tree, place));
        }
    }
    let mut base = floats(node, "base_values");
    base.resize(outputs, 0.0);
    let mut results = Vec::with_capacity(rows * outputs);
    for row in tensor.as_numbers()?.chunks_exact(width) {
        let mut sums = base.clone();
        for &(tree, root) in &roots {
            let mut place = root;
            // No path is longer than there are nodes.
            for _ in 0..=modes.len() {
                let (Some(mode), Some(feature), Some(value)) =
                    (modes.get(place), features.get(place), values.get(place))
                else {
                    return not_run("nodes of different lengths");
                };
                let number = usize::try_from(*feature)
                    .ok()
                    .and_then(|feature| row.get(feature));
                let Some(x) = number else {
                    return not_run("a decision about no column");
                };
                let holds = match mode.as_str() {
                    "LEAF" => break,
                    "BRANCH_LEQ" => x <= value,
                    "BRANCH_LT" => x < value,
                    "BRANCH_GTE" => x >= value,
                    "BRANCH_GT" => x > value,
                    _ => return not_run(format!("the mode {mode}")),
                };
                let next = if holds {
                    truths.get(place)
                } else {
                    falses.get(place)
                };
                let Some(next) = next.and_then(|next| places.get(&(tree, *next))) else {
                    return not_run("a branch to no node");
                };
                place = *next;
            }
            let leaf = node_ids.get(place).and_then(|leaf| leaves.get(&(tree, *leaf)));
            for (output, weight) in leaf.into_iter().flatten() {
                sums[*output] += weight;
            }
        }
        results.extend(sums);
    }
    Ok(Tensor::numbers(vec![rows, outputs], results, DataType::Float))
}

/// Numbers of a leaf, by output.
type Leaf = Vec<(usize, f64)>;

/// Returns the leaves by tree and node.
fn leaves(node: &NodeProto, kind: &str, outputs: usize) -> Result<HashMap<(i64, i64), Leaf>, NotRun> {
    let ints = |name: &str| {
        let name = format!("{kind}_{name}");
        attribute(node, &name).map_or(&[][..], |value| value.ints.as_slice())
    };
    let (trees, nodes, ids) = (ints("treeids"), ints("nodeids"), ints("ids"));
    let mut leaves: HashMap<(i64, i64), Leaf> = HashMap::new();
    for (place, weight) in floats(node, &format!("{kind}_weights")).iter().enumerate() {
        let (Some(tree), Some(leaf), Some(id)) = (trees.get(place), nodes.get(place), ids.get(place)) else {
            return not_run("leaves of different lengths");
        };
        // With one output, the id is that of the positive class.
        let output = if outputs == 1 {
            0
        } else {
            usize::try_from(*id).unwrap_or(usize::MAX)
        };
        if output >= outputs {
            return not_run("a leaf of no output");
        }
        leaves.entry((*tree, *leaf)).or_default().push((output, *weight));
    }
    Ok(leaves)
}

/// Returns labels and probabilities.
pub(super) fn classifier(node: &NodeProto, tensor: &Tensor) -> Result<Vec<Tensor>, NotRun> {
    let count = |name: &str| attribute(node, name).map_or(0, |names| names.strings.len() + names.ints.len());
    let classes = count("classlabels_strings") + count("classlabels_int64s");
    let transform = text(node, "post_transform").unwrap_or_else(|| "NONE".into());
    let single = classes == 2 && transform == "LOGISTIC";
    let scores = run(node, tensor, "class", if single { 1 } else { classes })?;
    let (rows, outputs) = scores.matrix()?;
    let (mut decisions, mut results) = (Vec::new(), Vec::new());
    for row in scores.as_numbers()?.chunks_exact(outputs.max(1)) {
        match (row, transform.as_str()) {
            (&[score], "LOGISTIC") => {
                let share = 1.0 / (1.0 + (-score).exp());
                decisions.push(usize::from(score > 0.0));
                results.extend([1.0 - share, share]);
            }
            (row, "SOFTMAX") => {
                let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = row.iter().map(|x| (x - most).exp()).sum();
                decisions.push((1..row.len()).fold(0, |best, k| if row[k] > row[best] { k } else { best }));
                results.extend(row.iter().map(|x| (x - most).exp() / sum));
            }
            _ => return not_run(format!("post_transform {transform}")),
        }
    }
    let label = named(node, &decisions).ok_or_else(|| NotRun::new("names of classes are missing"))?;
    Ok(vec![
        label,
        Tensor::numbers(vec![rows, classes], results, DataType::Float),
    ])
}
