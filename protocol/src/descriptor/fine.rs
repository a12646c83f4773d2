//! Scores that are sent twice.

/// Returns the phase of a score, as a part of the torus from -1/2 to 1/2, from its phase as sent
/// first, and from `factor` times the same, as sent more precisely. Both are known modulo whole
/// turns only.
///
/// Of the phases that the finer one may stand for, it is the closest to the coarse one.
pub fn finer_phase(coarse: f64, fine: f64, factor: f64) -> f64 {
    let coarse = coarse - coarse.round();
    let turns = (coarse * factor - fine).round();
    (turns + fine) / factor
}

/// Returns the levels of features as they are sent, in units of the smallest step: all of them,
/// and, if there is a factor, all of them again with a step that many times smaller.
pub fn sent_levels(levels: &[u32], factor: Option<u32>) -> Vec<i64> {
    let coarse = i64::from(factor.unwrap_or(1));
    let factors = [Some(coarse), factor.map(|_| 1)].into_iter().flatten();
    factors
        .flat_map(|factor| levels.iter().map(move |level| i64::from(*level) * factor))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_finer_phase_is_used_where_the_coarse_one_says() {
        for phase in [-0.4999, -0.31, -0.0312, 0.0, 0.0156, 0.2, 0.49] {
            let product = phase * 16.0;
            let fine = product - f64::round(product);
            for error in [-0.03, -0.01, 0.0, 0.02, 0.031] {
                // Errors may move a phase past the ends.
                if f64::abs(phase + error) > 0.5 {
                    continue;
                }
                for turns in [-2.0, 0.0, 1.0] {
                    let found = finer_phase(phase + error + turns, fine - turns, 16.0);
                    assert!((found - phase).abs() < 1e-12, "{phase} off by {error}: {found}");
                }
            }
        }
        // Half of the finer range is too much.
        assert!((finer_phase(0.2 + 0.035, 3.2 - 3.0, 16.0) - 0.2).abs() > 0.06);
    }

    #[test]
    fn features_are_sent_once_or_twice() {
        assert_eq!(sent_levels(&[3, 0, 7], None), [3, 0, 7]);
        assert_eq!(sent_levels(&[3, 0, 7], Some(32)), [96, 0, 224, 3, 0, 7]);
    }
}
