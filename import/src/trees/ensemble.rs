//! A fitted ensemble of decision trees, as its own library scores it.

use crate::{Answer, Calibration, Fitted};
use blindscore_client::Encoder;
use blindscore_protocol::{
    descriptor::{Link, Task},
    encoding::{Column, ColumnKind, Encoding, Slots, Step},
};

/// A fitted ensemble of decision trees and the other content of its file.
///
/// Each raw score is its base plus the sum of one leaf of each tree; the link turns raw scores into
/// probabilities or values.
#[derive(Clone, Debug, PartialEq)]
pub struct Ensemble {
    /// Public part in front of the trees, whose features are the [`columns`](Self::columns), if the
    /// columns are not the record itself.
    pub encoding: Option<Encoding>,
    /// What the trees decide about.
    pub columns: Vec<Variable>,
    /// The trees, in the file's order.
    pub trees: Vec<Tree>,
    /// Base of each raw score.
    pub base: Vec<f64>,
    /// Link function from raw scores to probabilities or values.
    pub link: Link,
    /// Purpose of the scores.
    pub task: Task,
    /// One label per raw score, if the file has them.
    pub labels: Option<Vec<String>>,
    /// The two classes that a single raw score decides between.
    pub classes: Option<Vec<String>>,
    /// Names of columns that the file knows but does not use.
    pub unused: Vec<String>,
    /// Meaning of each output of the file's graph, if it is one, in the graph's order.
    pub answers: Vec<Answer>,
}

/// A column of what the trees decide about.
#[derive(Clone, Debug, PartialEq)]
pub struct Variable {
    /// Name of the column, if the file has names: all columns have one, or none.
    pub name: Option<String>,
    /// Whether numbers are rounded to single precision first.
    pub single: bool,
    /// Kind of its values, and what becomes of missing ones.
    pub kind: VariableKind,
}

/// Kind of a variable's values.
#[derive(Clone, Debug, PartialEq)]
pub enum VariableKind {
    /// A number, which trees compare with thresholds.
    Number {
        /// What becomes of a missing number.
        missing: Missing,
    },
    /// One of several categories, which trees look up in sets.
    Category {
        /// Categories by their number in sets, as whole numbers, rising; the last may be NaN, which
        /// a missing one is. One that isn't among them is in no set.
        categories: Vec<f64>,
    },
}

/// What becomes of a missing number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Missing {
    /// The row is refused.
    Refused,
    /// The number is taken instead.
    Filled(f64),
    /// Each decision says which branch it takes.
    Own,
}

/// A tree: its nodes, the root first, every branch after the node that it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    /// Nodes.
    pub nodes: Vec<TreeNode>,
    /// Raw score that the tree belongs to; `None` if its leaves have a number for each.
    pub output: Option<usize>,
}

/// A node of a tree.
#[derive(Clone, Debug, PartialEq)]
pub enum TreeNode {
    /// A decision.
    Split {
        /// Variable that it is about.
        variable: usize,
        /// When the first branch is taken.
        test: Test,
        /// Nodes of the branches: if the test holds, and otherwise.
        branches: [usize; 2],
    },
    /// A leaf: one number, or one for each raw score.
    Leaf(Vec<f64>),
}

/// A decision about a variable.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// Whether the number is at most the threshold. A library that tests `x < t` has the next
    /// number below `t`, in the precision of the column.
    AtMost {
        /// Threshold.
        threshold: f64,
        /// Whether the test holds for a missing number ([`Missing::Own`]).
        missing: bool,
    },
    /// Whether the category is one of these, by its position among the variable's categories,
    /// rising.
    Among(Vec<usize>),
}

impl Ensemble {
    /// Returns the raw scores of a row: one number for each variable, NaN for a missing one.
    ///
    /// The trees must have been checked: variables, branches and outputs are there.
    pub fn raw_scores(&self, row: &[f64]) -> Vec<f64> {
        let mut scores = self.base.clone();
        for tree in &self.trees {
            let leaf = tree.leaf(&self.columns, row);
            match tree.output {
                Some(output) => scores[output] += leaf[0],
                None => scores
                    .iter_mut()
                    .zip(leaf)
                    .for_each(|(score, part)| *score += part),
            }
        }
        scores
    }
}

impl Tree {
    /// Returns what the leaves hold, in the order of the nodes.
    pub(crate) fn leaves(&self) -> Vec<&[f64]> {
        let nodes = self.nodes.iter();
        let leaves = nodes.filter_map(|node| match node {
            TreeNode::Leaf(numbers) => Some(numbers.as_slice()),
            TreeNode::Split { .. } => None,
        });
        leaves.collect()
    }

    /// Returns the number of decisions on the longest path.
    fn depth(&self) -> usize {
        let mut depths = vec![0; self.nodes.len()];
        for (place, node) in self.nodes.iter().enumerate() {
            if let TreeNode::Split { branches, .. } = node {
                for branch in branches {
                    depths[*branch] = depths[place] + 1;
                }
            }
        }
        depths.into_iter().max().unwrap_or(0)
    }

    /// Returns the leaf of a row.
    pub fn leaf(&self, columns: &[Variable], row: &[f64]) -> &[f64] {
        let mut place = 0;
        loop {
            match &self.nodes[place] {
                TreeNode::Leaf(numbers) => return numbers,
                TreeNode::Split {
                    variable,
                    test,
                    branches: [held, not],
                } => {
                    let holds = test.holds(&columns[*variable], row[*variable]);
                    place = if holds { *held } else { *not };
                }
            }
        }
    }
}

impl Test {
    /// Returns whether the test holds for a value of the variable.
    fn holds(&self, variable: &Variable, value: f64) -> bool {
        let value = if variable.single {
            f64::from(value as f32)
        } else {
            value
        };
        match (self, &variable.kind) {
            (Self::AtMost { threshold, missing }, VariableKind::Number { missing: rule }) => {
                match (value.is_nan(), rule) {
                    (false, _) => value <= *threshold,
                    (true, Missing::Filled(filled)) => filled <= threshold,
                    (true, Missing::Own) => *missing,
                    (true, Missing::Refused) => false,
                }
            }
            (Self::Among(set), VariableKind::Category { categories }) => {
                let place = if value.is_nan() {
                    let last = categories.len().checked_sub(1);
                    last.filter(|last| categories[*last].is_nan())
                } else {
                    // Zero has two signs.
                    let value = value + 0.0;
                    categories
                        .binary_search_by(|category| category.total_cmp(&value))
                        .ok()
                };
                place.is_some_and(|place| set.binary_search(&place).is_ok())
            }
            // The readers give tests that fit their variables.
            _ => false,
        }
    }
}

impl Ensemble {
    /// Returns the encoding in front of the trees, and the slot of each variable. Without one, the
    /// variables are the record's columns. Those that no tree uses stay, so that records are those
    /// of the original.
    pub(crate) fn public_part(&self) -> (Encoding, Vec<usize>) {
        if let Some(encoding) = &self.encoding {
            return (encoding.clone(), encoding.features.iter().collect());
        }
        let column = |variable: &Variable| Column {
            name: variable.name.clone(),
            kind: ColumnKind::Number,
            single: variable.single,
        };
        let encoding = Encoding {
            columns: self.columns.iter().map(column).collect(),
            steps: Vec::new(),
            features: Slots::default(),
        };
        (encoding, (0..self.columns.len()).collect())
    }

    /// Returns for each variable whether a tree decides about it.
    fn used(&self) -> Vec<bool> {
        let mut used = vec![false; self.columns.len()];
        for node in self.trees.iter().flat_map(|tree| &tree.nodes) {
            if let TreeNode::Split { variable, .. } = node {
                used[*variable] = true;
            }
        }
        used
    }

    /// Returns the numbers of the variables for each record, NaN for missing ones.
    pub(crate) fn inputs(&self, data: &Calibration) -> Vec<Vec<f64>> {
        let (mut encoding, slots) = self.public_part();
        let first = encoding.columns.len() + encoding.steps.iter().map(Step::results).sum::<usize>();
        let (count, of): (usize, Slots) = (slots.len(), slots.into_iter().collect());
        // A feature can't be missing: one more says whether it is.
        encoding.steps.push(Step::Missing { of: of.clone() });
        encoding.steps.push(Step::Impute {
            of,
            values: vec![0.0; count],
        });
        encoding.features = (first..first + 2 * count).collect();
        let encoder = Encoder::of(&encoding);
        let row = |row: usize| {
            // Records that were read have features.
            let features = encoder.encode(&data.record(row)).ok();
            let features = features.as_ref().map_or(&[][..], |features| features.as_slice());
            let (missing, numbers) = features.split_at(count.min(features.len()));
            let number = |(number, missing): (&f64, &f64)| if *missing == 1.0 { f64::NAN } else { *number };
            numbers.iter().zip(missing).map(number).collect()
        };
        (0..data.rows().len()).map(row).collect()
    }

    /// Returns whether a tree compares a variable with a threshold.
    pub(crate) fn compares(&self, variable: usize) -> bool {
        matches!(self.columns[variable].kind, VariableKind::Number { .. }) && self.used()[variable]
    }

    /// Returns the number of trees, of their leaves, and of decisions on the longest path.
    pub(crate) fn size(&self) -> [usize; 3] {
        let leaves = self.trees.iter().map(|tree| tree.leaves().len()).sum();
        let depth = self.trees.iter().map(Tree::depth).max().unwrap_or(0);
        [self.trees.len(), leaves, depth]
    }

    /// Returns a linear model of bits that an encoding gives, with the links and names of the
    /// trees.
    pub(crate) fn linear(&self, encoding: Encoding, coef: Vec<Vec<f64>>, intercept: Vec<f64>) -> Fitted {
        let mut fitted = Fitted::new(self.link, coef, intercept);
        fitted.features = encoding
            .columns
            .iter()
            .map(|column| column.name.clone())
            .collect();
        fitted.intervals = vec![(0.0, 1.0); encoding.features.len()];
        fitted.ranges = Some(fitted.intervals.clone());
        fitted.encoding = Some(encoding);
        fitted.unused = self.unused.clone();
        fitted.labels = self.labels.clone();
        fitted.classes = self.classes.clone();
        fitted.task = Some(self.task);
        fitted
    }
}
