//! Ensembles of trees that decide more than once, read node by node.

use super::{Node, comparisons::before_rounding};
use crate::{
    ImportError,
    onnx::{
        constant::Constant,
        ensemble::{Forest, Forests},
        linear::Linear,
        value::{Scores, Value},
    },
    trees::{Decision, MOST_NODES, Part},
};
use blindscore_protocol::{descriptor::Link, encoding::Side};
use std::{
    collections::{HashMap, HashSet},
    rc::Rc,
};

/// Most numbers of all leaves.
const MOST_NUMBERS: usize = 16_000_000;
/// How far the probabilities of a forest may be from adding up to 1, for rounding of each leaf.
const ROUNDING: f64 = 1e-3;

impl Node<'_> {
    /// Returns the values of a regression.
    pub(super) fn forest_regressor(&self, value: &Value, forests: &Forests) -> Result<Value, ImportError> {
        let attributes = self.attributes();
        let outputs = usize::try_from(attributes.int("n_targets", 1)).unwrap_or(0);
        let transform = attributes.text("post_transform", "NONE");
        if transform != "NONE" {
            return self.refuse(format!(" with post_transform {transform}"));
        }
        let mut forest = self.forest(value, "target", outputs)?;
        match attributes.text("aggregate_function", "SUM").as_str() {
            "SUM" => {}
            "AVERAGE" => forest.scale(1.0 / forest.trees.len().max(1) as f64),
            other => return self.refuse(format!(" with aggregate_function {other}")),
        }
        Ok(Value::Scores(Scores {
            regression: true,
            ..Scores::raw(self.planted(forest, forests)?)
        }))
    }

    /// Returns labels and probabilities.
    pub(super) fn forest_classifier(&self, forests: &Forests) -> Result<Vec<Value>, ImportError> {
        let [value] = self.operands.as_slice() else {
            return self.refuse(self.what_it_gets());
        };
        let attributes = self.attributes();
        let names = self.class_names("classlabels_int64s")?;
        let aggregate = attributes.text("aggregate_function", "SUM");
        if aggregate != "SUM" {
            return self.refuse(format!(" with aggregate_function {aggregate}"));
        }
        let ids = attributes.ints("class_ids").unwrap_or_default();
        let single = names.len() == 2 && ids.windows(2).all(|pair| pair[0] == pair[1]);
        let transform = attributes.text("post_transform", "NONE");
        let outputs = if single { 1 } else { names.len() };
        let forest = self.forest(value, "class", outputs)?;
        let link = match (transform.as_str(), single) {
            ("LOGISTIC", true) => Link::Sigmoid,
            ("SOFTMAX", false) => Link::Softmax,
            ("NONE", _) if forest.gives_probabilities(single, ROUNDING) => Link::Probability,
            ("NONE", _) => {
                return self.refuse(
                    " whose leaves are neither probabilities nor scores with a post_transform: export its probabilities",
                );
            }
            _ => {
                return self.refuse(format!(
                    " of {} classes with post_transform {transform}",
                    names.len()
                ));
            }
        };
        let sums = self.planted(forest, forests)?;
        let linear = match link {
            Link::Sigmoid => sums.with_opposite(),
            // The file has the probability of the second class only.
            Link::Probability if single => sums.then(&[vec![-1.0], vec![1.0]], &[1.0, 0.0]),
            _ => sums,
        };
        let linear: Rc<Linear> = linear.into();
        Ok(self.classified(linear, Some(link), names))
    }

    /// Adds trees to those of the graph, and returns their sums.
    fn planted(&self, forest: Forest, forests: &Forests) -> Result<Linear, ImportError> {
        let outputs = forest.outputs;
        let mut base = self.attributes().floats("base_values");
        if let Some(tensor) = self.table("base_values_as_tensor")? {
            base = tensor;
        }
        if base.is_empty() {
            base = vec![0.0; outputs];
        }
        if base.len() != outputs {
            return self.refuse(format!(" of {outputs} outputs and {} base values", base.len()));
        }
        let Some(sums) = forests.plant(forest) else {
            return self.refuse(" beside too many other trees");
        };
        Ok(sums.scaled(&vec![1.0; outputs], &base))
    }

    /// Returns the numbers of an attribute that is a tensor, if there is one.
    fn table(&self, name: &str) -> Result<Option<Vec<f64>>, ImportError> {
        match self.attributes().tensor(name).map(Constant::of) {
            None => Ok(None),
            Some(Ok(constant)) => Ok(Some(constant.numbers)),
            Some(Err(why)) => self.refuse(format!(": {name} {why}")),
        }
    }

    /// Returns a list of numbers, in single precision or as a tensor in double precision.
    fn values(&self, name: &str) -> Result<Vec<f64>, ImportError> {
        let tensor = self.table(&format!("{name}_as_tensor"))?;
        Ok(tensor.unwrap_or_else(|| self.attributes().floats(name)))
    }

    /// Returns the leaves' numbers, by tree and node.
    fn leaves(&self, kind: &str, outputs: usize) -> Result<HashMap<(i64, i64), Vec<f64>>, ImportError> {
        let attributes = self.attributes();
        let ints = |name: &str| attributes.ints(&format!("{kind}_{name}")).unwrap_or_default();
        let (trees, nodes, ids) = (ints("treeids"), ints("nodeids"), ints("ids"));
        let weights = self.values(&format!("{kind}_weights"))?;
        if [trees.len(), nodes.len(), ids.len()]
            .iter()
            .any(|len| *len != weights.len())
        {
            return self.refuse(" with lists of different lengths");
        }
        if outputs
            .checked_mul(weights.len())
            .is_none_or(|numbers| numbers > MOST_NUMBERS)
        {
            return self.refuse(format!(" with more than {MOST_NUMBERS} numbers of leaves"));
        }
        let mut leaves: HashMap<(i64, i64), Vec<f64>> = HashMap::new();
        for (((tree, node), id), weight) in trees.iter().zip(nodes).zip(ids).zip(weights) {
            // With one output, the id is that of the positive class.
            let output = if outputs == 1 { Ok(0) } else { usize::try_from(*id) };
            let leaf = leaves.entry((*tree, *node)).or_insert_with(|| vec![0.0; outputs]);
            match output.ok().and_then(|output| leaf.get_mut(output)) {
                Some(number) if weight.is_finite() => *number += weight,
                _ => return self.refuse(" with a leaf of no output"),
            }
        }
        Ok(leaves)
    }

    /// Reads the trees.
    fn forest(&self, value: &Value, kind: &str, outputs: usize) -> Result<Forest, ImportError> {
        let attributes = self.attributes();
        let columns = self.numbers(value)?;
        let ints = |name: &str| attributes.ints(name).unwrap_or_default();
        let (ids, nodes) = (ints("nodes_treeids"), ints("nodes_nodeids"));
        let (features, truths, falses) = (
            ints("nodes_featureids"),
            ints("nodes_truenodeids"),
            ints("nodes_falsenodeids"),
        );
        let modes = attributes.strings("nodes_modes").unwrap_or_default();
        let thresholds = self.values("nodes_values")?;
        let tracks = ints("nodes_missing_value_tracks_true");
        let count = ids.len();
        let lengths = [
            nodes.len(),
            features.len(),
            truths.len(),
            falses.len(),
            modes.len(),
            thresholds.len(),
        ];
        if lengths.iter().any(|len| *len != count) || !tracks.is_empty() && tracks.len() != count {
            return self.refuse(" with lists of different lengths");
        }
        if count > MOST_NODES || outputs == 0 {
            return self.refuse(format!(" with {count} nodes and {outputs} outputs"));
        }
        let mut leaves = self.leaves(kind, outputs)?;
        // Thresholds in single precision are for numbers in single precision: scikit-learn rounds
        // all.
        let rounded = self.context.rounds_trees && attributes.tensor("nodes_values_as_tensor").is_none();
        let mut places = HashMap::new();
        let mut roots: Vec<(usize, i64)> = Vec::new();
        let mut known = HashSet::new();
        for (place, id) in ids.iter().zip(nodes).enumerate() {
            if place == 0 || ids[place - 1] != *id.0 {
                roots.push((place, *id.0));
                if !known.insert(*id.0) {
                    return self.refuse(format!(" whose tree {} is in several parts", id.0));
                }
            }
            if places.insert(id, place).is_some() {
                return self.refuse(format!(" whose tree {} has two nodes of one number", id.0));
            }
        }
        let mut trees: Vec<Vec<Option<Part>>> = Vec::new();
        for (index, (start, id)) in roots.iter().enumerate() {
            let end = roots.get(index + 1).map_or(count, |(next, _)| *next);
            let mut parts = Vec::with_capacity(end - start);
            for place in *start..end {
                if modes[place] == "LEAF" {
                    let leaf = leaves.remove(&(*id, nodes[place]));
                    parts.push(Some(Part::Leaf(leaf.unwrap_or_else(|| vec![0.0; outputs]))));
                    continue;
                }
                let column = usize::try_from(features[place]).ok();
                let slot = column.and_then(|column| columns.get(column).copied());
                // All numbers are below infinity, which only missing ones are told from.
                let threshold = thresholds[place].min(f64::MAX);
                let (Some(slot), true) = (slot, threshold.is_finite()) else {
                    return self.refuse(" with a decision about no column");
                };
                if rounded {
                    self.context.plan.make_single(slot);
                }
                // The first node of a tree is its root, which no branch leads to.
                let branch = |node: i64| Some(places.get(&(id, &node))? - start).filter(|place| *place > 0);
                let branches = branch(truths[place]).zip(branch(falses[place]));
                let Some((truth, not)) = branches else {
                    return self.refuse(format!(" whose tree {id} has a branch to no node of its own"));
                };
                let tracks = tracks.get(place).is_some_and(|tracks| *tracks != 0);
                parts.push(Some(self.decision(
                    &modes[place],
                    slot,
                    threshold,
                    tracks,
                    [truth, not],
                    rounded,
                )?));
            }
            trees.push(parts);
        }
        Ok(Forest {
            outputs,
            trees,
            asks_for_missing: tracks.iter().any(|tracks| *tracks != 0),
            first: 0,
        })
    }

    /// Returns a decision. A missing number is neither less nor greater, and takes the second
    /// branch, unless it tracks the first. `rounded` says whether numbers are rounded to single
    /// precision before.
    fn decision(
        &self,
        mode: &str,
        column: usize,
        threshold: f64,
        tracks: bool,
        [truth, not]: [usize; 2],
        rounded: bool,
    ) -> Result<Part, ImportError> {
        let is_single = self.context.plan.is_single(column);
        // The precision of numbers and threshold, in which there is none between it and the next.
        let below = match threshold as f32 {
            single if f64::from(single) == threshold && (is_single || rounded) => {
                f64::from(single.next_down())
            }
            _ => threshold.next_down(),
        };
        // Clients round columns, and not what they compute.
        let edge = |threshold| {
            if rounded && !is_single {
                before_rounding(threshold, Side::Below)
            } else {
                threshold
            }
        };
        let at_most = |threshold, missing| Decision::AtMost {
            threshold: edge(threshold),
            missing,
        };
        let set = || {
            let missing = tracks.then_some(f64::NAN);
            Decision::Among([threshold].into_iter().chain(missing).collect())
        };
        let (decision, branches) = match mode {
            "BRANCH_LEQ" => (at_most(threshold, tracks), [truth, not]),
            "BRANCH_LT" => (at_most(below, tracks), [truth, not]),
            "BRANCH_GTE" => (at_most(below, !tracks), [not, truth]),
            "BRANCH_GT" => (at_most(threshold, !tracks), [not, truth]),
            "BRANCH_EQ" if threshold.fract() == 0.0 => (set(), [truth, not]),
            // A missing number differs from all others.
            "BRANCH_NEQ" if threshold.fract() == 0.0 => (Decision::Among(vec![threshold]), [not, truth]),
            other => return self.refuse(format!(" with the mode {other}")),
        };
        Ok(Part::Split {
            column,
            decision,
            branches,
        })
    }
}
