//! Networks with hidden layers, in floating point.

pub(crate) mod choose;
pub(crate) mod curve;
pub(crate) mod forest;
mod integers;
mod judge;
pub(crate) mod labels;
#[cfg(test)]
mod measured;
mod numbers;
mod rewrite;
mod rounded;
mod rounding;
mod table;
mod weighing;

use crate::Fitted;
pub(crate) use curve::Curve;

/// Torus elements of the whole torus.
const TORUS: f64 = 18_446_744_073_709_551_616.0;
/// Largest weight in a network of integers.
const MOST_WEIGHT: f64 = (1u64 << 30) as f64;

/// A network with hidden units, as fitted, in floating point.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FloatNetwork {
    /// The public part, ranges, names, labels, link and answers. `coef` has one row per output and
    /// one weight per feature (zeros if the outputs read hidden units only), `intercept` one offset
    /// per output.
    pub(crate) fitted: Fitted,
    /// Hidden units, those of earlier layers first.
    pub(crate) units: Vec<HiddenUnit>,
    /// For each output, one weight per hidden unit.
    pub(crate) outputs: Vec<Vec<f64>>,
}

/// A hidden unit: a function of a weighted sum of features and of units of earlier layers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HiddenUnit {
    /// Layer, from 0: one more than the largest of the units that it reads.
    pub(crate) layer: usize,
    /// One weight per feature; empty if it reads none.
    pub(crate) features: Vec<f64>,
    /// Units that it reads, by index, and their weights. All are of earlier layers.
    pub(crate) units: Vec<(usize, f64)>,
    /// Summand of the weighted sum.
    pub(crate) offset: f64,
    /// Function of the sum.
    pub(crate) curve: Curve,
}

impl FloatNetwork {
    /// Returns a linear model as a network without hidden units.
    pub(crate) fn linear(fitted: Fitted) -> Self {
        Self {
            units: Vec::new(),
            outputs: vec![Vec::new(); fitted.coef.len()],
            fitted,
        }
    }

    /// Returns the scores of one row of features, computed in the clear.
    pub(crate) fn scores(&self, features: &[f64]) -> Vec<f64> {
        let (_, values) = self.activations(features);
        let rows = self.fitted.coef.iter().zip(&self.fitted.intercept);
        rows.zip(&self.outputs)
            .map(|((coef, intercept), weights)| intercept + dot(coef, features) + dot(weights, &values))
            .collect()
    }

    /// Returns the weighted sums of all hidden units for one row of features, and the units'
    /// values.
    pub(crate) fn activations(&self, features: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let mut sums = Vec::with_capacity(self.units.len());
        let mut values: Vec<f64> = Vec::with_capacity(self.units.len());
        for unit in &self.units {
            let read = unit.units.iter();
            let read: f64 = read.map(|&(index, weight)| weight * values[index]).sum();
            let sum = unit.offset + dot(&unit.features, features) + read;
            sums.push(sum);
            values.push(unit.curve.value(sum));
        }
        (sums, values)
    }
}

fn dot(weights: &[f64], numbers: &[f64]) -> f64 {
    weights
        .iter()
        .zip(numbers)
        .map(|(weight, number)| weight * number)
        .sum()
}
