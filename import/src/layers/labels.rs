//! Finds the label under encryption, so that no score leaves the server.
//!
//! Each pair of scores is compared: a unit looks up the sign of their difference. A class that wins
//! all of its comparisons is the label. A unit for each class looks up whether the sum of its signs
//! says so, and what it gives is a bit. Between two classes there is one comparison, of the only
//! score with zero, and one bit.
//!
//! If a comparison is rotated several times, the errors of its modulus switches cancel out in the
//! mean of the phases, but not in the signs: of two opposite errors that are larger than the
//! difference, one always gives the wrong sign. So what is looked up then is a ramp, which is
//! linear around zero. The sum of ramps is that of the mean phase, and another unit looks up its
//! sign.

use super::{
    TORUS,
    rewrite::{Form, Rewritten},
};
use blindscore_engine::{
    bits::BIT,
    layers::IntegerUnit,
    model::{LAYERS, bounds},
};
use blindscore_protocol::{descriptor::Inputs, noise::NetworkNoise};

/// Most classes. With more, the sums of signs would be too close beside the noise of a rotation:
/// with so many, the nearest one is ten standard deviations away from the threshold.
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
/// Steps of a table from zero to the end of a ramp. Of several rotations, each has an error of up
/// to 5.9 steps, `sqrt(2)` times that of a single modulus switch, and what is beyond the end of the
/// ramp doesn't cancel out.
const RAMP: usize = 16;
/// A sign of several rotations, as a part of the torus.
const SIGN: f64 = 0.25;
/// Values of a table of the whole torus.
const TABLE: f64 = 4_294_967_296.0;
/// A step of a table, as a part of the torus.
const STEP: f64 = 0.5 / LAYERS.polynomial_size.0 as f64;

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

/// The sign of a phase, looked up by a number of rotations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sign {
    repeats: usize,
}

impl Sign {
    /// Returns the sign that so many rotations look up.
    pub(crate) fn new(repeats: usize) -> Self {
        Self { repeats }
    }

    /// Returns whether the sum of what is looked up is a ramp, of which the sign is looked up next.
    fn is_ramp(self) -> bool {
        self.repeats > 1
    }

    /// Returns the table, whose sum over all rotations is `whole` except on a ramp. Tables change
    /// their sign after half of the torus, so that a ramp comes back at the end.
    fn table(self, whole: f64) -> Vec<i32> {
        let size = LAYERS.polynomial_size.0;
        let part = |place: usize| {
            if self.is_ramp() {
                ((0.5 + place.min(size - 1 - place) as f64) / RAMP as f64).min(1.0)
            } else {
                1.0
            }
        };
        let each = whole / self.repeats as f64;
        (0..size).map(|place| entry(each * part(place))).collect()
    }

    /// Returns what makes up for reading the rotations half a step before or after the middle, as a
    /// part of the torus: the first, third and so on before it, the others after it.
    pub(super) fn offset(self) -> f64 {
        let more = self.repeats % 2;
        0.5 * more as f64 / self.repeats.max(1) as f64 * STEP
    }

    /// Returns the variance of the phase at which the sign changes, as a part of the torus squared,
    /// as far as it is the comparison's own: what is left of its modulus switches, and what looks
    /// up the sign of a ramp.
    pub(super) fn noise(self) -> f64 {
        let repeats = self.repeats as f64;
        let switches = NetworkNoise::modulus_switch(&LAYERS) / repeats.powi(2);
        if self.is_ramp() {
            let by_phase = SIGN / (RAMP as f64 * STEP);
            switches + sum_noise(repeats) / by_phase.powi(2)
        } else {
            switches
        }
    }
}

/// Returns the variance of a sum of so many reads as a unit looks it up, as a part of the torus
/// squared.
fn sum_noise(reads: f64) -> f64 {
    NetworkNoise::reads(&LAYERS, reads, reads)
        + NetworkNoise::key_switch(&LAYERS)
        + NetworkNoise::input_rerandomisation(&LAYERS)
        + NetworkNoise::modulus_switch(&LAYERS)
}

/// The phase of a comparison, as an integer sum.
pub(super) struct Phase {
    /// One weight per feature, or none.
    pub(super) features: Vec<i64>,
    /// One weight per unit, or none.
    pub(super) units: Vec<i32>,
    /// Summand.
    pub(super) offset: u64,
    /// Number of rotations.
    pub(super) repeats: usize,
}

/// Adds units that compare scores by these phases, one for each of the comparisons and in their
/// order, and units that find the label. Returns the weights of all units for each class's bit.
pub(super) fn find(
    units: &mut Vec<IntegerUnit>,
    classes: usize,
    comparisons: &[Comparison],
    phases: Vec<Phase>,
) -> Vec<Vec<i32>> {
    // Of each comparison, the unit whose sum is its sign, and the weight with which one slot of
    // each of its rotations is read: that is enough of so large a sign.
    let mut signs: Vec<(usize, i32)> = Vec::with_capacity(phases.len());
    let layer = next_layer(units);
    for phase in phases {
        let sign = Sign::new(phase.repeats);
        signs.push((units.len(), phase.repeats as i32));
        units.push(IntegerUnit {
            layer,
            features: phase.features,
            units: phase.units,
            offset: phase.offset.wrapping_add(on_torus(sign.offset())),
            repeats: phase.repeats,
            table: sign.table(if sign.is_ramp() { SIGN } else { of_sum(classes) }),
        });
    }
    // A single bit is the sign of the only comparison.
    if classes > 1 {
        let (layer, count) = (next_layer(units), units.len());
        for (unit, weight) in &mut signs {
            if *weight > 1 {
                let table = Sign::new(1).table(of_sum(classes));
                units.push(looked_up(layer, count, &[(*unit, *weight)], 0.0, table));
                (*unit, *weight) = (units.len() - 1, 1);
            }
        }
    }
    let (layer, count) = (next_layer(units), units.len());
    for class in 0..classes {
        let each = comparisons.iter().zip(&signs);
        let sum: Vec<(usize, i32)> = each
            .filter_map(|(comparison, &(unit, weight))| {
                match (comparison.one == class, comparison.other == Some(class)) {
                    (true, _) => Some((unit, weight)),
                    (_, true) => Some((unit, -weight)),
                    _ => None,
                }
            })
            .collect();
        let table = vec![entry(BIT); LAYERS.polynomial_size.0];
        units.push(looked_up(layer, count, &sum, -threshold(classes), table));
    }
    let alone = |class| {
        (0..units.len())
            .map(|unit| i32::from(unit == count + class))
            .collect()
    };
    (0..classes).map(alone).collect()
}

/// Returns a unit that looks up a sum of the first `count` units, and a summand, in one rotation.
fn looked_up(layer: usize, count: usize, sum: &[(usize, i32)], summand: f64, table: Vec<i32>) -> IntegerUnit {
    let mut units = vec![0i32; count];
    for &(unit, weight) in sum {
        units[unit] = weight;
    }
    IntegerUnit {
        layer,
        features: Vec::new(),
        units,
        offset: on_torus(summand + Sign::new(1).offset()),
        repeats: 1,
        table,
    }
}

fn next_layer(units: &[IntegerUnit]) -> usize {
    units.last().map_or(0, |unit| unit.layer + 1)
}

/// Returns a sign in the sum for a bit, as a part of the torus. Less the middle between a class
/// that wins all comparisons and the next best one, a sum lies between 1 sign, that of the former,
/// and `3 - 2 * classes`, that of one that loses all. Twice as many fit.
fn of_sum(classes: usize) -> f64 {
    0.25 / (classes.max(2) - 1) as f64
}

/// Returns the middle between the sum of a class that wins all comparisons and that of the next
/// best one, as a part of the torus.
fn threshold(classes: usize) -> f64 {
    (classes.max(2) - 2) as f64 * of_sum(classes)
}

fn on_torus(part: f64) -> u64 {
    (part * TORUS) as i64 as u64
}

/// Returns the entry of a table that stands for a part of the torus.
pub(super) fn entry(part: f64) -> i32 {
    (part * TABLE).round() as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use blindscore_engine::layers::{IntegerLayers, PlainLayers};

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
        let left = 0.5 - 0.5 / ROUNDING;
        assert!(left > 9.0 * noise, "{noise}");
        // Nor is it on the ramp that comes back there.
        assert!(left > RAMP as f64 * STEP + 6.5 * noise, "{noise}");
    }

    #[test]
    fn a_ramp_is_odd_and_a_single_rotation_has_none() {
        let size = LAYERS.polynomial_size.0;
        assert_eq!(Sign::new(1).table(0.125), vec![entry(0.125); size]);
        for repeats in [2, 7, 64] {
            let table = Sign::new(repeats).table(SIGN);
            // With a sign that changes after half of the torus.
            let mirrored: Vec<i32> = table.iter().rev().copied().collect();
            assert_eq!(table, mirrored);
            let each = SIGN / repeats as f64;
            assert_eq!(table[RAMP..size - RAMP], vec![entry(each); size - 2 * RAMP]);
            for (place, value) in table[..RAMP].iter().enumerate() {
                assert_eq!(*value, entry(each * (place as f64 + 0.5) / RAMP as f64));
            }
        }
    }

    /// Returns units that find the label of `scores`, of which each comparison is a feature, and
    /// the weights of its bits.
    fn found(classes: usize, repeats: impl Fn(usize) -> usize) -> IntegerLayers {
        let form = Form {
            features: Vec::new(),
            tables: Vec::new(),
            offset: 0.0,
        };
        let comparisons: Vec<Comparison> = pairs(classes)
            .map(|pair| comparison(pair, 1.0, 1.0, form.clone()))
            .collect();
        let features = comparisons.len();
        let phase = |place: usize| Phase {
            features: (0..features).map(|feature| i64::from(feature == place)).collect(),
            units: Vec::new(),
            offset: 0,
            repeats: repeats(place),
        };
        let mut units = Vec::new();
        let outputs = find(
            &mut units,
            classes,
            &comparisons,
            (0..features).map(phase).collect(),
        );
        IntegerLayers {
            features,
            input_step: 1 << 40,
            biases: vec![0; outputs.len()],
            units,
            outputs,
        }
    }

    /// Levels of a feature that are a step of a table.
    const LEVELS: i64 = (STEP * 16_777_216.0) as i64;

    #[test]
    fn the_sign_changes_where_the_difference_is_zero() {
        for repeats in [1, 2, 3, 8, 64] {
            let network = found(1, |_| repeats);
            let clear = PlainLayers::new(&network);
            // What the bit looks up.
            let sum = |level: i64| clear.phases(&[level])[1] - Sign::new(1).offset();
            assert!(sum(0).abs() < 1e-8, "{repeats}: {}", sum(0));
            let near = LEVELS / 64;
            assert!(sum(near) > 1e-6 && sum(-near) < -1e-6, "{repeats}: {}", sum(near));
        }
    }

    #[test]
    fn the_bit_of_the_largest_score_is_set_whatever_the_numbers_of_rotations() {
        for classes in [1, 2, 3, 5, MOST_CLASSES] {
            for repeats in [|_: usize| 1, |_| 4, |place: usize| 1 + place % 4] {
                let network = found(classes, repeats);
                assert_eq!(network.check(&LAYERS), Ok(()));
                let clear = PlainLayers::new(&network);
                for row in 0..40i64 {
                    // Differences of a step at least, where ramps are steep, and of many.
                    let size = if row % 2 == 0 { 2 } else { 80 };
                    let score = |class: usize| {
                        let steps = (row * 37 + class as i64 * 11) % 13 - 6;
                        LEVELS * steps * size / 2
                    };
                    let levels: Vec<i64> = pairs(classes)
                        .map(|(one, other)| score(one) - other.map_or(0, score))
                        .collect();
                    let best = (0..classes).max_by_key(|class| score(*class)).unwrap();
                    let ties = (0..classes).filter(|class| score(*class) == score(best)).count();
                    if ties > 1 || classes == 1 && score(0) == 0 {
                        continue;
                    }
                    for (class, phase) in clear.scores(&levels).into_iter().enumerate() {
                        let set = if classes == 1 { score(0) > 0 } else { class == best };
                        let bit = if set { BIT } else { -BIT };
                        assert!((phase - bit).abs() < 1e-6, "{classes}, {row}, {class}: {phase}");
                    }
                }
            }
        }
    }

    #[test]
    fn sums_of_signs_are_far_from_the_threshold() {
        for classes in 1..=MOST_CLASSES {
            let noise = sum_noise((classes.max(2) - 1) as f64).sqrt();
            let (sign, all) = (of_sum(classes), (classes.max(2) - 1) as f64);
            let threshold = threshold(classes);
            let (wins, next) = (all * sign - threshold, (all - 2.0) * sign - threshold);
            assert!((wins + next).abs() < 1e-12, "{classes}: {wins}, {next}");
            assert!(wins > 10.0 * noise, "{classes}: {wins}, {noise}");
            // The sum of a class that loses all doesn't wrap around.
            let least = -all * sign - threshold;
            assert!(least - 10.0 * noise > -0.5, "{classes}: {least}");
        }
    }
}
