//! Curves of isotonic calibration.

use serde::Serialize;

/// How one score becomes a probability by isotonic regression: linear between thresholds, and
/// constant beyond the first and the last one.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Curve {
    /// Scores, rising. Of equal ones, the last is reached.
    pub thresholds: Vec<f64>,
    /// Probability at each threshold, never less than at the one before.
    pub probabilities: Vec<f64>,
}

impl Curve {
    /// Returns whether there are as many probabilities as thresholds, at least one, and both rise.
    pub fn is_valid(&self) -> bool {
        let mut last = (f64::MIN, 0.0);
        // No comparison with NaN holds.
        let mut rises = |(&x, &y): (&f64, &f64)| {
            let rises = x >= last.0 && x < f64::INFINITY && y >= last.1 && y <= 1.0;
            last = (x, y);
            rises
        };
        let count = self.thresholds.len();
        let mut points = self.thresholds.iter().zip(&self.probabilities);
        count > 0 && count == self.probabilities.len() && points.all(&mut rises)
    }

    /// Returns the probability of a score.
    pub fn at(&self, score: f64) -> f64 {
        let (x, y) = (&self.thresholds, &self.probabilities);
        let reached = x.partition_point(|threshold| *threshold <= score);
        match (reached.checked_sub(1), x.get(reached)) {
            (Some(last), Some(next)) => {
                let share = (score - x[last]) / (next - x[last]);
                y[last] + share * (y[reached] - y[last])
            }
            (Some(last), None) => y[last],
            (None, _) => y.first().copied().unwrap_or(0.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(thresholds: &[f64], probabilities: &[f64]) -> Curve {
        Curve {
            thresholds: thresholds.to_vec(),
            probabilities: probabilities.to_vec(),
        }
    }

    #[test]
    fn probabilities_are_interpolated_and_end_at_the_ends() {
        let four = curve(&[-1.0, 0.0, 0.0, 2.0], &[0.125, 0.25, 0.5, 1.0]);
        for (score, probability) in [
            (-f64::INFINITY, 0.125),
            (-1.0, 0.125),
            (-0.5, 0.1875),
            (0.0, 0.5),
            (1.0, 0.75),
            (2.0, 1.0),
            (f64::INFINITY, 1.0),
        ] {
            assert_eq!(four.at(score), probability, "{score}");
        }
        let one = curve(&[3.0], &[0.5]);
        assert_eq!([one.at(2.0), one.at(3.0), one.at(4.0)], [0.5; 3]);
    }

    #[test]
    fn curves_rise_from_0_to_1() {
        for (valid, thresholds, probabilities) in [
            (true, &[0.0, 1.0][..], &[0.0, 1.0][..]),
            (true, &[1.0], &[0.5]),
            (false, &[], &[]),
            (false, &[0.0], &[0.0, 1.0]),
            (false, &[1.0, 0.0], &[0.0, 1.0]),
            (false, &[0.0, 1.0], &[1.0, 0.0]),
            (false, &[0.0, 1.0], &[-0.5, 1.0]),
            (false, &[0.0, 1.0], &[0.0, 1.5]),
            (false, &[0.0, f64::INFINITY], &[0.0, 1.0]),
            (false, &[0.0, f64::NAN], &[0.0, 1.0]),
            (false, &[0.0, 1.0], &[0.0, f64::NAN]),
        ] {
            assert_eq!(
                curve(thresholds, probabilities).is_valid(),
                valid,
                "{thresholds:?}"
            );
        }
    }
}
