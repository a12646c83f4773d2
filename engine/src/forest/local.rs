//! Variables as one tree tells them apart.

use super::{ForestNode, ForestTree, ForestVariable};
use std::collections::BTreeMap;

/// A variable within one tree: only the cuts and flags that the tree tells apart.
pub(super) struct Local {
    pub(super) variable: usize,
    /// First bit of the variable.
    pub(super) start: usize,
    /// Number of the variable's cuts.
    pub(super) all_cuts: usize,
    /// Cuts that the tree uses, rising.
    pub(super) cuts: Vec<usize>,
    /// Flags that the tree uses, in groups that it never tells apart.
    pub(super) groups: Vec<Vec<usize>>,
}

impl Local {
    /// Returns the variables of a tree.
    pub(super) fn of(variables: &[ForestVariable], starts: &[usize], tree: &ForestTree) -> Vec<Self> {
        let mut uses: BTreeMap<usize, Vec<(usize, &[usize])>> = BTreeMap::new();
        for node in &tree.nodes {
            if let ForestNode::Split {
                variable, cut, flags, ..
            } = node
            {
                uses.entry(*variable).or_default().push((*cut, flags));
            }
        }
        let local = uses.into_iter().map(|(variable, splits)| {
            let all_cuts = variables[variable].cuts;
            let cuts = splits.iter().map(|(cut, _)| *cut);
            let mut cuts: Vec<usize> = cuts.filter(|cut| *cut <= all_cuts).collect();
            cuts.sort_unstable();
            cuts.dedup();
            let mut signatures: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
            for (split, (_, flags)) in splits.iter().enumerate() {
                for flag in *flags {
                    signatures.entry(*flag).or_default().push(split);
                }
            }
            let mut groups: BTreeMap<Vec<usize>, Vec<usize>> = BTreeMap::new();
            for (flag, signature) in signatures {
                groups.entry(signature).or_default().push(flag);
            }
            Self {
                variable,
                start: starts[variable],
                all_cuts,
                cuts,
                groups: groups.into_values().collect(),
            }
        });
        local.collect()
    }

    /// Returns the number of positions: between cuts, and the groups of flags.
    pub(super) fn positions(&self) -> usize {
        self.cuts.len() + 1 + self.groups.len()
    }

    /// Returns whether each position takes the second branch of a decision.
    pub(super) fn second(&self, cut: usize, flags: &[usize]) -> Vec<bool> {
        let passed = self.cuts.iter().map(|own| *own >= cut);
        let grouped = self
            .groups
            .iter()
            .map(|group| flags.binary_search(&group[0]).is_ok());
        [false].into_iter().chain(passed).chain(grouped).collect()
    }

    /// Appends the weights of the bits that give each position its digit, but for that of the
    /// lowest position, which is returned.
    pub(super) fn weights(&self, digits: &[i64], weights: &mut Vec<(usize, i64)>) -> i64 {
        let (ordered, grouped) = digits.split_at(self.cuts.len() + 1);
        for (pair, cut) in ordered.windows(2).zip(&self.cuts) {
            if pair[0] != pair[1] {
                weights.push((self.start + cut - 1, pair[1] - pair[0]));
            }
        }
        for (digit, group) in grouped.iter().zip(&self.groups) {
            if *digit != ordered[0] {
                let flags = group.iter().map(|flag| self.start + self.all_cuts + flag);
                weights.extend(flags.map(|bit| (bit, digit - ordered[0])));
            }
        }
        ordered[0]
    }
}
