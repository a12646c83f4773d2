//! Choice of the parameter set and of the number of input levels.

use super::{ImportError, isotonic};
use blindscore_engine::model::{LinearModel, Model, ModelError, PredictedOutput, predict};
use blindscore_protocol::{
    descriptor::{Curve, Link},
    params::LinearParams,
};

/// Allowed bits per input.
const BITS: std::ops::RangeInclusive<u32> = 4..=16;
/// Most levels of an input.
pub const MOST_LEVELS: u32 = 1 << *BITS.end();
/// Input rounding's share of the other errors' variance below which finer levels gain nothing.
const WORTHWHILE_VARIANCE_SHARE: f64 = 0.1;
/// Factor by which a shared range may widen the scores' range before features get their own ranges.
const SHARED_RANGE_FACTOR: f64 = 1.5;
/// Bound of an error in standard deviations; one error in five hundred million exceeds it.
pub(crate) const BOUND: f64 = 6.0;
/// Largest error of a probability with which the default parameter set is chosen.
pub const PROBABILITY: f64 = 1e-3;

/// A model that is ready to be written and served.
pub struct Choice {
    /// Model to write.
    pub linear: LinearModel,
    /// Model to serve.
    pub model: Model,
    /// Predicted error of each output.
    pub predicted: Vec<PredictedOutput>,
}

impl Choice {
    /// Returns the largest error of a score, six standard deviations, as a share of its output's
    /// range.
    pub fn worst(&self) -> f64 {
        self.predicted.iter().map(relative).fold(0.0, f64::max)
    }

    /// Returns the largest error of a probability, six standard deviations, if the model has any.
    pub fn probability_error(&self) -> Option<f64> {
        probability_error(&self.linear, &self.predicted)
    }

    /// Returns the part of that error that doesn't depend on the scores: that of links without
    /// steps.
    pub(crate) fn smooth_error(&self) -> f64 {
        match self.linear.link {
            Link::Mean => mean_error(&self.linear, &self.predicted, |_, _| 0.0),
            _ => self.probability_error().unwrap_or(0.0),
        }
    }

    /// Returns the largest error of a score, six standard deviations, in its own units.
    pub fn stated_error(&self) -> f64 {
        self.predicted.iter().map(bound).fold(0.0, f64::max)
    }
}

/// Chooses the parameter set and the number of input levels: the first set that is precise enough
/// for both scores and probabilities, and as many levels as make the scores more precise. Finer
/// levels cost neither bytes nor time; the weights' rounding follows from the parameter set.
///
/// # Errors
/// If the scores' error, six standard deviations, exceeds `max_error` of their range.
pub fn choose(linear: LinearModel, max_error: f64) -> Result<Choice, ImportError> {
    let (linear, predicted) = finest_needed(linear, max_error)?;
    if let Some(worst) = predicted
        .iter()
        .max_by(|a, b| relative(a).total_cmp(&relative(b)))
        && relative(worst) > max_error
    {
        return Err(ImportError::TooCoarse {
            max_error,
            levels: linear.inputs.levels,
            reached: relative(worst),
            output: worst.label.clone(),
            hint: if linear.inputs.norm.is_none() {
                "; examples for --calibrate make the range smaller"
            } else {
                ""
            },
        });
    }
    let model = Model::from_linear(linear.clone())?;
    Ok(Choice {
        linear,
        model,
        predicted,
    })
}

/// Returns the model with the first parameter set that is precise enough, or else with the last one
/// that reaches the flooding margin.
fn finest_needed(
    linear: LinearModel,
    max_error: f64,
) -> Result<(LinearModel, Vec<PredictedOutput>), ImportError> {
    let enough = |predicted: &[PredictedOutput]| {
        predicted.iter().all(|output| relative(output) <= max_error)
            && probability_error(&linear, predicted).is_none_or(|error| error <= PROBABILITY)
    };
    let (mut chosen, mut predicted) = with_levels(LinearModel {
        params: LinearParams::N2048,
        ..linear.clone()
    })?;
    if !enough(&predicted)
        && let Ok(finer) = with_levels(LinearModel {
            params: LinearParams::N2048_FINE,
            ..linear.clone()
        })
    {
        (chosen, predicted) = finer;
    }
    Ok((chosen, predicted))
}

/// Returns the model with as many levels as are worthwhile.
fn with_levels(mut linear: LinearModel) -> Result<(LinearModel, Vec<PredictedOutput>), ModelError> {
    linear.input_rounding = true;
    let mut bits = *BITS.start();
    loop {
        linear.inputs.levels = 1 << bits;
        let predicted = predict(&linear)?;
        // Each additional bit halves the input rounding error and leaves the others about
        // unchanged.
        let missing = |output: &PredictedOutput| {
            let others = output.error.noise_std.hypot(output.error.rounding_std);
            (output.error.input_std / (others * WORTHWHILE_VARIANCE_SHARE.sqrt()))
                .log2()
                .ceil()
        };
        let more = predicted.iter().map(missing).fold(0.0, f64::max) as u32;
        if more == 0 || bits == *BITS.end() {
            return Ok((linear, predicted));
        }
        bits = (bits + more).min(*BITS.end());
    }
}

/// Prefers the model with one `shared` range, which refuses fewer rows, unless the features' `own`
/// ranges shrink the scores' range, and with it their error, by more than `SHARED_RANGE_FACTOR`.
/// The models differ in these ranges only.
///
/// # Errors
/// If one of them can't be served.
pub(crate) fn shared_or_own(shared: LinearModel, own: LinearModel) -> Result<LinearModel, ImportError> {
    let widest = |linear: &LinearModel| -> Result<f64, ModelError> {
        let outputs = predict(linear)?;
        Ok(outputs.iter().map(|output| output.half_range).fold(0.0, f64::max))
    };
    Ok(if widest(&shared)? <= SHARED_RANGE_FACTOR * widest(&own)? {
        shared
    } else {
        own
    })
}

/// Returns the largest error of a probability, six standard deviations; `None` without
/// probabilities.
///
/// A sigmoid's slope is at most 1/4. For a softmax, `dp = p ((1 - p) ds - sum_j p_j ds_j)`, whose
/// standard deviation for independent errors `ds` is at most `p (1 - p) sqrt(2)`; likewise for
/// one-vs-rest. Errors of an average add up by their weights; a hard vote has none, or moves a
/// probability by its weight, if its score is closer to a tie than its error.
fn probability_error(linear: &LinearModel, predicted: &[PredictedOutput]) -> Option<f64> {
    match linear.link {
        Link::Mean => Some(mean_error(linear, predicted, |curves, outputs| {
            let errors: Vec<f64> = outputs.iter().map(bound).collect();
            isotonic::worst(curves, &errors)
        })),
        link => Some(slope(link)? * largest_bound(predicted)),
    }
}

/// Returns the error of an average, to which isotonic members contribute what `isotonic` gives.
fn mean_error(
    linear: &LinearModel,
    predicted: &[PredictedOutput],
    isotonic: impl Fn(&[Curve], &[PredictedOutput]) -> f64,
) -> f64 {
    let mut rest = predicted;
    let errors = linear.members.iter().map(|member| {
        let (own, others) = rest.split_at(member.scores.min(rest.len()));
        rest = others;
        let error = match member.link {
            Link::Isotonic => isotonic(&member.curves, own),
            link => slope(link).unwrap_or(0.0) * largest_bound(own),
        };
        member.weight * error
    });
    errors.sum()
}

/// Returns how much a probability may move with a score; `None` for a link without probabilities,
/// or with curves of its own.
pub(crate) const fn slope(link: Link) -> Option<f64> {
    match link {
        Link::Identity | Link::Exp | Link::Isotonic | Link::Mean | Link::OneVsOne | Link::Votes => None,
        Link::Sigmoid => Some(0.25),
        // Errors add up to none, as the scores do to one.
        Link::Probability => Some(1.0),
        Link::Softmax | Link::OneVsRest => Some(0.25 * std::f64::consts::SQRT_2),
    }
}

fn largest_bound(outputs: &[PredictedOutput]) -> f64 {
    outputs.iter().map(bound).fold(0.0, f64::max)
}

/// Returns the largest error of an output's score, six standard deviations, in its own units.
pub fn bound(output: &PredictedOutput) -> f64 {
    BOUND * output.error.std_dev()
}

/// Returns the same as a share of the score's range.
fn relative(output: &PredictedOutput) -> f64 {
    bound(output) / (2.0 * output.half_range)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use blindscore_engine::model::Salt;
    use blindscore_protocol::descriptor::{Inputs, Member, Task};

    /// A choice for a classifier of two features, with weights of 1.
    pub(crate) fn classifier(link: Link, scores: usize, classes: &[&str], members: Vec<Member>) -> Choice {
        let linear = LinearModel {
            params: LinearParams::N2048,
            salt: Salt::fresh().unwrap(),
            name: "toy".parse().unwrap(),
            title: "A toy".into(),
            inputs: Inputs::uniform(2, 0.0, 1.0, MOST_LEVELS),
            labels: (0..scores).map(|score| score.to_string()).collect(),
            task: Task::Classification,
            classes: (!classes.is_empty()).then(|| classes.iter().map(|&class| class.to_owned()).collect()),
            link,
            members,
            input_rounding: true,
            accuracy: None,
            coef: (1..=scores).map(|score| vec![1.0, score as f64]).collect(),
            intercept: vec![0.0; scores],
        };
        choose(linear, 1e-2).unwrap()
    }

    pub(crate) fn member(link: Link, scores: usize, weight: f64) -> Member {
        Member {
            link,
            scores,
            weight,
            curves: Vec::new(),
        }
    }

    #[test]
    fn errors_of_an_average_add_up_by_its_weights() {
        let rise = Curve {
            thresholds: vec![0.0, 1.0],
            probabilities: vec![0.25, 0.75],
        };
        let isotonic = Member {
            curves: vec![rise],
            ..member(Link::Isotonic, 1, 0.125)
        };
        let members = vec![
            member(Link::Sigmoid, 1, 0.5),
            member(Link::Softmax, 2, 0.25),
            member(Link::Identity, 1, 0.125),
            isotonic,
        ];
        let choice = classifier(Link::Mean, 5, &["no", "yes"], members);
        let errors: Vec<f64> = choice.predicted.iter().map(bound).collect();
        assert!(errors.iter().all(|error| *error > 0.0 && *error < 0.1));
        let softmax = errors[1].max(errors[2]) * 2f64.sqrt() / 4.0;
        // A hard vote adds nothing.
        let smooth = 0.5 * errors[0] / 4.0 + 0.25 * softmax;
        assert!((choice.smooth_error() - smooth).abs() < 1e-15);
        let all = smooth + 0.125 * errors[4] / 2.0;
        assert!((choice.probability_error().unwrap() - all).abs() < 1e-15);
    }

    #[test]
    fn only_probabilities_have_an_error() {
        let of = |link, scores, classes: &[&str]| classifier(link, scores, classes, Vec::new());
        let choice = of(Link::Sigmoid, 1, &["no", "yes"]);
        assert_eq!(
            choice.probability_error(),
            Some(bound(&choice.predicted[0]) / 4.0)
        );
        assert_eq!(choice.smooth_error(), bound(&choice.predicted[0]) / 4.0);
        assert_eq!(of(Link::Identity, 3, &[]).probability_error(), None);
        assert_eq!(of(Link::Votes, 3, &["a", "b", "c"]).probability_error(), None);
    }
}
