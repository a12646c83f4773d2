//! Fits a unit's function to the table of a blind rotation.
//!
//! A table has one half of the torus; the other half is its negative. A function `f` of a weighted
//! sum `z` is served as `T(z) + slope * z + offset`, where `T` changes its sign after half of a
//! period. The linear part needs no rotation: whoever reads the unit reads what `z` is made of
//! instead.
//!
//! With a period of twice the range of `z`, any function fits. A shorter period makes the errors of
//! the phase smaller, in proportion, but ties values of `z` that are half of a period apart. For
//! functions such as ReLU, `z / 2 + |z| / 2`, one of just the range costs nothing: `|z|` less a
//! quarter of the period changes its sign after half of it. The slope also makes `T` flatter, so
//! that errors of the phase count for less.

use super::Curve;

/// Share of the range of the sums on the calibration rows by which it is widened on both sides.
const WIDEN: f64 = 0.2;
/// Largest range of all valid rows, over that of the calibration rows, for which a table is fitted.
const MOST_WIDE: f64 = 2.5;
/// Share of such a range by which it is widened on both sides: a row may be at its end, and noise
/// may not take it to the other one. It is ten standard deviations of a rotation's error.
const EDGE: f64 = 0.04;
/// Points of the range at which a fit is judged.
const POINTS: usize = 1_024;
/// Bins of half a period, for choosing the period.
const BINS: usize = 512;
/// Periods that are tried, from the shortest to the longest, as multiples of the range.
const PERIODS: (f64, f64, usize) = (0.5, 2.0, 49);
/// Weight of the square of the largest error of the fit near any row.
const WORST: f64 = 0.05;
/// Weight of the widened range as a whole, beside that of the rows.
const FLOOR: f64 = 0.05;

/// A fitted unit: `T((z - middle) / period) + slope * z + offset`.
#[derive(Clone, Debug)]
pub(crate) struct FittedTable {
    /// Length of `z` that the torus stands for.
    pub(crate) period: f64,
    /// Sum that has the phase 0.
    pub(crate) middle: f64,
    /// Factor of `z` beside the table.
    pub(crate) slope: f64,
    /// Summand beside the table.
    pub(crate) offset: f64,
    /// Whether no valid row can leave the range of the fit.
    pub(crate) certain: bool,
    /// `T` at the phases `(i + 1/2) / 2N`, in the function's units.
    pub(crate) values: Vec<f64>,
}

/// A point of the range, its share of the rows, and the function and its derivative there.
struct Point {
    z: f64,
    weight: f64,
    /// Whether a row may be at or near it.
    seen: bool,
    f: f64,
    derivative: f64,
}

impl FittedTable {
    /// Returns the largest value of the table.
    pub(crate) fn largest(&self) -> f64 {
        self.values
            .iter()
            .fold(0.0, |most: f64, value| most.max(value.abs()))
    }

    /// Fits a function to the sums `seen` on the calibration rows. `noise` is the standard
    /// deviation of a phase, `size` the number of values, `bounds` the least and the largest sum of
    /// any row, if they are known. `None` if the function has no finite value somewhere in the
    /// range.
    pub(crate) fn of(
        curve: &Curve,
        seen: &[f64],
        noise: f64,
        size: usize,
        sloped: bool,
        bounds: Option<(f64, f64)>,
    ) -> Option<Self> {
        let (low, high) = seen
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), z| {
                (low.min(*z), high.max(*z))
            });
        // A constant sum still needs a range.
        let width = (high - low).max(1e-6 * (1.0 + high.abs()));
        let bounds = bounds
            .filter(|(least, most)| *least <= low && high <= *most && most - least <= MOST_WIDE * width)
            .map(|(least, most)| (least - EDGE * (most - least), most + EDGE * (most - least)));
        let (low, high) = bounds.unwrap_or((low - WIDEN * width, high + WIDEN * width));
        let points = points(curve, seen, low, high, bounds.is_some())?;
        let range = high - low;
        let (shortest, longest, count) = PERIODS;
        let periods = (0..count)
            .map(|step| range * shortest * (longest / shortest).powf(step as f64 / (count - 1) as f64));
        let middle = (low + high) / 2.0;
        let best = periods
            .map(|period| judged(&points, period, middle, range, noise, sloped))
            .min_by(|one, other| one.cost.total_cmp(&other.cost))?;
        let mut fitted = Self {
            period: best.period,
            middle,
            slope: best.slope,
            offset: best.offset,
            certain: bounds.is_some(),
            values: Vec::new(),
        };
        let weight = |z: f64| {
            let place = ((z - low) / range * POINTS as f64) as usize;
            points.get(place).map_or(0.0, |point| point.weight)
        };
        let value = |index: usize| {
            let phase = (index as f64 + 0.5) / (2 * size) as f64;
            let of = |half: i32| middle + best.period * (phase + f64::from(half) / 2.0);
            let sign = |half: i32| if half % 2 == 0 { 1.0 } else { -1.0 };
            let rest = |z: f64| curve.value(z) - best.slope * z - best.offset;
            let (mut sum, mut weights) = (0.0, 0.0);
            for half in -8..8 {
                let z = of(half);
                if (low..=high).contains(&z) {
                    sum += weight(z) * sign(half) * rest(z);
                    weights += weight(z);
                }
            }
            if weights > 0.0 {
                return sum / weights;
            }
            // No sum comes here: go on as at the nearer end.
            let away = |half: &i32| (of(*half) - of(*half).clamp(low, high)).abs();
            let nearest = (-8..8).min_by(|one, other| away(one).total_cmp(&away(other)));
            nearest.map_or(0.0, |half| sign(half) * rest(of(half).clamp(low, high)))
        };
        fitted.values = (0..size).map(value).collect();
        fitted
            .values
            .iter()
            .all(|value| value.is_finite())
            .then_some(fitted)
    }

    /// Returns the table's value at a sum, between its entries in proportion.
    pub(crate) fn value(&self, z: f64) -> f64 {
        let size = self.values.len() as i64;
        let position = (z - self.middle) / self.period * (2 * size) as f64 - 0.5;
        let (place, part) = (position.floor(), position - position.floor());
        let at = |place: i64| {
            let turned = place.rem_euclid(2 * size);
            if turned < size {
                self.values[turned as usize]
            } else {
                -self.values[(turned - size) as usize]
            }
        };
        (1.0 - part) * at(place as i64) + part * at(place as i64 + 1)
    }
}

impl FittedTable {
    /// Returns the mean square of the derivative with respect to the phase at some sums, within
    /// `noise` of each.
    pub(crate) fn steepness(&self, sums: &[f64], noise: f64) -> f64 {
        let step = noise * self.period;
        let slope = |z: &f64| (self.value(z + step) - self.value(z - step)) / (2.0 * noise);
        sums.iter().map(|z| slope(z).powi(2)).sum::<f64>() / sums.len().max(1) as f64
    }
}

/// Returns points spread over the range, weighted by how many rows are near. If the range is
/// `certain`, rows may be anywhere.
fn points(curve: &Curve, seen: &[f64], low: f64, high: f64, certain: bool) -> Option<Vec<Point>> {
    let step = (high - low) / POINTS as f64;
    let mut counts = vec![0.0; POINTS];
    for z in seen {
        let place = ((z - low) / step) as usize;
        counts[place.min(POINTS - 1)] += 1.0 / seen.len() as f64;
    }
    // Rows stand for others that are a little different.
    let near = POINTS / 32;
    let smooth = |place: usize| {
        let around = &counts[place.saturating_sub(near)..(place + near + 1).min(POINTS)];
        around.iter().sum::<f64>() / (2 * near + 1) as f64
    };
    let point = |place: usize| {
        let z = low + (place as f64 + 0.5) * step;
        let (before, f, after) = (
            curve.value(z - step / 2.0),
            curve.value(z),
            curve.value(z + step / 2.0),
        );
        let derivative = (after - before) / step;
        (f.is_finite() && derivative.is_finite()).then(|| Point {
            z,
            weight: smooth(place) + FLOOR / POINTS as f64,
            seen: certain || smooth(place) > 0.0,
            f,
            derivative,
        })
    };
    (0..POINTS).map(point).collect()
}

/// A period, with the best linear part for it.
struct Judged {
    period: f64,
    slope: f64,
    offset: f64,
    cost: f64,
}

/// Finds the linear part that is best for a period: the mean square error of the fit, and that of a
/// table's noise, are quadratic in slope and offset once each bin's best value is put in.
fn judged(points: &[Point], period: f64, middle: f64, range: f64, noise: f64, sloped: bool) -> Judged {
    // Sign and bin of a point.
    let place = |point: &Point| {
        let phase = (point.z - middle) / period;
        let half = ((phase - phase.floor()) * 2.0 * BINS as f64) as usize;
        (if half < BINS { 1.0 } else { -1.0 }, half % BINS)
    };
    // Sums, with signs, of weights, and of weights times f, z and 1, by bin.
    let mut bins = vec![[0.0; 4]; BINS];
    // Products of f, z and 1 with each other.
    let mut all = [[0.0; 3]; 3];
    let (mut weights, mut slopes, mut steepness) = (0.0, 0.0, 0.0);
    for point in points {
        // Small numbers keep the equations well conditioned.
        let z = (point.z - middle) / range;
        let (sign, bin) = place(point);
        let bin = &mut bins[bin];
        let terms = [point.f, z, 1.0];
        bin[0] += point.weight;
        for (sum, term) in bin[1..].iter_mut().zip(terms) {
            *sum += point.weight * sign * term;
        }
        for (row, one) in all.iter_mut().zip(terms) {
            for (sum, other) in row.iter_mut().zip(terms) {
                *sum += point.weight * one * other;
            }
        }
        let derivative = point.derivative * range;
        weights += point.weight;
        slopes += point.weight * derivative;
        steepness += point.weight * derivative * derivative;
    }
    let mean = all[0][2] / weights;
    let mut left = all;
    for bin in bins.iter().filter(|bin| bin[0] > 0.0) {
        for (row, one) in left.iter_mut().zip(&bin[1..]) {
            for (sum, other) in row.iter_mut().zip(&bin[1..]) {
                *sum -= one * other / bin[0];
            }
        }
    }
    let noise = (noise * period / range).powi(2);
    // Where nothing decides about the offset, the mean does.
    let least = 1e-9 * weights;
    let (zz, z1, ones) = (
        left[1][1] + noise * weights + least,
        left[1][2],
        left[2][2] + least,
    );
    let (fz, f1) = (left[0][1] + noise * slopes, left[0][2] + least * mean);
    let (slope, offset) = if sloped {
        let determinant = (zz * ones - z1 * z1).max(f64::MIN_POSITIVE);
        (
            (fz * ones - f1 * z1) / determinant,
            (f1 * zz - fz * z1) / determinant,
        )
    } else {
        (0.0, f1 / ones)
    };
    // A row where few others are must not pay for the fit of the others.
    let mut worst = 0.0f64;
    for point in points.iter().filter(|point| point.seen) {
        let z = (point.z - middle) / range;
        let (sign, bin) = place(point);
        let [weight, f, of_z, one] = bins[bin];
        let value = (f - slope * of_z - offset * one) / weight;
        worst = worst.max((point.f - slope * z - offset - sign * value).abs());
    }
    let terms = [1.0, -slope, -offset];
    let mut error = 0.0;
    for (row, one) in left.iter().zip(terms) {
        for (sum, other) in row.iter().zip(terms) {
            error += sum * one * other;
        }
    }
    let bends = steepness - 2.0 * slope * slopes + slope * slope * weights;
    Judged {
        period,
        slope: slope / range,
        offset: offset - slope * middle / range,
        cost: error + noise * bends + WORST * weights * worst * worst,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::curve::{Function, Operation};

    const SIZE: usize = 1_024;
    /// Standard deviation of a phase, about that of one rotation.
    const NOISE: f64 = 2e-3;

    /// Sums with the density of a normal distribution.
    fn seen(mean: f64, deviation: f64) -> Vec<f64> {
        let sum = |index: u32| {
            // The average of twelve uniform numbers.
            let mut state = index.wrapping_mul(2_654_435_761).wrapping_add(12_345);
            let mut total = 0.0;
            for _ in 0..12 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                total += f64::from(state >> 8) / f64::from(1 << 24);
            }
            mean + deviation * (total - 6.0)
        };
        (0..2_000).map(sum).collect()
    }

    fn relu() -> Curve {
        Curve::number().with_constant(Operation::Max, 0.0).unwrap()
    }

    /// Root mean square error of the fit on the rows, and of the noise through the table.
    fn errors(fitted: &FittedTable, curve: &Curve, seen: &[f64]) -> (f64, f64) {
        let step = NOISE * fitted.period;
        let (mut fit, mut noise) = (0.0, 0.0);
        for &z in seen {
            let served = fitted.value(z) + fitted.slope * z + fitted.offset;
            fit += (served - curve.value(z)).powi(2);
            noise += ((fitted.value(z + step) - fitted.value(z - step)) / 2.0).powi(2);
        }
        let count = seen.len() as f64;
        ((fit / count).sqrt(), (noise / count).sqrt())
    }

    #[test]
    fn a_ramp_is_a_slope_and_a_triangle_of_the_whole_torus() {
        let seen = seen(0.0, 1.0);
        let fitted = FittedTable::of(&relu(), &seen, NOISE, SIZE, true, None).unwrap();
        let width = seen.iter().copied().fold(0.0, f64::max) - seen.iter().copied().fold(0.0, f64::min);
        assert!(
            fitted.period < 1.6 * width,
            "{} for a range of {width}",
            fitted.period
        );
        assert!((fitted.slope - 0.5).abs() < 0.05, "{}", fitted.slope);
        let (fit, noise) = errors(&fitted, &relu(), &seen);
        let plain = FittedTable::of(&relu(), &seen, NOISE, SIZE, false, None).unwrap();
        let (_, without) = errors(&plain, &relu(), &seen);
        assert!(fit < 0.2 * noise, "{fit} and {noise}");
        assert!(2.0 * noise < without, "{noise}, and {without} without a slope");
    }

    #[test]
    fn any_function_fits_within_a_share_of_the_noise() {
        let z = Curve::number();
        let tanh = z.then(Function::Tanh).unwrap();
        let silu = z
            .with(Operation::Mul, &z.then(Function::Sigmoid).unwrap())
            .unwrap();
        let bump = z
            .then(Function::Power(2))
            .unwrap()
            .scaled(-1.0)
            .unwrap()
            .then(Function::Exp)
            .unwrap();
        for (mean, deviation) in [(0.0, 1.0), (-2.0, 0.5), (1.0, 4.0)] {
            let seen = seen(mean, deviation);
            for (name, curve) in [
                ("tanh", &tanh),
                ("silu", &silu),
                ("bump", &bump),
                ("relu", &relu()),
            ] {
                for sloped in [false, true] {
                    let fitted = FittedTable::of(curve, &seen, NOISE, SIZE, sloped, None).unwrap();
                    let (fit, noise) = errors(&fitted, curve, &seen);
                    let least = 4.0 * deviation * NOISE * 0.05;
                    assert!(
                        fit < 0.8 * noise + least,
                        "{name} at {mean}, {deviation}: {fit} and {noise}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_range_of_all_rows_is_fitted_where_none_was_seen() {
        let tanh = Curve::number().then(Function::Tanh).unwrap();
        let seen = seen(0.5, 0.4);
        let width =
            seen.iter().copied().fold(f64::MIN, f64::max) - seen.iter().copied().fold(f64::MAX, f64::min);
        let worst = |bounds: (f64, f64)| {
            let fitted = FittedTable::of(&tanh, &seen, NOISE, SIZE, true, Some(bounds)).unwrap();
            let off = |step: i32| {
                let z = bounds.0 + (bounds.1 - bounds.0) * f64::from(step) / 1_000.0;
                (fitted.value(z) + fitted.slope * z + fitted.offset - tanh.value(z)).abs()
            };
            (fitted.certain, (2..999).map(off).fold(0.0, f64::max))
        };
        let wide = |factor: f64| (0.5 - factor * width / 2.0, 0.5 + factor * width / 2.0);
        let (certain, off) = worst(wide(2.4));
        assert!(certain && off < 0.03, "{off}");
        // Too wide to be fitted as precisely.
        let (certain, off) = worst(wide(4.0));
        assert!(!certain && off > 0.1, "{off}");
    }

    #[test]
    fn noise_does_not_take_a_row_at_an_end_to_the_other_one() {
        // Rows are at both ends of the range of all valid ones, as those of a flag are.
        let seen: Vec<f64> = (0..200).map(|row| f64::from(row % 2)).collect();
        // Nearly a step, whose sign changes after half of a period of the range.
        let about_a_half = Curve::number().with_constant(Operation::Add, -0.5).unwrap();
        let step = about_a_half.scaled(40.0).and_then(|z| z.then(Function::Tanh));
        for curve in [step.unwrap(), Curve::number(), relu()] {
            for sloped in [false, true] {
                let fitted = FittedTable::of(&curve, &seen, NOISE, SIZE, sloped, Some((0.0, 1.0))).unwrap();
                assert!(fitted.certain);
                // A rotation of several has up to sqrt(2) times the error.
                let by = 7.0 * 2f64.sqrt() * NOISE * fitted.period;
                for (z, noise) in [(0.0, -by), (1.0, by)] {
                    let served = fitted.value(z + noise) + fitted.slope * z + fitted.offset;
                    let off = (served - curve.value(z)).abs();
                    assert!(off < 2.0 * by, "{z}: {off} and {by}, {sloped}");
                }
            }
        }
    }

    #[test]
    fn a_rare_row_does_not_pay_for_the_others() {
        // One sum of 20,001 is far from the others.
        let mut seen = seen(0.0, 0.8).repeat(10);
        seen.push(12.0);
        let fitted = FittedTable::of(&relu(), &seen, NOISE, SIZE, true, None).unwrap();
        let served = fitted.value(12.0) + fitted.slope * 12.0 + fitted.offset;
        assert!((served - 12.0).abs() < 0.3, "{served}");
    }

    #[test]
    fn what_has_no_value_in_the_range_is_refused() {
        let log = Curve::number().then(Function::Log).unwrap();
        assert!(FittedTable::of(&log, &seen(0.0, 1.0), NOISE, SIZE, true, None).is_none());
        assert!(FittedTable::of(&relu(), &[3.0, 3.0], NOISE, SIZE, true, None).is_some());
    }
}
