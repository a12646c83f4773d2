//! How finely inputs are rounded.

use super::ImportError;
use crate::model::{LinearModel, Model, ModelError, PredictedOutput, predict};
use blindscore_protocol::{descriptor::Link, params::LinearParams};

/// Bits of an input, least and most.
const BITS: std::ops::RangeInclusive<u32> = 4..=16;
/// Levels of an input, at most.
pub const MOST_LEVELS: u32 = 1 << *BITS.end();
/// Finer levels than those that add a tenth to the other errors' variance gain nothing.
const WORTHWHILE: f64 = 0.1;
/// Times that the scores' range may be larger before features get ranges of their own.
const MUCH: f64 = 1.5;
/// Standard deviations that an error stays within: one in five hundred million is larger.
pub const BOUND: f64 = 6.0;
/// Largest error of a probability with which the usual parameter set is taken.
const PROBABILITY: f64 = 1e-3;

/// A model that is ready to be written and served.
pub struct Choice {
    /// What is written.
    pub linear: LinearModel,
    /// What is served.
    pub model: Model,
    /// The error to expect of each output.
    pub predicted: Vec<PredictedOutput>,
}

impl Choice {
    /// The largest error, as a share of its output's range, that a score will have: six standard deviations.
    pub fn worst(&self) -> f64 {
        self.predicted.iter().map(relative).fold(0.0, f64::max)
    }

    /// The largest error of a probability, if the model has probabilities: six standard deviations.
    pub fn probability_error(&self) -> Option<f64> {
        probability_error(self.linear.link, &self.predicted)
    }

    /// The largest error of a score in its own units: six standard deviations.
    pub fn stated_error(&self) -> f64 {
        self.predicted.iter().map(bound).fold(0.0, f64::max)
    }
}

/// Chooses the parameter set and the number of levels of the inputs: the first set with which both the scores and the probabilities are precise
/// enough, and as many levels as make the scores more precise. Finer levels cost neither bytes nor time; the weights' rounding follows from the
/// parameter set.
///
/// # Errors
/// If the scores' error, six standard deviations, would be more than `max_error` of their range.
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

/// The model with the first parameter set that is precise enough; if none is, with the last one that has the flooding margin.
fn finest_needed(
    linear: LinearModel,
    max_error: f64,
) -> Result<(LinearModel, Vec<PredictedOutput>), ImportError> {
    let enough = |predicted: &[PredictedOutput]| {
        predicted.iter().all(|output| relative(output) <= max_error)
            && probability_error(linear.link, predicted).is_none_or(|error| error <= PROBABILITY)
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

/// The model with as many levels as are worthwhile.
fn with_levels(mut linear: LinearModel) -> Result<(LinearModel, Vec<PredictedOutput>), ModelError> {
    linear.input_rounding = true;
    let mut bits = *BITS.start();
    loop {
        linear.inputs.levels = 1 << bits;
        let predicted = predict(&linear)?;
        // Each bit more halves the error of rounding the inputs, and leaves the others about as they are.
        let missing = |output: &PredictedOutput| {
            let others = output.error.noise_std.hypot(output.error.rounding_std);
            (output.error.input_std / (others * WORTHWHILE.sqrt()))
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

/// Of two models that differ in the ranges of their features only, the one with a `shared` range, which refuses fewer rows, unless ranges of their
/// `own` make the scores' range, and with it their error, much smaller.
///
/// # Errors
/// If one of them can't be served.
pub fn shared_or_own(shared: LinearModel, own: LinearModel) -> Result<LinearModel, ImportError> {
    let widest = |linear: &LinearModel| -> Result<f64, ModelError> {
        let outputs = predict(linear)?;
        Ok(outputs.iter().map(|output| output.half_range).fold(0.0, f64::max))
    };
    Ok(if widest(&shared)? <= MUCH * widest(&own)? {
        shared
    } else {
        own
    })
}

/// The largest error of a probability, six standard deviations; none if there are no probabilities.
///
/// A sigmoid's slope is at most 1/4. Of a softmax, `dp = p ((1 - p) ds - sum_j p_j ds_j)`, whose deviation for independent errors `ds` is at most
/// `p (1 - p) sqrt(2)`, and likewise for one against the rest.
fn probability_error(link: Link, predicted: &[PredictedOutput]) -> Option<f64> {
    let slope = match link {
        Link::Identity => return None,
        Link::Sigmoid => 0.25,
        Link::Softmax | Link::OneVsRest => 0.25 * std::f64::consts::SQRT_2,
    };
    Some(slope * predicted.iter().map(bound).fold(0.0, f64::max))
}

/// The largest error of an output's score, in its units: six standard deviations.
pub fn bound(output: &PredictedOutput) -> f64 {
    BOUND * output.error.std_dev()
}

/// The same as a share of the score's range.
fn relative(output: &PredictedOutput) -> f64 {
    bound(output) / (2.0 * output.half_range)
}
