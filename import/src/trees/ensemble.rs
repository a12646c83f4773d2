//! A fitted ensemble of decision trees, as its own library scores it.

use blindscore_protocol::{
    descriptor::{Link, Task},
    encoding::Encoding,
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
        /// Categories by their number in sets, as whole numbers, rising; the last may be NaN, which a
        /// missing one is. One that isn't among them is in no set.
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
    /// Whether the number is at most the threshold. A library that tests `x < t` has the next number
    /// below `t`, in the precision of the column.
    AtMost {
        /// Threshold.
        threshold: f64,
        /// Whether the test holds for a missing number ([`Missing::Own`]).
        missing: bool,
    },
    /// Whether the category is one of these, by its position among the variable's categories, rising.
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
