//! Values of B-splines.

use blindscore_protocol::encoding::Outside;

/// Distance from the knots in use that isn't outside, where that is refused, relative to their
/// size: some roundings to single precision.
const NEAR: f64 = 4.0 * f32::EPSILON as f64;

/// Writes the values of all splines at a number into `values`, one for each spline, which hold
/// zeros. The knots rise, and there are enough of them: that was checked with the encoding. A
/// number outside the knots in use has no values where that is refused: they become NaN.
pub(super) fn splines(x: f64, knots: &[f64], degree: usize, outside: Outside, values: &mut [f64]) {
    // The knots in use are those from `first` to `last`.
    let (first, last) = (degree, knots.len() - degree - 1);
    let (low, high) = (knots[first], knots[last]);
    let is_outside = x < low || x > high;
    // Scaled by the original in single precision, the least number of the rows is the lowest knot;
    // here it may be a last digit below it.
    let near = NEAR * (high - low + low.abs().max(high.abs()));
    let (at, beyond) = match outside {
        Outside::Refuse if x < low - near || x > high + near => (f64::NAN, 0.0),
        Outside::Refuse if is_outside => (if x < low { low } else { high }, 0.0),
        Outside::Refuse | Outside::Continue => (x, 0.0),
        // As Python's remainder, exact for all numbers.
        Outside::Periodic => (low + (x - low).rem_euclid(high - low), 0.0),
        Outside::Constant | Outside::Linear => {
            let nearest = if x < low { low } else { high };
            let at = if is_outside { nearest } else { x };
            (at, if outside == Outside::Linear { x - at } else { 0.0 })
        }
    };
    if at.is_nan() {
        values.fill(f64::NAN);
        return;
    }
    let after = knots.partition_point(|knot| *knot <= at);
    let span = after.saturating_sub(1).clamp(first, last - 1);
    let found = nonzero(at, knots, span, degree);
    for (place, value) in found.iter().enumerate() {
        // The last splines of periodic ones are the first ones again.
        let spline = (span - degree + place) % values.len();
        values[spline] += value;
    }
    if beyond != 0.0 {
        let slopes = slopes(at, knots, span, degree);
        for (place, slope) in slopes.iter().enumerate() {
            values[span - degree + place] += beyond * slope;
        }
    }
}

/// Returns the values of the `degree + 1` splines that aren't zero between the knots `span` and
/// `span + 1`, by the recurrence of Cox and de Boor ("A Practical Guide to Splines", chapter X,
/// BSPLVB).
fn nonzero(x: f64, knots: &[f64], span: usize, degree: usize) -> Vec<f64> {
    let mut values = vec![0.0; degree + 1];
    values[0] = 1.0;
    for order in 1..=degree {
        let mut saved = 0.0;
        for place in 0..order {
            let right = knots[span + place + 1];
            let left = knots[span + place + 1 - order];
            let share = values[place] / (right - left);
            values[place] = saved + (right - x) * share;
            saved = (x - left) * share;
        }
        values[order] = saved;
    }
    values
}

/// Returns the derivatives of the same splines: differences of those of one degree less (chapter X,
/// equation 12).
fn slopes(x: f64, knots: &[f64], span: usize, degree: usize) -> Vec<f64> {
    let lower = nonzero(x, knots, span, degree - 1);
    let mut slopes = vec![0.0; degree + 1];
    for (place, value) in lower.iter().enumerate() {
        let right = knots[span + place + 1];
        let left = knots[span + place + 1 - degree];
        let slope = degree as f64 * value / (right - left);
        slopes[place] -= slope;
        slopes[place + 1] += slope;
    }
    slopes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of scikit-learn's `SplineTransformer(degree=2, knots=[[0], [1], [2], [4]])`, version
    /// 1.9.1.
    const KNOWN: [(Outside, f64, [f64; 5]); 16] = [
        (Outside::Constant, -1.5, [0.5, 0.5, 0.0, 0.0, 0.0]),
        (Outside::Constant, 0.5, [0.125, 0.75, 0.125, 0.0, 0.0]),
        (Outside::Constant, 1.0, [0.0, 0.5, 0.5, 0.0, 0.0]),
        (Outside::Constant, 3.0, [0.0, 0.0, 1.0 / 6.0, 17.0 / 24.0, 0.125]),
        (Outside::Constant, 4.0, [0.0, 0.0, 0.0, 0.5, 0.5]),
        (Outside::Constant, 5.25, [0.0, 0.0, 0.0, 0.5, 0.5]),
        (Outside::Linear, -1.5, [2.0, -1.0, 0.0, 0.0, 0.0]),
        (Outside::Linear, 0.0, [0.5, 0.5, 0.0, 0.0, 0.0]),
        (Outside::Linear, 3.0, [0.0, 0.0, 1.0 / 6.0, 17.0 / 24.0, 0.125]),
        (Outside::Linear, 5.25, [0.0, 0.0, 0.0, -0.125, 1.125]),
        (Outside::Continue, -1.5, [3.125, -3.25, 1.125, 0.0, 0.0]),
        (Outside::Continue, 4.0, [0.0, 0.0, 0.0, 0.5, 0.5]),
        (
            Outside::Continue,
            5.25,
            [0.0, 0.0, 0.260416666667, -0.580729166667, 1.3203125],
        ),
        (Outside::Refuse, 0.5, [0.125, 0.75, 0.125, 0.0, 0.0]),
        (Outside::Refuse, 0.0, [0.5, 0.5, 0.0, 0.0, 0.0]),
        (Outside::Refuse, 4.0, [0.0, 0.0, 0.0, 0.5, 0.5]),
    ];

    #[test]
    fn values_are_those_of_scikit_learn() {
        let knots = [-2.0, -1.0, 0.0, 1.0, 2.0, 4.0, 6.0, 8.0];
        for (outside, x, expected) in KNOWN {
            let mut values = [0.0; 5];
            splines(x, &knots, 2, outside, &mut values);
            for (value, expected) in values.iter().zip(expected) {
                assert!((value - expected).abs() < 1e-11, "{outside:?} at {x}: {values:?}");
            }
        }
        for (x, expected) in [
            (-1e-7, [0.5, 0.5, 0.0, 0.0, 0.0]),
            (4.000001, [0.0, 0.0, 0.0, 0.5, 0.5]),
        ] {
            let mut values = [0.0; 5];
            splines(x, &knots, 2, Outside::Refuse, &mut values);
            assert_eq!(values, expected, "{x}");
        }
        for x in [-1e-5, 4.00001, f64::NAN] {
            let mut values = [0.0; 5];
            splines(x, &knots, 2, Outside::Refuse, &mut values);
            assert!(values.iter().all(|value| value.is_nan()), "{x}: {values:?}");
        }
    }

    #[test]
    fn periodic_values_are_those_of_scikit_learn() {
        let knots = [-3.0, -2.0, 0.0, 1.0, 2.0, 4.0, 5.0, 6.0];
        for (x, expected) in [
            (-1.5, [7.0 / 12.0, 1.0 / 24.0, 0.375]),
            (0.0, [1.0 / 3.0, 2.0 / 3.0, 0.0]),
            (0.5, [1.0 / 12.0, 19.0 / 24.0, 0.125]),
            (3.0, [2.0 / 3.0, 1.0 / 6.0, 1.0 / 6.0]),
            (4.0, [1.0 / 3.0, 2.0 / 3.0, 0.0]),
            (5.25, [1.0 / 48.0, 0.28125, 67.0 / 96.0]),
            (1e9 + 0.5, [1.0 / 12.0, 19.0 / 24.0, 0.125]),
        ] {
            let mut values = [0.0; 3];
            splines(x, &knots, 2, Outside::Periodic, &mut values);
            for (value, expected) in values.iter().zip(expected) {
                assert!((value - expected).abs() < 1e-11, "{x}: {values:?}");
            }
        }
    }

    #[test]
    fn splines_add_up_to_one_between_the_knots_in_use() {
        for degree in 1..=16 {
            let knots: Vec<f64> = (0..60).map(|knot| f64::from(knot * knot) / 7.0).collect();
            let (low, high) = (knots[degree], knots[59 - degree]);
            for part in 0..=100 {
                let x = low + (high - low) * f64::from(part) / 100.0;
                let mut values = vec![0.0; 59 - degree];
                splines(x, &knots, degree, Outside::Refuse, &mut values);
                let sum: f64 = values.iter().sum();
                assert!((sum - 1.0).abs() < 1e-9, "degree {degree} at {x}: {sum}");
                assert!(values.iter().all(|value| (0.0..=1.0 + 1e-12).contains(value)));
            }
        }
    }
}
