//! Trees without what never matters.

use super::{ForestNode, ForestTree, local::Local};
use std::collections::BTreeMap;

/// Positions that lead to a node, for each variable of its tree.
pub(super) type Region = Vec<Vec<bool>>;

/// A tree without branches that no row takes, and without decisions between equal leaves.
pub(super) enum Pruned {
    Leaf(Vec<f64>),
    Split {
        /// Position of the variable among the tree's.
        local: usize,
        second: Vec<bool>,
        branches: Box<[Pruned; 2]>,
        leaves: usize,
    },
}

impl Pruned {
    /// Prunes the tree below a node.
    pub(super) fn of(tree: &ForestTree, local: &[Local], place: usize, region: Region) -> Self {
        match &tree.nodes[place] {
            ForestNode::Leaf(numbers) => Self::Leaf(numbers.clone()),
            ForestNode::Split {
                variable,
                cut,
                flags,
                branches,
            } => {
                let own = local.partition_point(|local| local.variable < *variable);
                let second = local[own].second(*cut, flags);
                match within(&region, own, &second) {
                    [Some(first), Some(other)] => {
                        let [one, two] = [
                            Self::of(tree, local, branches[0], first),
                            Self::of(tree, local, branches[1], other),
                        ];
                        match (&one, &two) {
                            (Self::Leaf(a), Self::Leaf(b)) if a == b => one,
                            _ => Self::Split {
                                local: own,
                                second,
                                leaves: one.leaves() + two.leaves(),
                                branches: Box::new([one, two]),
                            },
                        }
                    }
                    [Some(first), None] => Self::of(tree, local, branches[0], first),
                    [None, other] => Self::of(tree, local, branches[1], other.unwrap_or(region)),
                }
            }
        }
    }

    pub(super) fn leaves(&self) -> usize {
        match self {
            Self::Leaf(_) => 1,
            Self::Split { leaves, .. } => *leaves,
        }
    }

    /// Calls `visit` with every leaf.
    pub(super) fn visit(&self, visit: &mut impl FnMut(&[f64])) {
        match self {
            Self::Leaf(numbers) => visit(numbers),
            Self::Split { branches, .. } => branches.iter().for_each(|branch| branch.visit(visit)),
        }
    }

    /// Returns the leaf for one position of each variable.
    pub(super) fn leaf(&self, positions: &[usize]) -> &[f64] {
        match self {
            Self::Leaf(numbers) => numbers,
            Self::Split {
                local,
                second,
                branches,
                ..
            } => branches[usize::from(second[positions[*local]])].leaf(positions),
        }
    }

    /// Appends the decisions about each variable.
    pub(super) fn splits<'t>(&'t self, found: &mut BTreeMap<usize, Vec<&'t [bool]>>) {
        if let Self::Split {
            local,
            second,
            branches,
            ..
        } = self
        {
            found.entry(*local).or_default().push(second);
            branches.iter().for_each(|branch| branch.splits(found));
        }
    }
}

/// Returns the parts of a region on both sides of a decision, those that aren't empty.
pub(super) fn within(region: &Region, own: usize, second: &[bool]) -> [Option<Region>; 2] {
    [false, true].map(|side| {
        let kept = region[own].iter().zip(second);
        let kept: Vec<bool> = kept.map(|(inside, second)| *inside && *second == side).collect();
        kept.contains(&true).then(|| {
            let mut part = region.clone();
            part[own] = kept;
            part
        })
    })
}
