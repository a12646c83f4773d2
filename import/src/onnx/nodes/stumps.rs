//! Ensembles of trees that decide once, which are additive: each feature's bin has a weight.

use super::{Node, comparisons::before_rounding};
use crate::{
    ImportError,
    onnx::{
        column::Columns,
        linear::Linear,
        value::{Scores, Value},
    },
};
use blindscore_protocol::{
    descriptor::Link,
    encoding::{Categories, Side, Step, Unknown},
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    rc::Rc,
};

/// A tree's only decision.
struct Stump {
    column: usize,
    threshold: f64,
    /// Where a number equal to the threshold belongs.
    equal: Side,
    /// Leaf below the threshold, and above it: numbers by output.
    leaves: [HashMap<usize, f64>; 2],
}

/// Trees that decide once, and those that don't decide at all.
#[derive(Default)]
struct Trees {
    stumps: Vec<Stump>,
    /// Outputs and numbers of the leaves that are whole trees.
    constants: Vec<(usize, f64)>,
}

impl Node<'_> {
    /// Returns the values of a regression.
    pub(super) fn stump_regressor(&self, value: &Value) -> Result<Value, ImportError> {
        let outputs = usize::try_from(self.attributes().int("n_targets", 1)).unwrap_or(0);
        self.check_ensemble("target", &["NONE"])?;
        let linear = self.stumps(value, "target", outputs)?;
        Ok(Value::Scores(Scores {
            regression: true,
            ..Scores::raw(linear)
        }))
    }

    /// Returns labels and probabilities.
    pub(super) fn stump_classifier(&self) -> Result<Vec<Value>, ImportError> {
        let [value] = self.operands.as_slice() else {
            return self.refuse(self.what_it_gets());
        };
        let attributes = self.attributes();
        let names = self.class_names("classlabels_int64s")?;
        self.check_ensemble("class", &["LOGISTIC", "SOFTMAX"])?;
        let transform = attributes.text("post_transform", "NONE");
        let ids = attributes.ints("class_ids").unwrap_or_default();
        let single = names.len() == 2 && ids.windows(2).all(|pair| pair[0] == pair[1]);
        let (linear, link) = match (single, transform.as_str()) {
            (true, "LOGISTIC") => (self.stumps(value, "class", 1)?.with_opposite(), Link::Sigmoid),
            (false, "SOFTMAX") => (self.stumps(value, "class", names.len())?, Link::Softmax),
            _ => {
                return self.refuse(format!(
                    " of {} classes with post_transform {transform}",
                    names.len()
                ));
            }
        };
        let linear: Rc<Linear> = linear.into();
        Ok(self.classified(linear, Some(link), names))
    }

    fn check_ensemble(&self, kind: &str, transforms: &[&str]) -> Result<(), ImportError> {
        let attributes = self.attributes();
        let transform = attributes.text("post_transform", "NONE");
        let aggregate = attributes.text("aggregate_function", "SUM");
        let missing = attributes
            .ints("nodes_missing_value_tracks_true")
            .unwrap_or_default();
        if missing.iter().any(|tracks| *tracks != 0) {
            return self.refuse(" with a branch for missing values: fill them in before the model");
        }
        if !transforms.contains(&transform.as_str()) || aggregate != "SUM" {
            let leaves = if kind == "class" { "classes" } else { "targets" };
            return self.refuse(format!(
                " of {leaves} with post_transform {transform} and aggregate_function {aggregate}"
            ));
        }
        Ok(())
    }

    /// Returns the sums of the leaves.
    fn stumps(&self, value: &Value, kind: &str, outputs: usize) -> Result<Linear, ImportError> {
        let columns = self.numbers(value)?;
        let Trees { stumps, constants } = self.decisions(kind, outputs, columns.len())?;
        let mut by_column: BTreeMap<(usize, bool), Vec<Stump>> = BTreeMap::new();
        for mut stump in stumps {
            // Clients round columns, and not what they compute.
            if self.context.rounds_trees && !self.context.plan.is_single(columns[stump.column]) {
                stump.threshold = before_rounding(stump.threshold, stump.equal);
            }
            by_column
                .entry((stump.column, stump.equal == Side::Above))
                .or_default()
                .push(stump);
        }
        let mut intercept = self.attributes().floats("base_values");
        if intercept.is_empty() {
            intercept = vec![0.0; outputs];
        }
        if intercept.len() != outputs {
            return self.refuse(format!(
                " of {outputs} outputs and {} base values",
                intercept.len()
            ));
        }
        for (output, number) in constants {
            intercept[output] += number;
        }
        let mut parts = Vec::new();
        for ((column, _), stumps) in by_column {
            let equal = stumps[0].equal;
            let mut edges: Vec<f64> = stumps.iter().map(|stump| stump.threshold).collect();
            edges.sort_by(f64::total_cmp);
            edges.dedup();
            let mut rows = vec![vec![0.0; edges.len() + 1]; outputs];
            for stump in &stumps {
                let first_above = edges.partition_point(|edge| *edge < stump.threshold) + 1;
                for (output, row) in rows.iter_mut().enumerate() {
                    let leaf = |side: usize| stump.leaves[side].get(&output).copied().unwrap_or(0.0);
                    row[..first_above]
                        .iter_mut()
                        .for_each(|weight| *weight += leaf(0));
                    row[first_above..]
                        .iter_mut()
                        .for_each(|weight| *weight += leaf(1));
                }
            }
            self.check_weights(outputs, edges.len() + 1)?;
            let categories = (0..=edges.len()).map(|bin| bin as f64).collect();
            let bin = self.step(Step::Bins {
                of: columns[column] as u32,
                edges,
                equal,
                missing: None,
            })?;
            let one_hot = self.step(Step::OneHot {
                of: bin[0] as u32,
                categories: Categories::Numbers(categories),
                unknown: Unknown::Refuse,
            })?;
            parts.push(Linear::new(
                &Columns::plain(one_hot, false).into(),
                &rows,
                &vec![0.0; outputs],
            ));
        }
        let linears: Vec<&Linear> = parts.iter().collect();
        if linears.is_empty() {
            return self.refuse(" without a decision");
        }
        let sum = Linear::added(&linears, 1.0);
        Ok(sum.scaled(&vec![1.0; outputs], &intercept))
    }

    /// Reads the trees, each of which must have one decision, or none.
    fn decisions(&self, kind: &str, outputs: usize, columns: usize) -> Result<Trees, ImportError> {
        let attributes = self.attributes();
        let ints = |name: &str| attributes.ints(name).unwrap_or_default();
        let (trees, nodes) = (ints("nodes_treeids"), ints("nodes_nodeids"));
        let (features, truths, falses) = (
            ints("nodes_featureids"),
            ints("nodes_truenodeids"),
            ints("nodes_falsenodeids"),
        );
        let modes = attributes.strings("nodes_modes").unwrap_or_default();
        let thresholds = attributes.floats("nodes_values");
        let count = trees.len();
        if [
            nodes.len(),
            features.len(),
            truths.len(),
            falses.len(),
            modes.len(),
            thresholds.len(),
        ]
        .iter()
        .any(|len| *len != count)
        {
            return self.refuse(" with lists of different lengths");
        }
        let mut leaves: HashMap<(i64, i64), HashMap<usize, f64>> = HashMap::new();
        let (leaf_trees, leaf_nodes, leaf_ids, weights) = (
            ints(&format!("{kind}_treeids")),
            ints(&format!("{kind}_nodeids")),
            ints(&format!("{kind}_ids")),
            attributes.floats(&format!("{kind}_weights")),
        );
        for (((tree, node), id), weight) in leaf_trees.iter().zip(leaf_nodes).zip(leaf_ids).zip(weights) {
            // With one output, the id is that of the positive class.
            let output = if outputs == 1 {
                0
            } else {
                usize::try_from(*id).unwrap_or(usize::MAX)
            };
            if output >= outputs {
                return self.refuse(" with a leaf of no output");
            }
            *leaves
                .entry((*tree, *node))
                .or_default()
                .entry(output)
                .or_default() += weight;
        }
        let mut found = Trees::default();
        let mut seen = HashSet::new();
        let places: Vec<usize> = (0..count).collect();
        for tree in places.chunk_by(|&one, &other| trees[one] == trees[other]) {
            // The first node of a tree is its root; any other decision is a deeper one.
            let root = tree[0];
            if !seen.insert(trees[root]) {
                return self.refuse(format!(" whose tree {} is in several parts", trees[root]));
            }
            if tree[1..].iter().any(|&place| modes[place] != "LEAF") {
                return self.refuse(", with trees that decide more than once");
            }
            let leaf = |node: i64| leaves.get(&(trees[root], node)).cloned().unwrap_or_default();
            if modes[root] == "LEAF" {
                if tree.len() > 1 {
                    return self.refuse(format!(" whose tree {} has several roots", trees[root]));
                }
                found.constants.extend(leaf(nodes[root]));
                continue;
            }
            let is_leaf = |node: i64| tree[1..].iter().filter(|&&place| nodes[place] == node).count() == 1;
            if !is_leaf(truths[root]) || !is_leaf(falses[root]) {
                return self.refuse(format!(
                    " whose tree {} has a branch to no leaf of its own",
                    trees[root]
                ));
            }
            let (equal, swapped) = match modes[root].as_str() {
                "BRANCH_LEQ" => (Side::Below, false),
                "BRANCH_LT" => (Side::Above, false),
                "BRANCH_GTE" => (Side::Above, true),
                "BRANCH_GT" => (Side::Below, true),
                other => return self.refuse(format!(" with the mode {other}")),
            };
            let (held, not) = (leaf(truths[root]), leaf(falses[root]));
            let column = usize::try_from(features[root])
                .ok()
                .filter(|column| *column < columns);
            let (Some(column), true) = (column, thresholds[root].is_finite()) else {
                return self.refuse(" with a decision about no column");
            };
            found.stumps.push(Stump {
                column,
                threshold: thresholds[root],
                equal,
                leaves: if swapped { [not, held] } else { [held, not] },
            });
        }
        Ok(found)
    }
}
