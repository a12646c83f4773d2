//! Symbolic values of classifiers that decide between each pair of classes (one against one).

use super::linear::Linear;
use blindscore_protocol::descriptor::{Link, pairs, pairs_of};
use std::rc::Rc;

/// Largest difference between sums of the same numbers in another order, as a share of the sum of
/// their magnitudes.
const ALIKE: f64 = 1e-12;

/// Scores of pairs of classes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pairs {
    /// One score for each pair, in the order of [`pairs`]: positive for the second class.
    pub(super) linear: Rc<Linear>,
    /// Number of classes.
    pub(super) classes: usize,
    /// [`Link::Votes`] or [`Link::OneVsOne`], by what decides between equally many votes.
    pub(super) link: Link,
    /// Names of the classes, if an operator gave them.
    pub(super) names: Option<Vec<String>>,
}

impl Pairs {
    /// Returns an upper bound of the size in memory, in bytes.
    pub(super) fn size(&self) -> usize {
        let names = self.names.iter().flatten();
        self.linear.size() + names.map(|name| size_of::<String>() + name.len()).sum::<usize>()
    }
}

/// Sums of pairs' votes: for each column, multiples of whether scores are positive, and a constant.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PairVotes {
    /// Scores of pairs.
    pub(super) linear: Rc<Linear>,
    /// Factor of each score's vote, and the constant, by column.
    pub(super) columns: Vec<(Vec<f64>, f64)>,
}

impl PairVotes {
    /// Returns the votes of some scores, each in a column of its own; `None` if there is no such
    /// score.
    pub(super) fn of(linear: &Rc<Linear>, places: &[usize]) -> Option<Self> {
        let count = linear.len();
        let column = |&place: &usize| {
            let mut factors = vec![0.0; count];
            *factors.get_mut(place)? = 1.0;
            Some((factors, 0.0))
        };
        Some(Self {
            linear: linear.clone(),
            columns: places.iter().map(column).collect::<Option<_>>()?,
        })
    }

    /// Returns each column times a factor, plus a constant.
    pub(super) fn moved(mut self, factor: f64, offset: f64) -> Self {
        for (factors, constant) in &mut self.columns {
            factors.iter_mut().for_each(|number| *number *= factor);
            *constant = *constant * factor + offset;
        }
        self
    }

    /// Returns some of the columns.
    pub(super) fn select(&self, places: &[usize]) -> Option<Self> {
        let columns = places.iter().map(|&place| self.columns.get(place).cloned());
        Some(Self {
            linear: self.linear.clone(),
            columns: columns.collect::<Option<_>>()?,
        })
    }

    /// Returns the sums of the columns of several, or their columns side by side.
    pub(super) fn joined(several: &[&Self], beside: bool) -> Option<Self> {
        let (first, rest) = several.split_first()?;
        let mut joined = (*first).clone();
        for other in rest {
            if !Rc::ptr_eq(&other.linear, &first.linear) && other.linear != first.linear {
                return None;
            }
            if beside {
                joined.columns.extend(other.columns.iter().cloned());
                continue;
            }
            if other.columns.len() != joined.columns.len() {
                return None;
            }
            for ((factors, constant), (more, offset)) in joined.columns.iter_mut().zip(&other.columns) {
                factors
                    .iter_mut()
                    .zip(more)
                    .for_each(|(sum, number)| *sum += number);
                *constant += offset;
            }
        }
        Some(joined)
    }

    /// Returns the pairs whose votes for each class these are, if `sums` are the sums of each
    /// class's scores.
    pub(super) fn decide(&self, sums: &Linear) -> Option<Pairs> {
        let classes = self.columns.len();
        let count = self.linear.len();
        if classes < 3 || pairs_of(classes) != Some(count) || sums.len() != classes {
            return None;
        }
        let mut columns = vec![(vec![0.0; count], 0.0); classes];
        let mut weights = vec![vec![0.0; count]; classes];
        for (place, (first, second)) in pairs(classes).enumerate() {
            columns[first].0[place] = -1.0;
            columns[first].1 += 1.0;
            columns[second].0[place] = 1.0;
            weights[first][place] = -1.0;
            weights[second][place] = 1.0;
        }
        (self.columns == columns && are_sums(&self.linear, &weights, sums)).then(|| Pairs {
            linear: self.linear.clone(),
            classes,
            link: Link::OneVsOne,
            names: None,
        })
    }

    /// Returns an upper bound of the size in memory, in bytes.
    pub(super) fn size(&self) -> usize {
        let columns = self
            .columns
            .iter()
            .map(|(factors, _)| size_of_val(&**factors) + 32);
        self.linear.size() + columns.sum::<usize>()
    }
}

/// Returns whether `sums` are these weighted sums of the scores, up to rounding.
fn are_sums(scores: &Linear, weights: &[Vec<f64>], sums: &Linear) -> bool {
    let zeros = vec![0.0; weights.len()];
    let magnitudes: Vec<Vec<f64>> = weights
        .iter()
        .map(|row| row.iter().map(|weight| weight.abs()).collect())
        .collect();
    let (expected, most) = (
        scores.then(weights, &zeros),
        scores.magnitudes().then(&magnitudes, &zeros),
    );
    let slots: Vec<usize> = {
        let mut slots = [scores.support(), sums.support()].concat();
        slots.sort_unstable();
        slots.dedup();
        slots
    };
    let close = |((a, b), most): ((&f64, &f64), &f64)| (a - b).abs() <= ALIKE * most;
    let intercepts = expected
        .intercept
        .iter()
        .zip(&sums.intercept)
        .zip(&most.intercept);
    let rows = expected
        .weights_of(&slots)
        .into_iter()
        .zip(sums.weights_of(&slots));
    intercepts.into_iter().all(close)
        && rows
            .zip(most.weights_of(&slots))
            .all(|((one, other), most)| one.iter().zip(&other).zip(&most).all(close))
}
