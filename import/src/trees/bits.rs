//! The public part of an ensemble whose structure stays on the server: a grid of thresholds, and
//! trees that decide about its bits.

use super::ensemble::{Ensemble, Missing, Test, Tree, TreeNode, Variable, VariableKind};
use crate::{ImportError, bounds::MOST_SLOTS};
use blindscore_engine::forest::{Forest, ForestNode, ForestTree, ForestVariable};
use blindscore_protocol::{
    descriptor::FEATURES,
    encoding::{Categories, Encoding, Step, Unknown},
};

/// An encoding that gives bits, and the trees over them.
pub(crate) struct Bits {
    pub(crate) encoding: Encoding,
    pub(crate) forest: Forest,
    /// Thresholds, categories and missing values that trees tell apart, and all of the grid.
    pub(crate) grid: [usize; 2],
}

impl Bits {
    /// Lays out the bits. `decoys` are further thresholds for each variable, which no tree uses.
    ///
    /// # Errors
    /// If there are more bits than a query can hold.
    pub(crate) fn of(ensemble: &Ensemble, decoys: &[Vec<f64>]) -> Result<Self, ImportError> {
        let (mut encoding, slots) = ensemble.public_part();
        let mut next = encoding.columns.len() + encoding.steps.iter().map(Step::results).sum::<usize>();
        let (mut features, mut variables, mut grids) = (Vec::new(), Vec::new(), Vec::new());
        let mut used = 0;
        for (place, variable) in ensemble.columns.iter().enumerate() {
            let mut add = |step: Step, is_feature: bool| {
                let first = next;
                next += step.results();
                encoding.steps.push(step);
                if is_feature {
                    features.extend(first..next);
                }
                first
            };
            let slot = slots[place];
            let (grid, flags) = match &variable.kind {
                VariableKind::Number { missing } => {
                    let mut grid = ensemble.thresholds(place);
                    used += grid.len();
                    grid.extend(decoys.get(place).into_iter().flatten());
                    sort(&mut grid);
                    if grid.is_empty() {
                        variables.push(ForestVariable { cuts: 0, flags: 0 });
                        grids.push(grid);
                        continue;
                    }
                    let slot = match missing {
                        Missing::Filled(value) => add(
                            Step::Impute {
                                of: [slot].into_iter().collect(),
                                values: vec![*value],
                            },
                            false,
                        ),
                        Missing::Own | Missing::Refused => slot,
                    };
                    let own = *missing == Missing::Own;
                    add(
                        Step::Thermometer {
                            of: slot as u32,
                            edges: grid.clone(),
                            missing: own,
                        },
                        true,
                    );
                    if own {
                        add(
                            Step::Missing {
                                of: [slot].into_iter().collect(),
                            },
                            true,
                        );
                        used += 1;
                    }
                    (grid, usize::from(own))
                }
                VariableKind::Category { categories } => {
                    used += categories.len();
                    let (known, missing) = known(categories);
                    if !known.is_empty() {
                        let one_hot = Step::OneHot {
                            of: slot as u32,
                            categories: Categories::Numbers(known),
                            unknown: Unknown::Value(0.0),
                        };
                        add(one_hot, true);
                    }
                    if missing {
                        let of = [slot].into_iter().collect();
                        add(Step::Missing { of }, true);
                    }
                    (Vec::new(), categories.len())
                }
            };
            variables.push(ForestVariable {
                cuts: grid.len(),
                flags,
            });
            grids.push(grid);
        }
        let count = features.len();
        if !FEATURES.contains(&count) || next > MOST_SLOTS {
            return Err(ImportError::Options(format!(
                "its trees use {count} thresholds and categories, and at most {} are served: fit it with fewer bins (max_bin of XGBoost and \
                 LightGBM, border_count of CatBoost), fewer trees, or rounded numbers; or take --structure public",
                FEATURES.end()
            )));
        }
        encoding.features = features.into_iter().collect();
        let trees = ensemble
            .trees
            .iter()
            .map(|tree| over_bits(tree, &ensemble.columns, &grids));
        let forest = Forest::new(variables, trees.collect(), ensemble.base.clone());
        Ok(Self {
            encoding,
            forest: forest
                .map_err(|error| ImportError::Graph(format!("the trees can't be served: {error}")))?,
            grid: [used, count],
        })
    }
}

/// Returns the categories that are numbers, and whether a missing one is the last.
pub(super) fn known(categories: &[f64]) -> (Vec<f64>, bool) {
    match categories.split_last() {
        Some((last, known)) if last.is_nan() => (known.to_vec(), true),
        _ => (categories.to_vec(), false),
    }
}

/// Sorts numbers and leaves out those that occur again.
fn sort(numbers: &mut Vec<f64>) {
    numbers.sort_by(f64::total_cmp);
    numbers.dedup();
}

impl Ensemble {
    /// Returns the thresholds that trees compare a variable with, rising.
    pub(crate) fn thresholds(&self, variable: usize) -> Vec<f64> {
        let nodes = self.trees.iter().flat_map(|tree| &tree.nodes);
        let thresholds = nodes.filter_map(|node| match node {
            TreeNode::Split {
                variable: found,
                test: Test::AtMost { threshold, .. },
                ..
            } if *found == variable => Some(*threshold),
            _ => None,
        });
        // Both zeros are the same threshold.
        let mut thresholds: Vec<f64> = thresholds.map(|threshold| threshold + 0.0).collect();
        sort(&mut thresholds);
        thresholds
    }
}

/// Returns a tree whose decisions are about bits.
fn over_bits(tree: &Tree, columns: &[Variable], grids: &[Vec<f64>]) -> ForestTree {
    let node = |node: &TreeNode| match node {
        TreeNode::Leaf(numbers) => ForestNode::Leaf(numbers.clone()),
        TreeNode::Split {
            variable,
            test,
            branches: [held, not],
        } => {
            let (cut, flags, branches) = match test {
                Test::AtMost { threshold, missing } => {
                    let below = grids[*variable].partition_point(|edge| edge < threshold);
                    let own = matches!(
                        columns[*variable].kind,
                        VariableKind::Number {
                            missing: Missing::Own
                        }
                    );
                    let flags = if own && !missing { vec![0] } else { Vec::new() };
                    (below + 1, flags, [*held, *not])
                }
                Test::Among(set) => (grids[*variable].len() + 1, set.clone(), [*not, *held]),
            };
            ForestNode::Split {
                variable: *variable,
                cut,
                flags,
                branches,
            }
        }
    };
    ForestTree {
        nodes: tree.nodes.iter().map(node).collect(),
        output: tree.output,
    }
}
