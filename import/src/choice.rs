//! Choice of the parameter set and of the number of input levels.

use super::ImportError;
use blindscore_engine::model::{LinearModel, Model, ModelError, PredictedOutput, predict};
use blindscore_protocol::{descriptor::Link, params::LinearParams};

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
    let slope = |link: Link| match link {
        Link::Identity | Link::Exp | Link::Mean | Link::OneVsOne | Link::Votes => None,
        Link::Sigmoid => Some(0.25),
        Link::Softmax | Link::OneVsRest => Some(0.25 * std::f64::consts::SQRT_2),
    };
    let largest = |outputs: &[PredictedOutput]| outputs.iter().map(bound).fold(0.0, f64::max);
    if linear.link != Link::Mean {
        return Some(slope(linear.link)? * largest(predicted));
    }
    let mut rest = predicted;
    let errors = linear.members.iter().map(|member| {
        let (own, others) = rest.split_at(member.scores.min(rest.len()));
        rest = others;
        member.weight * slope(member.link).unwrap_or(0.0) * largest(own)
    });
    Some(errors.sum())
}

/// Returns the largest error of an output's score, six standard deviations, in its own units.
pub fn bound(output: &PredictedOutput) -> f64 {
    BOUND * output.error.std_dev()
}

/// Returns the same as a share of the score's range.
fn relative(output: &PredictedOutput) -> f64 {
    bound(output) / (2.0 * output.half_range)
}
