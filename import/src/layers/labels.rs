//! Finds the label under encryption, so that no score leaves the server.
//!
//! Each pair of scores is compared: a unit looks up the sign of their difference. A class that wins
//! all of its comparisons is the label. A second unit for each class looks up whether the sum of
//! its signs says so, and what it gives is a bit. Between two classes there is one comparison, of
//! the only score with zero, and one bit. The second unit also makes a bit of a difference that is
//! so small that the rotations of the first one disagree.

use super::rewrite::{Form, Rewritten};
use blindscore_engine::{
    bits::BIT,
    layers::IntegerUnit,
    model::{LAYERS, bounds},
};
use blindscore_protocol::descriptor::Inputs;

/// Most classes. With more, the sums of signs would be too close beside the noise of a rotation:
/// with so many, the nearest one is seven standard deviations away from the threshold.
pub(crate) const MOST_CLASSES: usize = 12;
/// Largest difference before it wraps around, over the largest one on the calibration rows, where
/// it isn't known for all rows.
const HEADROOM: f64 = 1.5;
/// The same, where it is known. What is left on both sides is nine standard deviations of a single
/// rotation.
const ROUNDING: f64 = 1.06;
/// Largest difference of all rows, over that of the calibration rows, for which a network's
/// comparison takes the former.
const MOST_WIDE: f64 = 2.5;
/// How far the threshold of a bit is below the middle between a class that wins and the next best
/// one, as a part of the torus: more than two standard deviations of the sum of signs. If the
/// rotations of a comparison disagree evenly, both have the sum in the middle, and both bits are
/// set. Clients then take the first one, so that a larger distance would favour the first of two
/// classes for more rows.
const TIE: f64 = 1.0 / 176.0;
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
    /// Difference that the torus stands for: twice the largest one, and a little more.
    pub(crate) period: f64,
    /// Whether no valid row has a larger one.
    pub(crate) certain: bool,
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
            let values = form.values(rows, &rewritten.units).into_iter();
            let seen = values.map(f64::abs).fold(0.0, f64::max);
            let (low, high) = bounds(inputs, &form.features, form.offset);
            let tables = form.tables.iter().zip(&rewritten.units);
            let tables: f64 = tables
                .map(|(weight, unit)| weight.abs() * unit.table.largest())
                .sum();
            let bound = high.max(-low) + tables;
            comparison((one, other), bound, seen, form)
        };
        pairs(scores.len()).map(of).collect()
    }
}

/// Returns the comparison of a pair of scores. No row has a larger difference than `bound`, and no
/// calibration row one than `seen`.
pub(super) fn comparison(
    (one, other): (usize, Option<usize>),
    bound: f64,
    seen: f64,
    form: Form,
) -> Comparison {
    let is_linear = form.tables.iter().all(|weight| *weight == 0.0);
    let certain = is_linear || bound <= MOST_WIDE * seen;
    let largest = if certain {
        ROUNDING * bound
    } else {
        HEADROOM * seen
    };
    Comparison {
        one,
        other,
        form,
        // Scores that don't vary still need a range.
        period: 2.0 * largest.max(f64::MIN_POSITIVE),
        certain,
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
    vec![entry(1.0 / (period(classes) * repeats as f64)); LAYERS.polynomial_size.0]
}

/// Returns what makes up for reading a comparison's rotations half a step before or after the
/// middle: the first, third and so on before it, the others after it.
pub(super) fn half_step(repeats: usize) -> f64 {
    let more = repeats % 2;
    0.5 * more as f64 / repeats.max(1) as f64 / (2 * LAYERS.polynomial_size.0) as f64
}

/// Returns the sum of signs that the torus stands for. Less the middle between a class that wins
/// all comparisons and the next best one, a sum lies between 1, that of the former, and
/// `3 - 2 * classes`, that of one that loses all.
fn period(classes: usize) -> f64 {
    4.0 * (classes.max(2) - 1) as f64
}

/// Returns the unit for a class that looks up whether it wins all comparisons. They start at unit
/// `first`, with these numbers of rotations.
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
        // One slot of each rotation: that is enough of so large a sign.
        let weight = *repeats as i32;
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
        (classes as f64 - 2.0) / period(classes) - TIE
    };
    IntegerUnit {
        layer,
        features: Vec::new(),
        units,
        offset: (-threshold * 2f64.powi(64)) as i64 as u64,
        repeats: 1,
        table: vec![entry(BIT); LAYERS.polynomial_size.0],
    }
}

/// Returns the entry of a table that stands for a part of the torus.
pub(super) fn entry(part: f64) -> i32 {
    (part * TABLE).round() as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use blindscore_protocol::noise::NetworkNoise;

    #[test]
    fn each_pair_is_compared_once() {
        let all = |scores| pairs(scores).collect::<Vec<_>>();
        assert_eq!(all(1), [(0, None)]);
        assert_eq!(all(2), [(0, Some(1))]);
        assert_eq!(all(3), [(0, Some(1)), (0, Some(2)), (1, Some(2))]);
        assert_eq!(all(MOST_CLASSES).len(), 66);
    }

    #[test]
    fn the_largest_difference_is_far_from_the_end_of_the_range() {
        // A rotation of several has up to sqrt(2) times the error of a single one.
        let switch = 2.0 * NetworkNoise::modulus_switch(&LAYERS);
        let noise = (switch + NetworkNoise::input_rerandomisation(&LAYERS)).sqrt();
        assert!(0.5 - 0.5 / ROUNDING > 9.0 * noise, "{noise}");
    }

    #[test]
    fn sums_of_signs_are_far_from_the_threshold() {
        for classes in 2..=MOST_CLASSES {
            for repeats in [1, 8, 64] {
                let switch = NetworkNoise::modulus_switch(&LAYERS) + NetworkNoise::key_switch(&LAYERS);
                let signs = NetworkNoise::reads(&LAYERS, repeats as f64, repeats as f64);
                let noise =
                    switch + NetworkNoise::input_rerandomisation(&LAYERS) + (classes - 1) as f64 * signs;
                let nearest = 1.0 / period(classes) - TIE;
                assert!(
                    nearest > 7.0 * noise.sqrt(),
                    "{classes}, {repeats}: {nearest}, {}",
                    noise.sqrt()
                );
                // Of a class that ties with the winner, the bit is set.
                assert!(TIE > 2.0 * noise.sqrt(), "{classes}, {repeats}: {}", noise.sqrt());
                // The sum of a class that loses all doesn't wrap around.
                let least = (3.0 - 2.0 * classes as f64) / period(classes) + TIE;
                assert!(least - 7.0 * noise.sqrt() > -0.5, "{classes}: {least}");
            }
        }
    }
}
