//! Weights and intercepts, with a scaler folded in.

use super::value::{Columns, Scaling};

/// Standard deviations from the mean that a range from a StandardScaler reaches.
const DEVIATIONS: f64 = 5.0;

/// A linear map of the features.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Linear {
    /// One row for each output, one weight for each feature.
    pub(super) coef: Vec<Vec<f64>>,
    /// One for each output.
    pub(super) intercept: Vec<f64>,
    /// The features as they came in.
    columns: Columns,
}

impl Linear {
    /// `weights` (one row for each output, one weight for each column) times the columns, plus `intercept`.
    pub(super) fn new(columns: &Columns, weights: &[Vec<f64>], intercept: &[f64]) -> Self {
        let features = columns
            .columns
            .iter()
            .map(|column| column.feature + 1)
            .max()
            .unwrap_or(0);
        let fold = |row: &Vec<f64>| {
            let mut folded = vec![0.0; features];
            for (weight, column) in row.iter().zip(&columns.columns) {
                folded[column.feature] += weight * column.scale;
            }
            folded
        };
        let shift = |row: &Vec<f64>| {
            row.iter()
                .zip(&columns.columns)
                .map(|(w, column)| w * column.offset)
                .sum::<f64>()
        };
        Self {
            coef: weights.iter().map(fold).collect(),
            intercept: weights
                .iter()
                .zip(intercept)
                .map(|(row, intercept)| intercept + shift(row))
                .collect(),
            columns: columns.clone(),
        }
    }

    /// The same with `offsets` added to the scores.
    pub(super) fn shifted(mut self, offsets: &[f64]) -> Self {
        for (intercept, offset) in self.intercept.iter_mut().zip(offsets) {
            *intercept += offset;
        }
        self
    }

    /// The rows of several maps of the same features, one after the other.
    pub(super) fn stacked(parts: &[Self]) -> Option<Self> {
        let (first, rest) = parts.split_first()?;
        let mut whole = first.clone();
        for part in rest {
            if part.columns != first.columns {
                return None;
            }
            whole.coef.extend(part.coef.iter().cloned());
            whole.intercept.extend(&part.intercept);
        }
        Some(whole)
    }

    /// One row that decides between two classes, from two rows of which the first is the second one's opposite.
    pub(super) fn halved(&self) -> Option<Self> {
        let [negative, positive] = self.coef.as_slice() else {
            return None;
        };
        let opposite = |a: f64, b: f64| (a + b).abs() <= 1e-6 * a.abs().max(b.abs());
        let is_opposite = negative.iter().zip(positive).all(|(a, b)| opposite(*a, *b))
            && opposite(self.intercept[0], self.intercept[1]);
        is_opposite.then(|| Self {
            coef: vec![positive.clone()],
            intercept: vec![self.intercept[1]],
            columns: self.columns.clone(),
        })
    }

    /// The range of each of `count` features that its scaler implies: five standard deviations to both sides of the mean, or what is mapped to 0
    /// and 1. None if one of them was not scaled, or not used.
    pub(super) fn ranges(&self, count: usize) -> Option<Vec<(f64, f64)>> {
        let mut ranges = vec![None; count];
        for column in &self.columns.columns {
            let (low, high) = match column.scaling {
                Scaling::None => return None,
                Scaling::Standard => (-DEVIATIONS, DEVIATIONS),
                Scaling::Unit => (0.0, 1.0),
            };
            // A constant column may have been scaled by zero: then its value doesn't matter.
            let ends = [low, high].map(|end| {
                if column.scale == 0.0 {
                    end
                } else {
                    (end - column.offset) / column.scale
                }
            });
            *ranges.get_mut(column.feature)? = Some((ends[0].min(ends[1]), ends[0].max(ends[1])));
        }
        ranges.into_iter().collect()
    }
}
