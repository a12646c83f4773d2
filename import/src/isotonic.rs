//! Errors of probabilities that isotonic calibration gives: its curves are steep where they rise,
//! and flat elsewhere.

use super::{Choice, bound};
use blindscore_client::{Scores, calibrated};
use blindscore_protocol::descriptor::{Curve, Link, Member, ModelDescriptor};

/// Returns the largest error of a probability on some rows, six standard deviations; `None` for a
/// model without isotonic calibration.
pub(crate) fn error_on(choice: &Choice, rows: &[Vec<f64>]) -> Option<f64> {
    let model = choice.model.descriptor();
    let is_isotonic = |member: &Member| member.link == Link::Isotonic;
    if !model.members.iter().any(is_isotonic) {
        return None;
    }
    let errors: Vec<f64> = choice.predicted.iter().map(bound).collect();
    let smooth = choice.smooth_error();
    let rows = rows.iter().map(|row| {
        let scores = Scores::new(model, choice.model.plain_scores(row));
        smooth + error_of(&scores.scores, &errors, model)
    });
    Some(rows.fold(0.0, f64::max))
}

/// Returns how far the isotonic members of a mean may move a probability, at these scores with
/// these errors.
pub(crate) fn error_of(scores: &[f64], errors: &[f64], model: &ModelDescriptor) -> f64 {
    let mut start = 0;
    let members = model.members.iter().map(|member| {
        let own = start..start + member.scores;
        start = own.end;
        match (scores.get(own.clone()), errors.get(own)) {
            (Some(scores), Some(errors)) if member.link == Link::Isotonic => {
                member.weight * largest_move(&member.curves, scores, errors)
            }
            _ => 0.0,
        }
    });
    members.sum()
}

/// Returns how far a probability may move at most, at any scores. Between two classes that is what
/// the curve rises within the error; among several, their sum may be as small as the error.
pub(crate) fn worst(curves: &[Curve], errors: &[f64]) -> f64 {
    let ([curve], [error]) = (curves, errors) else {
        return 1.0;
    };
    // The rise over an interval of one width is largest where one of its ends is a threshold.
    let starts = curve
        .thresholds
        .iter()
        .flat_map(|threshold| [*threshold, threshold - error]);
    let rises = starts.map(|start| {
        let before = curve.thresholds.partition_point(|threshold| *threshold < start);
        // A step at the start itself counts.
        let low = match curve.thresholds.get(before) {
            Some(threshold) if *threshold == start => curve.probabilities[before],
            _ => curve.at(start),
        };
        curve.at(start + error) - low
    });
    rises.fold(0.0, f64::max)
}

fn largest_move(curves: &[Curve], scores: &[f64], errors: &[f64]) -> f64 {
    let moved = |by: f64| -> Vec<f64> {
        let each = curves.iter().zip(scores.iter().zip(errors));
        each.map(|(curve, (score, error))| curve.at(score + by * error))
            .collect()
    };
    let (low, high) = (moved(-1.0), moved(1.0));
    let now = calibrated(curves, scores);
    if let (&[low], &[high], &[_, now]) = (low.as_slice(), high.as_slice(), now.as_slice()) {
        return (high - now).max(now - low);
    }
    let [all_low, all_high] = [&low, &high].map(|each| each.iter().sum::<f64>());
    let equal = 1.0 / now.len() as f64;
    let moves = now.iter().zip(low.iter().zip(&high)).map(|(now, (low, high))| {
        let mut least = share(*low, all_high - high);
        let mut most = share(*high, all_low - low);
        if all_low == 0.0 {
            (least, most) = (least.min(equal), most.max(equal));
        }
        (most - now).max(now - least)
    });
    moves.fold(0.0, f64::max)
}

fn share(part: f64, others: f64) -> f64 {
    let whole = part + others.max(0.0);
    if whole > 0.0 { part / whole } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(points: &[(f64, f64)]) -> Curve {
        let (thresholds, probabilities) = points.iter().copied().unzip();
        Curve {
            thresholds,
            probabilities,
        }
    }

    /// Largest change of a probability over a grid of errors, by trying all.
    fn tried(curves: &[Curve], scores: &[f64], error: f64) -> f64 {
        let now = calibrated(curves, scores);
        let steps = 9usize;
        let mut largest = 0f64;
        for number in 0..steps.pow(scores.len() as u32) {
            let moved: Vec<f64> = scores
                .iter()
                .enumerate()
                .map(|(place, score)| {
                    let step = number / steps.pow(place as u32) % steps;
                    score + error * (step as f64 / 4.0 - 1.0)
                })
                .collect();
            for (now, then) in now.iter().zip(calibrated(curves, &moved)) {
                largest = largest.max((now - then).abs());
            }
        }
        largest
    }

    #[test]
    fn no_error_moves_a_probability_further_than_stated() {
        let steep = curve(&[(-1.0, 0.0), (-0.5, 0.25), (0.0, 0.25), (0.0, 0.5), (0.25, 1.0)]);
        let flat = curve(&[(-1.0, 0.0), (1.0, 0.125)]);
        for error in [0.01, 0.1, 0.5] {
            let worst = worst(std::slice::from_ref(&steep), &[error]);
            for place in -60..60 {
                let score = f64::from(place) / 40.0;
                let one = largest_move(std::slice::from_ref(&steep), &[score], &[error]);
                let found = tried(std::slice::from_ref(&steep), &[score], error);
                assert!(
                    found <= one + 1e-12 && one <= worst + 1e-12,
                    "{score} +- {error}: {found}, {one}, {worst}"
                );
                let three = [steep.clone(), flat.clone(), flat.clone()];
                let scores = [score, -score, score / 2.0];
                let stated = largest_move(&three, &scores, &[error; 3]);
                let found = tried(&three, &scores, error);
                assert!(
                    found <= stated + 1e-12,
                    "{scores:?} +- {error}: {found} beyond {stated}"
                );
                assert!(stated <= 1.0);
            }
        }
    }

    #[test]
    fn flat_parts_have_no_error() {
        let step = curve(&[(0.0, 0.25), (1.0, 0.25), (1.0, 0.75), (2.0, 0.75)]);
        assert_eq!(largest_move(std::slice::from_ref(&step), &[0.5], &[0.25]), 0.0);
        assert_eq!(largest_move(std::slice::from_ref(&step), &[0.9], &[0.25]), 0.5);
        assert_eq!(worst(std::slice::from_ref(&step), &[0.25]), 0.5);
    }
}
