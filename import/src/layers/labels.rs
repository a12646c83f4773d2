//! Finds the label under encryption, so that no score leaves the server.
//!
//! Each pair of scores is compared: a unit looks up the sign of their difference. A class that wins all of
//! its comparisons is the label. A second unit for each class looks up whether the sum of its signs says so,
//! and what it gives is a bit. Between two classes there is one comparison, of the only score with zero, and
//! one bit. The second unit also makes a bit of a difference that is so small that the rotations of the first
//! one disagree.

use super::rewrite::{Form, Rewritten};
use blindscore_engine::{
    layers::{BIT, IntegerUnit, SLOTS},
    model::{LAYERS, bounds},
};
use blindscore_protocol::descriptor::Inputs;

/// Most classes: a comparison for each pair of them takes a rotation at least.
pub(crate) const MOST_CLASSES: usize = 16;
/// Largest difference that doesn't come back in at the other end, over the largest one on the calibration
/// rows, where it isn't known for all rows.
const HEADROOM: f64 = 1.5;
/// The same, where it is known: for rounding.
const ROUNDING: f64 = 1.01;
/// How far the threshold of a bit is below the middle between a class that wins and the next best one. If
/// the rotations of a comparison disagree evenly, both have the sum in the middle, and both bits are set.
const TIE: f64 = 0.25;
/// Values of a table of the whole torus.
const TABLE: f64 = 4_294_967_296.0;

/// A comparison of two scores, or of one with zero.
#[derive(Clone, Debug)]
pub(crate) struct Comparison {
    /// Score that wins if the difference is positive.
    pub(crate) one: usize,
    /// Score that wins otherwise.
    pub(crate) other: Option<usize>,
    /// The difference.
    pub(crate) form: Form,
    /// Difference that the torus stands for: twice the largest one.
    pub(crate) period: f64,
}

impl Comparison {
    /// Returns a comparison for each pair of scores, or of the only score with zero.
    pub(crate) fn all(rewritten: &Rewritten, inputs: &Inputs, rows: &[&[f64]]) -> Vec<Self> {
        let scores = &rewritten.outputs;
        let of = |(one, other): (usize, Option<usize>)| {
            let mut form = scores[one].clone();
            if let Some(other) = other {
                form.add(&scores[other], -1.0);
            }
            let largest = if form.tables.iter().all(|weight| *weight == 0.0) {
                let (low, high) = bounds(inputs, &form.features, form.offset);
                ROUNDING * high.max(-low)
            } else {
                let values = form.values(rows, &rewritten.units).into_iter();
                HEADROOM * values.map(f64::abs).fold(0.0, f64::max)
            };
            Self {
                one,
                other,
                form,
                // Scores that don't vary still need a range.
                period: 2.0 * largest.max(f64::MIN_POSITIVE),
            }
        };
        pairs(scores.len()).map(of).collect()
    }
}

/// Returns the pairs of scores to be compared.
pub(crate) fn pairs(scores: usize) -> impl Iterator<Item = (usize, Option<usize>)> {
    let only = (scores == 1).then_some((0, None));
    let each = (0..scores).flat_map(move |one| (one + 1..scores).map(move |other| (one, Some(other))));
    only.into_iter().chain(each)
}

/// Returns the table of a comparison: its sign, in a size that fits the sum for a class.
pub(super) fn sign(classes: usize, repeats: usize) -> Vec<i32> {
    vec![entry(1.0 / (period(classes) * (SLOTS * repeats) as f64)); LAYERS.polynomial_size.0]
}

/// Returns the sum of signs that the torus stands for. A sum lies between that of a class that wins all
/// comparisons, less the threshold, 1, and that of one that loses all, `3 - 2 * classes`.
fn period(classes: usize) -> f64 {
    4.0 * (classes.max(2) - 1) as f64
}

/// Returns the unit for a class that looks up whether it wins all comparisons. They start at unit `first`,
/// with these numbers of rotations.
pub(super) fn bit(
    class: usize,
    classes: usize,
    comparisons: &[Comparison],
    repeats: &[usize],
    layer: usize,
    first: usize,
) -> IntegerUnit {
    let mut units = vec![0i32; first];
    units.extend(comparisons.iter().zip(repeats).map(|(comparison, repeats)| {
        // All slots of all rotations once.
        let weight = (SLOTS * repeats) as i32;
        match (comparison.one == class, comparison.other == Some(class)) {
            (true, _) => weight,
            (_, true) => -weight,
            _ => 0,
        }
    }));
    // Between the sum of a class that wins all, and that of the next best one.
    let threshold = if classes == 1 {
        0.0
    } else {
        classes as f64 - 2.0 - TIE
    };
    IntegerUnit {
        layer,
        features: Vec::new(),
        units,
        offset: (-threshold / period(classes) * 2f64.powi(64)) as i64 as u64,
        repeats: 1,
        table: vec![entry(BIT); LAYERS.polynomial_size.0],
    }
}

fn entry(part: f64) -> i32 {
    (part * TABLE).round() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pair_is_compared_once() {
        let all = |scores| pairs(scores).collect::<Vec<_>>();
        assert_eq!(all(1), [(0, None)]);
        assert_eq!(all(2), [(0, Some(1))]);
        assert_eq!(all(3), [(0, Some(1)), (0, Some(2)), (1, Some(2))]);
        assert_eq!(all(MOST_CLASSES).len(), 120);
    }
}
