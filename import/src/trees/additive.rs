//! Ensembles of trees that decide once: linear models of the bits, exact and fast, which tell no
//! more than the grid of thresholds does.

use super::{Bits, Ensemble};
use crate::Fitted;
use blindscore_engine::forest::{ForestNode, ForestTree};

impl Bits {
    /// Returns the linear model, if no tree decides more than once.
    pub(crate) fn additive(&self, ensemble: &Ensemble) -> Option<Fitted> {
        let is_stump = |tree: &ForestTree| tree.nodes.len() <= 3;
        if !self.forest.trees().iter().all(is_stump) {
            return None;
        }
        let (count, scores) = (self.forest.bits(), self.forest.bases().len());
        let (mut coef, mut intercept) = (vec![vec![0.0; count]; scores], self.forest.bases().to_vec());
        for tree in self.forest.trees() {
            let number = |place: usize, score: usize| match (&tree.nodes[place], tree.output) {
                (ForestNode::Leaf(numbers), None) => numbers[score],
                (ForestNode::Leaf(numbers), Some(output)) if output == score => numbers[0],
                _ => 0.0,
            };
            match &tree.nodes[0] {
                ForestNode::Leaf(_) => {
                    for (score, intercept) in intercept.iter_mut().enumerate() {
                        *intercept += number(0, score);
                    }
                }
                ForestNode::Split {
                    variable,
                    cut,
                    flags,
                    branches: [first, second],
                } => {
                    let variables = self.forest.variables();
                    let start: usize = variables[..*variable]
                        .iter()
                        .map(|variable| variable.bits())
                        .sum();
                    let cuts = variables[*variable].cuts;
                    let cut = (*cut <= cuts).then(|| start + cut - 1);
                    let bits = cut
                        .into_iter()
                        .chain(flags.iter().map(|flag| start + cuts + flag));
                    for score in 0..scores {
                        intercept[score] += number(*first, score);
                        let step = number(*second, score) - number(*first, score);
                        bits.clone().for_each(|bit| coef[score][bit] += step);
                    }
                }
            }
        }
        Some(ensemble.linear(self.encoding.clone(), coef, intercept))
    }
}
