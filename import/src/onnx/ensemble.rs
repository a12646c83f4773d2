//! Graphs whose only model is an ensemble of trees that decide more than once.
//!
//! A node's trees take the place of features of their own: what comes after them is read as a
//! linear model of their sums, whose weights are then those of the leaves.

use super::{
    Graph, ImportError,
    column::Columns,
    inputs::Inputs,
    kinds,
    linear::Linear,
    outputs,
    plan::{Planned, Unused},
    unsupported,
};
use crate::trees::{Ensemble, Grower, Missing, Part, Source};
use blindscore_protocol::descriptor::{Link, Task};
use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
};

/// First of the slots that the sums of trees have, or hidden units: no step's results have them.
pub(super) const FIRST: usize = 1 << 24;
/// Most sums of all trees of a graph.
const MOST_SUMS: usize = 2_000;

/// The trees of a node.
#[derive(Debug)]
pub(super) struct Forest {
    /// Number of sums.
    pub(super) outputs: usize,
    /// Nodes of each tree, the root first. Decisions are about slots.
    pub(super) trees: Vec<Vec<Option<Part>>>,
    /// Whether decisions say what becomes of missing numbers.
    pub(super) asks_for_missing: bool,
    /// Slot of the first sum.
    pub(super) first: usize,
}

/// The trees of all nodes so far.
#[derive(Debug, Default)]
pub(super) struct Forests(RefCell<Vec<Forest>>);

impl Forest {
    fn leaves(&self) -> impl Iterator<Item = &Vec<f64>> {
        self.trees.iter().flatten().filter_map(|part| match part {
            Some(Part::Leaf(numbers)) => Some(numbers),
            _ => None,
        })
    }

    /// Multiplies the leaves.
    pub(super) fn scale(&mut self, factor: f64) {
        for part in self.trees.iter_mut().flatten() {
            if let Some(Part::Leaf(numbers)) = part {
                numbers.iter_mut().for_each(|number| *number *= factor);
            }
        }
    }

    /// Returns whether the sums are probabilities of all classes, or that of the second of two.
    pub(super) fn gives_probabilities(&self, single: bool, rounding: f64) -> bool {
        let (mut least, mut most) = (0.0, 0.0);
        for tree in &self.trees {
            let sums = tree.iter().filter_map(|part| match part {
                Some(Part::Leaf(numbers)) => Some(numbers.iter().sum::<f64>()),
                _ => None,
            });
            let (low, high) = sums.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), sum| {
                (low.min(sum), high.max(sum))
            });
            least += low;
            most += high;
        }
        let positive = self.leaves().flatten().all(|number| *number >= 0.0);
        positive && most <= 1.0 + rounding && (single || least >= 1.0 - rounding)
    }
}

impl Forests {
    /// Adds the trees of a node, and returns their sums; `None` if there are too many.
    pub(super) fn plant(&self, mut forest: Forest) -> Option<Linear> {
        let mut forests = self.0.borrow_mut();
        forest.first = forests.last().map_or(FIRST, |last| last.first + last.outputs);
        let slots = forest.first..forest.first.checked_add(forest.outputs)?;
        if slots.end > FIRST + MOST_SUMS {
            return None;
        }
        forests.push(forest);
        Some(Linear::identity(&Columns::plain(slots, false).into()))
    }

    /// Returns whether a map is one of sums of trees, or of hidden units.
    pub(super) fn gave(linear: &Linear) -> bool {
        linear.support().last().is_some_and(|slot| *slot >= FIRST)
    }
}

impl Graph {
    /// Returns the ensemble of trees that the graph represents; `None` if none of its trees decides
    /// more than once, which [`Self::fitted`] reads as an additive model.
    ///
    /// # Errors
    /// If there are such trees, and the graph is more than them. The error names the operator or
    /// the output.
    pub fn ensemble(&self) -> Result<Option<Ensemble>, ImportError> {
        let uses = self.uses()?;
        let Some(node) = self.used_nodes(&uses).find(|node| kinds::has_deep_trees(node)) else {
            return Ok(None);
        };
        let combined = |error: ImportError| match error {
            // What is wrong with the trees themselves is named.
            ImportError::Unsupported { operator, .. } if !operator.contains("TreeEnsemble") => {
                kinds::COMBINED_TREES.refused_at(node)
            }
            error => error,
        };
        let forests = Forests::default();
        let (values, inputs) = self.evaluated(&uses, Some(&forests), None).map_err(combined)?;
        let (fitted, linear) = outputs::answers(&self.graph, &values, self.by_skl2onnx)?;
        let forests = forests.0.into_inner();
        let served = matches!(
            fitted.link,
            Link::Identity | Link::Sigmoid | Link::Softmax | Link::Exp | Link::Probability
        );
        if !served || !linear.support().iter().all(|slot| *slot >= FIRST) {
            return Err(kinds::COMBINED_TREES.refused_at(node));
        }
        // Weights of each tree's sums, one row for each score.
        let mut weights: HashMap<usize, Vec<f64>> = HashMap::new();
        for (place, slot) in linear.support().iter().enumerate() {
            let of_slot = fitted.coef.iter().map(|row| row[place]);
            weights.insert(*slot, of_slot.collect());
        }
        let refuse = |why: &str| unsupported(node, format!(": {why}"));
        let used = used_forests(forests, &weights);
        let columns: BTreeSet<usize> = used.iter().flat_map(asked).collect();
        let columns: Vec<usize> = columns.into_iter().collect();
        let asks_for_missing = used.iter().any(|forest| forest.asks_for_missing);
        let (sources, places, planned) = planned(inputs, &columns, asks_for_missing);
        let mut grower = Grower::default();
        let scores = fitted.coef.len();
        let none = vec![0.0; scores];
        for forest in used {
            let sums = forest.first..forest.first + forest.outputs;
            // A sum that no score takes has no weights.
            let weights = sums.map(|slot| weights.get(&slot).unwrap_or(&none));
            let weights: Vec<&Vec<f64>> = weights.collect();
            for parts in forest.trees {
                let nodes = parts.len();
                let (parts, output) = weighted(parts, &weights, scores, &places);
                if grower.add(parts, 0, output).map_err(refuse)? != nodes {
                    return Err(refuse("a tree has several roots"));
                }
            }
        }
        let task = fitted.task.unwrap_or(match (fitted.link, scores) {
            (Link::Sigmoid, 2..) => Task::Multilabel,
            _ => Task::Regression,
        });
        let mut ensemble = grower
            .finish(sources, fitted.intercept, fitted.link, task)
            .map_err(|why| refuse(&why))?;
        ensemble.encoding = planned.encoding;
        ensemble.labels = fitted.labels;
        ensemble.classes = fitted.classes;
        ensemble.answers = fitted.answers;
        ensemble.unused = planned.unused;
        ensemble.check()?;
        Ok(Some(ensemble))
    }
}

/// Returns the forests whose sums matter.
fn used_forests(forests: Vec<Forest>, weights: &HashMap<usize, Vec<f64>>) -> Vec<Forest> {
    let is_used = |forest: &Forest| {
        let mut sums = forest.first..forest.first + forest.outputs;
        sums.any(|slot| weights.contains_key(&slot))
    };
    forests.into_iter().filter(is_used).collect()
}

/// Returns the slots that a forest's decisions are about.
fn asked(forest: &Forest) -> impl Iterator<Item = usize> {
    forest.trees.iter().flatten().filter_map(|part| match part {
        Some(Part::Split { column, .. }) => Some(*column),
        _ => None,
    })
}

/// Returns the columns that trees decide about, the place of each slot among them, and the public
/// part.
fn planned(
    inputs: Inputs,
    slots: &[usize],
    asks_for_missing: bool,
) -> (Vec<Source>, HashMap<usize, usize>, Planned) {
    let all = inputs.plan.slots();
    let single: Vec<bool> = (0..all).map(|slot| inputs.plan.is_single(slot)).collect();
    let mut planned = inputs.plan.finish(slots, inputs.named, Unused::Kept);
    planned.unused.splice(0..0, inputs.unused);
    let names = planned.names.as_ref().filter(|_| planned.encoding.is_none());
    let source = |(place, slot): (usize, &usize)| Source {
        name: names.and_then(|names| names.get(place).cloned()),
        single: single.get(*slot).copied().unwrap_or(false),
        // Trees that were fitted to missing numbers say what becomes of them.
        missing: if asks_for_missing {
            Missing::Own
        } else {
            Missing::Refused
        },
        recoded: None,
    };
    let sources = planned.features.iter().enumerate().map(source).collect();
    let places = planned.features.iter().copied().zip(0..).collect();
    (sources, places, planned)
}

/// Returns a tree's nodes with its leaves weighed for each score, and the score if there is only
/// one.
fn weighted(
    parts: Vec<Option<Part>>,
    weights: &[&Vec<f64>],
    scores: usize,
    places: &HashMap<usize, usize>,
) -> (Vec<Option<Part>>, Option<usize>) {
    let number = |leaf: &[f64], score: usize| -> f64 {
        let terms = leaf.iter().zip(weights);
        terms.map(|(number, weights)| number * weights[score]).sum()
    };
    let leaves = || {
        parts.iter().filter_map(|part| match part {
            Some(Part::Leaf(leaf)) => Some(leaf),
            _ => None,
        })
    };
    let mut changed = (0..scores).filter(|&score| leaves().any(|leaf| number(leaf, score) != 0.0));
    let output = match (changed.next(), changed.next()) {
        (Some(only), None) => Some(only),
        (None, _) => Some(0),
        _ => None,
    };
    let part = |part: &Option<Part>| match part {
        Some(Part::Leaf(leaf)) => Some(Part::Leaf(match output {
            Some(score) => vec![number(leaf, score)],
            None => (0..scores).map(|score| number(leaf, score)).collect(),
        })),
        Some(Part::Split {
            column,
            decision,
            branches,
        }) => Some(Part::Split {
            column: places.get(column).copied()?,
            decision: decision.clone(),
            branches: *branches,
        }),
        None => None,
    };
    (parts.iter().map(part).collect(), output)
}
