//! Decision trees over bits, in the clear.

/// What trees decide about: a number on a grid of thresholds, or a category.
///
/// A variable has one bit for each threshold ("cut"), in rising order, of which the first few are
/// 1, and then one for each other value ("flag"), such as a category or a missing number, of which
/// at most one is 1; then all cuts are 0. It is therefore in one of `cuts + 1 + flags` *positions*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForestVariable {
    /// Number of thresholds.
    pub cuts: usize,
    /// Number of other values.
    pub flags: usize,
}

impl ForestVariable {
    /// Returns the number of bits.
    pub const fn bits(&self) -> usize {
        self.cuts + self.flags
    }

    /// Returns the position that the bits are in.
    fn position(&self, bits: &[i64]) -> usize {
        let (cuts, flags) = bits.split_at(self.cuts);
        match flags.iter().position(|bit| *bit != 0) {
            Some(flag) => self.cuts + 1 + flag,
            None => cuts.iter().filter(|bit| **bit != 0).count(),
        }
    }
}

/// A tree: its nodes, the root first, every branch after the node that it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct ForestTree {
    /// Nodes.
    pub nodes: Vec<ForestNode>,
    /// Score that the tree belongs to; `None` if its leaves have a number for each.
    pub output: Option<usize>,
}

/// A node of a tree.
#[derive(Clone, Debug, PartialEq)]
pub enum ForestNode {
    /// A decision. The second branch is taken if at least `cut` cuts are 1, or one of the flags is.
    Split {
        /// Variable that it is about.
        variable: usize,
        /// From 1; the number of cuts plus 1 for a decision about flags alone.
        cut: usize,
        /// Flags of the second branch, rising.
        flags: Vec<usize>,
        /// Nodes of the branches.
        branches: [usize; 2],
    },
    /// A leaf: one number, or one for each score.
    Leaf(Vec<f64>),
}

/// An ensemble of trees. Each score is its base plus the sum of one leaf of each tree.
#[derive(Clone, Debug, PartialEq)]
pub struct Forest {
    variables: Vec<ForestVariable>,
    trees: Vec<ForestTree>,
    bases: Vec<f64>,
}

/// Why an ensemble of trees can't be scored.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ForestError {
    /// A tree is malformed.
    #[error("tree {tree}: {problem}")]
    Tree {
        /// Position of the tree, from 0.
        tree: usize,
        /// Description of the problem.
        problem: &'static str,
    },
    /// There are too many or too few of something.
    #[error("it has {found} {what}; {allowed} are allowed")]
    Count {
        /// Kind of part.
        what: &'static str,
        /// Number of parts.
        found: usize,
        /// Allowed numbers, in words.
        allowed: &'static str,
    },
    /// A leaf depends on more than one blind rotation can tell.
    #[error("tree {tree} decides about {variables} variables on the way to a leaf, which is more than a blind rotation can hold: fit trees of at most {} levels", super::LEVELS - 1)]
    Path {
        /// Position of the tree, from 0.
        tree: usize,
        /// Number of variables on the path.
        variables: usize,
    },
    /// The scores are all the same.
    #[error("its scores never change: no tree decides anything")]
    Constant,
}

/// Longest path from a root to a leaf.
const MOST_DEPTH: usize = 200;

impl Forest {
    /// Checks an ensemble: branches form trees, and variables, cuts, flags and outputs are there.
    ///
    /// # Errors
    /// If something isn't. The error names the tree.
    pub fn new(
        variables: Vec<ForestVariable>,
        trees: Vec<ForestTree>,
        bases: Vec<f64>,
    ) -> Result<Self, ForestError> {
        let count = |what, found: usize, allowed: bool, words| {
            if allowed {
                Ok(())
            } else {
                Err(ForestError::Count {
                    what,
                    found,
                    allowed: words,
                })
            }
        };
        count("trees", trees.len(), !trees.is_empty(), "1 or more")?;
        count("scores", bases.len(), !bases.is_empty(), "1 or more")?;
        let forest = Self {
            variables,
            trees,
            bases,
        };
        for (place, tree) in forest.trees.iter().enumerate() {
            if let Some(problem) = forest.problem(tree) {
                return Err(ForestError::Tree { tree: place, problem });
            }
        }
        if forest.bases.iter().any(|base| !base.is_finite()) {
            return Err(ForestError::Tree {
                tree: 0,
                problem: "has a base that is no finite number",
            });
        }
        Ok(forest)
    }

    fn problem(&self, tree: &ForestTree) -> Option<&'static str> {
        let width = if tree.output.is_some() {
            1
        } else {
            self.bases.len()
        };
        if tree.output.is_some_and(|output| output >= self.bases.len()) {
            return Some("belongs to a score that is not there");
        }
        if tree.nodes.is_empty() {
            return Some("has no nodes");
        }
        // Depth of each node that a branch leads to.
        let mut depths = vec![None; tree.nodes.len()];
        depths[0] = Some(0);
        for (place, node) in tree.nodes.iter().enumerate() {
            let Some(depth) = depths[place] else {
                return Some("has a node that no branch leads to");
            };
            match node {
                ForestNode::Leaf(numbers) if numbers.len() != width => {
                    return Some("has a leaf with another number of scores");
                }
                ForestNode::Leaf(numbers) if numbers.iter().any(|number| !number.is_finite()) => {
                    return Some("has a leaf that is no finite number");
                }
                ForestNode::Leaf(_) => {}
                ForestNode::Split {
                    variable,
                    cut,
                    flags,
                    branches,
                } => {
                    let Some(variable) = self.variables.get(*variable) else {
                        return Some("decides about a variable that is not there");
                    };
                    let rising = flags.windows(2).all(|pair| pair[0] < pair[1]);
                    if !(1..=variable.cuts + 1).contains(cut)
                        || !rising
                        || flags.last().is_some_and(|flag| *flag >= variable.flags)
                    {
                        return Some("decides by a cut or flag that is not there");
                    }
                    if depth == MOST_DEPTH {
                        return Some("is deeper than 200 levels");
                    }
                    for &branch in branches {
                        match depths.get_mut(branch) {
                            Some(next @ None) if branch > place => *next = Some(depth + 1),
                            _ => return Some("has a branch to no node of its own"),
                        }
                    }
                }
            }
        }
        None
    }

    /// Returns the variables.
    pub fn variables(&self) -> &[ForestVariable] {
        &self.variables
    }

    /// Returns the trees.
    pub fn trees(&self) -> &[ForestTree] {
        &self.trees
    }

    /// Returns the base of each score.
    pub fn bases(&self) -> &[f64] {
        &self.bases
    }

    /// Returns the number of bits.
    pub fn bits(&self) -> usize {
        self.variables.iter().map(ForestVariable::bits).sum()
    }

    /// Returns the number of leaves.
    pub fn leaves(&self) -> usize {
        let leaves = |tree: &ForestTree| {
            let nodes = tree.nodes.iter();
            nodes.filter(|node| matches!(node, ForestNode::Leaf(_))).count()
        };
        self.trees.iter().map(leaves).sum()
    }

    /// Evaluates the trees on bits.
    pub fn scores(&self, bits: &[i64]) -> Vec<f64> {
        let mut rest = bits;
        let position = |variable: &ForestVariable| {
            let (own, others) = rest.split_at(variable.bits());
            rest = others;
            variable.position(own)
        };
        let positions: Vec<usize> = self.variables.iter().map(position).collect();
        let mut scores = self.bases.clone();
        for tree in &self.trees {
            let leaf = self.leaf(tree, &positions);
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

    /// Returns the leaf of a tree for the variables' positions.
    fn leaf<'t>(&self, tree: &'t ForestTree, positions: &[usize]) -> &'t [f64] {
        let mut place = 0;
        loop {
            match &tree.nodes[place] {
                ForestNode::Leaf(numbers) => return numbers,
                ForestNode::Split {
                    variable,
                    cut,
                    flags,
                    branches,
                } => {
                    let (position, cuts) = (positions[*variable], self.variables[*variable].cuts);
                    let second = match position.checked_sub(cuts + 1) {
                        Some(flag) => flags.binary_search(&flag).is_ok(),
                        None => position >= *cut,
                    };
                    place = branches[usize::from(second)];
                }
            }
        }
    }
}
