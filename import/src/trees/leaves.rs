//! The public structure: clients walk the trees, and the server adds up the leaves.

use super::{
    bits::known,
    ensemble::{Ensemble, Missing, Test, Tree, TreeNode, VariableKind},
};
use crate::{Fitted, ImportError, bounds::MOST_SLOTS};
use blindscore_protocol::{
    descriptor::FEATURES,
    encoding::{Branch, Categories, Decision, Encoding, Step, Unknown},
};
use std::collections::HashMap;

impl Ensemble {
    /// Returns the linear model of one-hot leaves: the weights are what the leaves hold.
    ///
    /// # Errors
    /// If there are more leaves than a query can hold.
    pub(crate) fn leaves(&self) -> Result<Fitted, ImportError> {
        let (encoding, slots) = self.public_part();
        let mut walks = Walks::new(self, encoding, slots);
        let mut features = Vec::new();
        let scores = self.base.len();
        let (mut coef, mut intercept) = (vec![Vec::new(); scores], self.base.clone());
        for tree in &self.trees {
            let leaves = tree.leaves();
            let add = |coef: &mut Vec<Vec<f64>>, numbers: &[f64]| {
                for (score, row) in coef.iter_mut().enumerate() {
                    row.push(number(tree, numbers, score));
                }
            };
            match leaves.as_slice() {
                // A tree that decides nothing.
                [only] => {
                    for (score, intercept) in intercept.iter_mut().enumerate() {
                        *intercept += number(tree, only, score);
                    }
                }
                several => {
                    let first = walks.tree(tree)?;
                    features.extend(first..first + several.len());
                    several.iter().for_each(|numbers| add(&mut coef, numbers));
                }
            }
        }
        let count = features.len();
        if !FEATURES.contains(&count) {
            return Err(ImportError::Options(format!(
                "its trees have {count} leaves, and --structure public serves at most {}: fit fewer trees or smaller ones, or take --structure \
                 private",
                FEATURES.end()
            )));
        }
        let mut encoding = walks.encoding;
        encoding.features = features.into_iter().collect();
        Ok(self.linear(encoding, coef, intercept))
    }
}

/// Returns what a leaf adds to a score.
fn number(tree: &Tree, numbers: &[f64], score: usize) -> f64 {
    match tree.output {
        Some(output) if output == score => numbers[0],
        Some(_) => 0.0,
        None => numbers[score],
    }
}

/// Steps of an encoding that is being built.
struct Walks<'e> {
    ensemble: &'e Ensemble,
    encoding: Encoding,
    slots: Vec<usize>,
    next: usize,
    /// Slot of the number that decisions about a variable read.
    numbers: HashMap<usize, usize>,
    /// Slot of whether a variable's category is in a set.
    sets: HashMap<(usize, Vec<usize>), usize>,
}

impl<'e> Walks<'e> {
    fn new(ensemble: &'e Ensemble, encoding: Encoding, slots: Vec<usize>) -> Self {
        let results = encoding.steps.iter().map(Step::results);
        Self {
            next: encoding.columns.len() + results.sum::<usize>(),
            ensemble,
            encoding,
            slots,
            numbers: HashMap::new(),
            sets: HashMap::new(),
        }
    }

    fn step(&mut self, step: Step) -> usize {
        let first = self.next;
        self.next += step.results();
        self.encoding.steps.push(step);
        first
    }

    /// Appends the step of a tree, and returns the slot of its first leaf.
    fn tree(&mut self, tree: &Tree) -> Result<usize, ImportError> {
        // Positions of the nodes among decisions and among leaves.
        let (mut decisions, mut leaves) = (0, 0);
        let places = tree.nodes.iter().map(|node| match node {
            TreeNode::Split { .. } => {
                decisions += 1;
                Branch::Decision(decisions - 1)
            }
            TreeNode::Leaf(_) => {
                leaves += 1;
                Branch::Leaf(leaves - 1)
            }
        });
        let places: Vec<Branch> = places.collect();
        let mut found = Vec::new();
        for node in &tree.nodes {
            if let TreeNode::Split {
                variable,
                test,
                branches,
            } = node
            {
                let [held, not] = branches.map(|branch| places[branch]);
                found.push(match test {
                    Test::AtMost { threshold, missing } => Decision {
                        of: self.number(*variable) as u32,
                        threshold: *threshold,
                        branches: [held, not],
                        missing: !missing,
                    },
                    // 1 if the category is in the set.
                    Test::Among(set) => Decision {
                        of: self.set(*variable, set) as u32,
                        threshold: 0.5,
                        branches: [not, held],
                        missing: false,
                    },
                });
            }
        }
        let first = self.step(Step::Leaves { decisions: found });
        if self.next > MOST_SLOTS {
            return Err(ImportError::Options(format!(
                "its trees have more than {MOST_SLOTS} leaves; fit fewer trees or smaller ones"
            )));
        }
        Ok(first)
    }

    /// Returns the slot of a variable's number: filled in, or refused if it is missing, as the
    /// variable says.
    fn number(&mut self, variable: usize) -> usize {
        if let Some(slot) = self.numbers.get(&variable) {
            return *slot;
        }
        let of = [self.slots[variable]].into_iter().collect();
        let slot = match &self.ensemble.columns[variable].kind {
            VariableKind::Number {
                missing: Missing::Filled(value),
            } => self.step(Step::Impute {
                of,
                values: vec![*value],
            }),
            // A step that gives nothing for a missing number, so that clients refuse it.
            VariableKind::Number {
                missing: Missing::Refused,
            } => self.step(Step::Affine {
                of,
                scale: vec![1.0],
                offset: vec![0.0],
            }),
            VariableKind::Number {
                missing: Missing::Own,
            }
            | VariableKind::Category { .. } => self.slots[variable],
        };
        self.numbers.insert(variable, slot);
        slot
    }

    fn set(&mut self, variable: usize, set: &[usize]) -> usize {
        let key = (variable, set.to_vec());
        if let Some(slot) = self.sets.get(&key) {
            return *slot;
        }
        let categories = match &self.ensemble.columns[variable].kind {
            VariableKind::Category { categories } => categories.clone(),
            VariableKind::Number { .. } => Vec::new(),
        };
        let is_in = |place: usize| f64::from(u8::from(set.binary_search(&place).is_ok()));
        let (known, missing) = known(&categories);
        let of = self.slots[variable];
        let missing = missing && set.binary_search(&known.len()).is_ok();
        let looked_up = (!known.is_empty()).then(|| {
            self.step(Step::Lookup {
                of: of as u32,
                values: (0..known.len()).map(is_in).collect(),
                categories: Categories::Numbers(known),
                unknown: Unknown::Value(0.0),
            })
        });
        let is_missing = (missing || looked_up.is_none()).then(|| {
            self.step(Step::Missing {
                of: [of].into_iter().collect(),
            })
        });
        let slot = match (looked_up, is_missing) {
            (Some(looked_up), Some(missing)) => self.step(Step::Sums {
                of: [looked_up, missing].into_iter().collect(),
                weights: vec![vec![1.0, 1.0]],
                offset: vec![0.0],
            }),
            // A set of a missing category alone, or without it.
            (looked_up, is_missing) => looked_up.or(is_missing).unwrap_or(of),
        };
        self.sets.insert(key, slot);
        slot
    }
}
