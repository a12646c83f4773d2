//! What an ensemble must be, so that it can be scored.

use super::{Ensemble, MOST_NODES, MOST_TREES, Test, Tree, TreeNode, VariableKind};
use crate::ImportError;
use blindscore_protocol::descriptor::{FEATURES, OUTPUTS};

impl Ensemble {
    /// Checks that every row has scores: that branches lead on, tests fit their variables, and
    /// numbers are finite.
    ///
    /// # Errors
    /// Names what is wrong.
    pub fn check(&self) -> Result<(), ImportError> {
        let refuse = |words: String| Err(ImportError::Graph(format!("the trees can't be served: {words}")));
        if !FEATURES.contains(&self.columns.len()) {
            return refuse(format!(
                "they decide about {} columns; {} to {} are allowed",
                self.columns.len(),
                FEATURES.start(),
                FEATURES.end()
            ));
        }
        if !OUTPUTS.contains(&self.base.len()) || !self.base.iter().all(|base| base.is_finite()) {
            return refuse(format!(
                "they have {} scores, or a base that is not finite; 1 to {} scores are allowed",
                self.base.len(),
                OUTPUTS.end()
            ));
        }
        if self.trees.is_empty() || self.trees.len() > MOST_TREES {
            return refuse(format!(
                "there are {} of them; 1 to {MOST_TREES} are allowed: fit fewer",
                self.trees.len()
            ));
        }
        let nodes: usize = self.trees.iter().map(|tree| tree.nodes.len()).sum();
        if nodes > MOST_NODES {
            return refuse(format!(
                "they have {nodes} nodes; at most {MOST_NODES} are allowed: fit fewer or smaller trees"
            ));
        }
        if self
            .encoding
            .as_ref()
            .is_some_and(|encoding| encoding.features.len() != self.columns.len())
        {
            return refuse("their public part has another number of columns".into());
        }
        if self.trees.iter().all(|tree| tree.nodes.len() < 2) {
            return refuse("none of them decides about anything".into());
        }
        let is_rising = |kind: &VariableKind| match kind {
            VariableKind::Number { .. } => true,
            VariableKind::Category { categories } => {
                categories.is_sorted_by(|one, other| one.total_cmp(other).is_lt())
            }
        };
        if !self.columns.iter().all(|column| is_rising(&column.kind)) {
            return refuse("the categories of a column don't rise".into());
        }
        match self.trees.iter().find_map(|tree| self.problem(tree)) {
            None => Ok(()),
            Some(problem) => refuse(problem.into()),
        }
    }

    /// Returns what is wrong with a tree.
    fn problem(&self, tree: &Tree) -> Option<&'static str> {
        let width = match tree.output {
            None => self.base.len(),
            Some(output) if output < self.base.len() => 1,
            Some(_) => return Some("one belongs to no score"),
        };
        let mut reached = vec![false; tree.nodes.len()];
        match reached.first_mut() {
            // No branch leads to the root.
            Some(root) => *root = true,
            None => return Some("one has no node"),
        }
        for (place, node) in tree.nodes.iter().enumerate() {
            match node {
                TreeNode::Leaf(numbers) => {
                    if numbers.len() != width || !numbers.iter().all(|number| number.is_finite()) {
                        return Some("a leaf has another number of scores, or one that is not finite");
                    }
                }
                TreeNode::Split {
                    variable,
                    test,
                    branches,
                } => {
                    for &branch in branches {
                        match reached.get_mut(branch) {
                            Some(reached) if branch > place && !*reached => *reached = true,
                            _ => return Some("a branch leads back, to no node, or where another one leads"),
                        }
                    }
                    if !self.fits(*variable, test) {
                        return Some("a decision doesn't fit its column");
                    }
                }
            }
        }
        (!reached.iter().all(|reached| *reached)).then_some("a node is reached by no branch")
    }

    /// Returns whether a test is one of a variable.
    fn fits(&self, variable: usize, test: &Test) -> bool {
        match (self.columns.get(variable).map(|column| &column.kind), test) {
            (Some(VariableKind::Number { .. }), Test::AtMost { threshold, .. }) => threshold.is_finite(),
            (Some(VariableKind::Category { categories }), Test::Among(set)) => {
                set.is_sorted_by(|one, other| one < other)
                    && set.last().is_none_or(|last| *last < categories.len())
            }
            _ => false,
        }
    }
}
