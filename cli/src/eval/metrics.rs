//! Measures of predictions.

/// Smallest probability that a logarithm is taken of, as scikit-learn does for double precision.
const LEAST: f64 = f64::EPSILON;

/// Returns the mean of `-ln p` over the probabilities of the right classes.
pub(super) fn log_loss(of_right: impl IntoIterator<Item = f64>) -> f64 {
    let losses: Vec<f64> = of_right
        .into_iter()
        .map(|share| -share.clamp(LEAST, 1.0 - LEAST).ln())
        .collect();
    losses.iter().sum::<f64>() / losses.len() as f64
}

/// Returns the area under the ROC curve: the share of pairs of a positive and a negative row in
/// which the positive one has the larger score, ties counting half (Mann and Whitney 1947). `None`
/// without both.
pub(super) fn area_under_roc(scores: &[f64], positive: &[bool]) -> Option<f64> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    // Mean rank of each run of equal scores, from 1.
    let mut ranks = vec![0.0; scores.len()];
    for run in order.chunk_by(|&a, &b| scores[a] == scores[b]) {
        let first = order.partition_point(|&place| scores[place] < scores[run[0]]) as f64;
        for &place in run {
            ranks[place] = first + (run.len() as f64 + 1.0) / 2.0;
        }
    }
    let positives = positive.iter().filter(|positive| **positive).count() as f64;
    let negatives = positive.len() as f64 - positives;
    if positives == 0.0 || negatives == 0.0 {
        return None;
    }
    let sum: f64 = ranks
        .iter()
        .zip(positive)
        .filter(|(_, positive)| **positive)
        .map(|(rank, _)| rank)
        .sum();
    Some((sum - positives * (positives + 1.0) / 2.0) / (positives * negatives))
}

/// Returns the coefficient of determination: one minus the ratio of the squared errors to the
/// squared distances from the mean. `None` if all right values are equal.
pub(super) fn r2(predicted: &[f64], right: &[f64]) -> Option<f64> {
    let mean = right.iter().sum::<f64>() / right.len() as f64;
    let total: f64 = right.iter().map(|value| (value - mean).powi(2)).sum();
    let rest: f64 = predicted.iter().zip(right).map(|(p, r)| (p - r).powi(2)).sum();
    (total > 0.0).then(|| 1.0 - rest / total)
}

/// Returns the square root of the mean squared error.
pub(super) fn root_mean_square(predicted: &[f64], right: &[f64]) -> f64 {
    let sum: f64 = predicted.iter().zip(right).map(|(p, r)| (p - r).powi(2)).sum();
    (sum / right.len() as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_are_those_of_scikit_learn() {
        // sklearn.metrics.roc_auc_score([0, 0, 1, 1, 1], [0.1, 0.4, 0.35, 0.8, 0.4])
        let scores = [0.1, 0.4, 0.35, 0.8, 0.4];
        let positive = [false, false, true, true, true];
        assert!((area_under_roc(&scores, &positive).unwrap() - 0.75).abs() < 1e-12);
        assert_eq!(area_under_roc(&[0.5], &[true]), None);
        assert!((log_loss([0.9, 0.8, 0.3]) - 0.5108256237659907).abs() < 1e-12);
        assert!((log_loss([1.0, 0.0]) - 18.02182669).abs() < 1e-6);
        assert!(
            (r2(&[2.5, 0.0, 2.0, 8.0], &[3.0, -0.5, 2.0, 7.0]).unwrap() - 0.9486081370449679).abs() < 1e-12
        );
        assert_eq!(r2(&[1.0], &[1.0]), None);
        assert!((root_mean_square(&[1.0, 3.0], &[1.0, 1.0]) - 2f64.sqrt()).abs() < 1e-12);
    }
}
