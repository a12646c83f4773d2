//! Numbers of which sums are taken: features and tables, and how weights of them are rounded.

use super::{
    MOST_WEIGHT, TORUS,
    rounding::{MOST_CORRELATED, Rounding},
};
use blindscore_engine::model::LAYERS;
use blindscore_protocol::noise::NetworkNoise;

/// Largest factor of the finer features, as a base-2 logarithm.
const MOST_FINE_FEATURES_LOG2: f64 = 10.0;

/// Numbers on the calibration rows, and how to round weights of them.
pub(super) struct Numbers {
    pub(super) means: Vec<f64>,
    /// Variance of each that no others can stand in for.
    pub(super) variances: Vec<f64>,
    rounding: Option<Rounding>,
}

impl Numbers {
    /// Numbers by their values on some rows, one list per number.
    pub(super) fn of(values: &[Vec<f64>]) -> Self {
        let rows = values.first().map_or(1, Vec::len).max(1) as f64;
        let means: Vec<f64> = values
            .iter()
            .map(|values| values.iter().sum::<f64>() / rows)
            .collect();
        let rounding = Rounding::of(values);
        let variances = match &rounding {
            Some(rounding) => rounding.remaining().collect(),
            None => {
                let variance = |(values, mean): (&Vec<f64>, &f64)| {
                    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / rows
                };
                values.iter().zip(&means).map(variance).collect()
            }
        };
        Self {
            means,
            variances,
            rounding,
        }
    }

    /// Rounds weights to multiples of `steps`, and returns these and the mean of what is lost.
    /// `noise` is the variance of each number's noise, by its multiple, and `shared` the number of
    /// slots or rotations that a multiple is divided among.
    pub(super) fn round(
        &self,
        exact: &[f64],
        steps: &[f64],
        noise: &dyn Fn(usize, f64) -> f64,
        shared: &dyn Fn(usize) -> f64,
    ) -> (Vec<f64>, f64) {
        let rounded: Vec<f64> = match &self.rounding {
            Some(rounding) => rounding.round(exact, steps, noise, shared, MOST_WEIGHT),
            None => {
                let each = exact.iter().zip(steps);
                each.map(|(exact, step)| (exact / step).round().clamp(-MOST_WEIGHT, MOST_WEIGHT))
                    .collect()
            }
        };
        let lost = exact.iter().zip(steps).zip(rounded.iter().zip(&self.means));
        let lost = lost
            .map(|((exact, step), (rounded, mean))| (exact - rounded * step) * mean)
            .sum();
        (rounded, lost)
    }
}

/// Chooses the step of a weighted feature, as a part of the torus, and how many times finer
/// features are sent a second time, if they are. Both are powers of two.
///
/// Sent once, a large step `s` keeps weights, and with them the query's noise, small; a small one
/// their rounding errors. The variances, `noise |w|^2 / s^2` and `s^2 sum(var x) / 12`, are equal
/// at the best step.
///
/// Sent twice, the second weights make up for what rounding the first ones loses. They are up to
/// half of the factor `f`, and cause noise of `noise count f^2 / 12`; what is lost in the end is
/// `s^2 sum(var x) / (12 f^2)`. These are equal at the best factor; with it, the derivative of the
/// sum of all three is zero at the best step.
pub(super) fn steps(features: &Numbers, phases: &[(Vec<f64>, f64)]) -> (f64, Option<u32>) {
    let squares = phases
        .iter()
        .map(|(weights, _)| weights.iter().map(|weight| weight * weight).sum());
    let squares: Vec<f64> = squares.filter(|square| *square > 0.0).collect();
    let mean = squares.iter().sum::<f64>() / squares.len().max(1) as f64;
    let count = features.means.len() as f64;
    let spread = features.variances.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    let weights = phases.iter().flat_map(|(weights, _)| weights);
    let largest = weights.fold(0.0, |most: f64, weight| most.max(weight.abs()));
    // No weight may be too large.
    let rounded = |step: f64| {
        let step = step.max(largest / MOST_WEIGHT);
        2f64.powf((64.0 + step.log2()).round().clamp(12.0, 62.0) - 64.0)
    };
    let query = NetworkNoise::query(&LAYERS);
    let twice = (12.0 * query * mean / (query * count * spread).sqrt()).cbrt();
    let factor = (twice * twice * spread / (query * count)).powf(0.25);
    let factor = factor.log2().round().min(MOST_FINE_FEATURES_LOG2);
    let fits = rounded(twice) * TORUS >= 2f64.powf(12.0 + factor);
    if 2 * features.means.len() <= MOST_CORRELATED && factor >= 1.0 && fits {
        return (rounded(twice), Some(1 << factor as u32));
    }
    (rounded((12.0 * query * mean / spread).powf(0.25)), None)
}
