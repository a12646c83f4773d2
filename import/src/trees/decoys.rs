//! Thresholds that no tree uses, and that have the digits of those that trees use.

use super::Ensemble;
use crate::onnx::before_rounding;
use blindscore_protocol::encoding::Side;

/// Ways in which libraries lay a threshold between a column's number and the next one.
const WAYS: [fn(f64, f64) -> f64; 6] = [
    // scikit-learn: half-way.
    f64::midpoint,
    // LightGBM: just above.
    |low, high| f64::midpoint(low, high).next_up(),
    // CatBoost: half-way, in single precision.
    |low, high| f64::from(f64::midpoint(low, high) as f32),
    // XGBoost: less than the next number.
    |_, high| f64::from((high as f32).next_down()),
    // The last two, of a number that a step computes.
    |low, high| before_rounding(f64::from(f64::midpoint(low, high) as f32), Side::Below),
    |_, high| before_rounding(f64::from((high as f32).next_down()), Side::Below),
];

/// Way of these that gives numbers in single precision if nothing else is known.
const SINGLE: usize = 2;

/// Returns `count` thresholds at quantiles of a column's numbers, laid between them as `thresholds`
/// are. Thresholds that are laid in another way than all others could be told apart.
fn alike(thresholds: &[f64], numbers: &[f64], count: usize) -> Vec<f64> {
    let gaps = numbers.len().saturating_sub(1);
    let laid = |way: &fn(f64, f64) -> f64| {
        let is_laid = |threshold: &&f64| {
            let next = numbers.partition_point(|number| number <= *threshold);
            (1..=gaps).contains(&next) && way(numbers[next - 1], numbers[next]) == **threshold
        };
        thresholds.iter().filter(is_laid).count()
    };
    let single = thresholds
        .iter()
        .all(|threshold| f64::from(*threshold as f32) == *threshold);
    // The first of those that fit best.
    let ways = WAYS.iter().enumerate().rev();
    let best = ways.max_by_key(|(place, way)| (laid(way), single && *place == SINGLE));
    let best = best.map(|(_, way)| way);
    let at = |step: usize| step * gaps / (count + 1);
    let decoy = |way: &fn(f64, f64) -> f64, gap: usize| way(numbers[gap], numbers[gap + 1]);
    let places = (1..=count).filter(|_| gaps > 0).map(at);
    let decoys = places.filter_map(|gap| Some(decoy(best?, gap)));
    decoys.filter(|decoy| decoy.is_finite()).collect()
}

impl Ensemble {
    /// Returns further thresholds for each variable, at `count` quantiles of its numbers in these
    /// rows.
    pub(crate) fn decoys(&self, rows: &[Vec<f64>], count: usize) -> Vec<Vec<f64>> {
        let of = |variable: usize| {
            if !self.compares(variable) {
                return Vec::new();
            }
            let numbers = rows.iter().map(|row| row[variable]);
            let mut numbers: Vec<f64> = numbers.filter(|number| number.is_finite()).collect();
            numbers.sort_by(f64::total_cmp);
            numbers.dedup();
            alike(&self.thresholds(variable), &numbers, count)
        };
        (0..self.columns.len()).map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoys_are_laid_between_numbers_as_thresholds_are() {
        let counts: Vec<f64> = (0..10).map(f64::from).collect();
        let single = |number: f64| f64::from((number as f32).next_down());
        for (threshold, decoys) in [
            (2.5, [2.5, 4.5, 6.5]),
            (
                4.5f64.next_up(),
                [2.5f64.next_up(), 4.5f64.next_up(), 6.5f64.next_up()],
            ),
            (single(3.0), [single(3.0), single(5.0), single(7.0)]),
            // One that no library lays: half-way.
            (3.25, [2.5, 4.5, 6.5]),
        ] {
            assert_eq!(alike(&[threshold], &counts, 3), decoys, "{threshold}");
        }
        // In single precision, there is no number half-way between these.
        let tenths: Vec<f64> = (0..10).map(|tenth| f64::from(tenth as f32 / 10.0)).collect();
        let half = f64::from(f64::midpoint(tenths[3], tenths[4]) as f32);
        let decoys = alike(&[half], &tenths, 8);
        assert!(
            decoys.iter().all(|decoy| f64::from(*decoy as f32) == *decoy),
            "{decoys:?}"
        );
        assert_eq!(alike(&[0.5], &[1.0], 3), [0.0; 0]);
    }
}
