//! How finely inputs are rounded.

use super::ImportError;
use crate::model::{LinearModel, Model, PredictedOutput, predict};

/// Bits of an input, least and most.
const BITS: std::ops::RangeInclusive<u32> = 4..=16;
/// Finer levels than those that add a tenth to the other errors' variance gain nothing.
const WORTHWHILE: f64 = 0.1;
/// Standard deviations that an error stays within: one in five hundred million is larger.
const BOUND: f64 = 6.0;

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

    /// The largest error of a score in its own units: six standard deviations.
    pub fn stated_error(&self) -> f64 {
        self.predicted.iter().map(bound).fold(0.0, f64::max)
    }
}

/// Chooses the number of levels of the inputs: as many as make the scores more precise. Finer levels cost neither bytes nor time; the weights'
/// rounding follows from the parameter set.
///
/// # Errors
/// If the scores' error, six standard deviations, would be more than `max_error` of their range.
pub fn choose(mut linear: LinearModel, max_error: f64) -> Result<Choice, ImportError> {
    linear.input_rounding = true;
    let mut predicted = Vec::new();
    for bits in BITS {
        linear.inputs.levels = 1 << bits;
        predicted = predict(&linear)?;
        let fine = predicted.iter().all(|output| {
            let others = output.error.noise_std.hypot(output.error.rounding_std);
            output.error.input_std.powi(2) <= WORTHWHILE * others.powi(2)
        });
        if fine {
            break;
        }
    }
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

/// The largest error of an output's score, in its units: six standard deviations.
pub fn bound(output: &PredictedOutput) -> f64 {
    BOUND * output.error.std_dev()
}

/// The same as a share of the score's range.
fn relative(output: &PredictedOutput) -> f64 {
    bound(output) / (2.0 * output.half_range)
}
