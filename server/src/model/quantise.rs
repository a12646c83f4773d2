//! From floating-point weights to integers on the torus.

use super::{LinearModel, Model, ModelError, Plain};
use crate::engine::{Engine, IntegerOutput, LinearEngine};
use blindscore_protocol::{
    descriptor::{Inputs, ModelDescriptor, Output, Sizes},
    ids::ModelId,
    noise::ScoreNoise,
    params::{LinearParams, ParameterSet},
    wire::FORMAT_VERSION,
};

/// A score may take the inner part of the torus; what is left keeps rounding and noise from wrapping around.
const HEADROOM: f64 = 1.0 / 256.0;
/// The least flooding margin, in bits, with which a model is served.
const LEAST_MARGIN: f64 = 8.0;
/// A score in a query's product is a torus element of at most a quarter: packing doubles it to a half.
const QUARTER: f64 = (1u64 << 62) as f64;

/// What the error of one decrypted score will be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PredictedError {
    /// Noise, as variances on the torus.
    pub noise: ScoreNoise,
    /// Standard deviation that the noise gives the score, in its own units.
    pub noise_std: f64,
    /// Bound of the root mean square error from rounding the weights, in the score's units, with all inputs at their largest.
    pub rounding_std: f64,
}

impl PredictedError {
    /// Standard deviation of both together.
    pub fn std_dev(&self) -> f64 {
        self.noise_std.hypot(self.rounding_std)
    }
}

/// Quantises a model for the parameter set that there is, and prepares its engine.
///
/// # Errors
/// If its numbers are out of range, or the precision or the flooding margin can't be had.
pub(super) fn prepare(float: LinearModel) -> Result<Model, ModelError> {
    let params = LinearParams::N2048;
    let set = ParameterSet::Linear(params);
    let input_step_log2 = input_step(&params, &float.inputs);
    let outputs = (0..float.coef.len())
        .map(|index| QuantisedOutput::new(&params, &float, index, input_step_log2))
        .collect::<Result<Vec<_>, _>>()?;
    let mut descriptor = ModelDescriptor {
        name: float.name.clone(),
        id: ModelId::NONE,
        title: float.title.clone(),
        formats: vec![FORMAT_VERSION],
        parameter_set: params.name.to_owned(),
        inputs: float.inputs.clone(),
        input_step: 1 << input_step_log2,
        outputs: outputs.iter().map(|output| output.description.clone()).collect(),
        link: float.link,
        sizes: Sizes::of(&set, float.inputs.count, float.coef.len()),
        score_error: outputs
            .iter()
            .map(|output| output.predicted.std_dev())
            .fold(0.0, f64::max),
        accuracy: float.accuracy,
    };
    descriptor.parse()?;
    let (predicted, integers): (Vec<_>, Vec<_>) = outputs
        .into_iter()
        .map(|output| (output.predicted, output.integers))
        .unzip();
    descriptor.id = fingerprint(&descriptor, &integers);
    let engine = Engine::Linear(LinearEngine::new(params, &integers));
    Ok(Model {
        descriptor,
        set,
        engine,
        plain: Plain::Linear {
            model: float,
            predicted,
        },
    })
}

/// Chooses the torus step of one input level: the largest, so that weights and with them the query's noise stay small, with which
/// rounding the weights costs at most half of the precision that the response has anyway.
fn input_step(params: &LinearParams, inputs: &Inputs) -> u32 {
    let response_std = ScoreNoise::predict(params, 0.0, true).std_dev() * 2f64.powi(64);
    // In the product, before packing doubles it: half the response's deviation, and half of that.
    let allowed = response_std / 4.0;
    let per_unit_of_step = f64::from(inputs.levels - 1) * (inputs.count as f64 / 12.0).sqrt();
    (allowed / per_unit_of_step).log2().floor().clamp(1.0, 62.0) as u32
}

struct QuantisedOutput {
    description: Output,
    integers: IntegerOutput,
    predicted: PredictedError,
}

impl QuantisedOutput {
    fn new(
        params: &LinearParams,
        float: &LinearModel,
        index: usize,
        input_step_log2: u32,
    ) -> Result<Self, ModelError> {
        let Inputs { min, max, levels, .. } = float.inputs;
        let label = float.labels[index].clone();
        let top = f64::from(levels - 1);
        let level = (max - min) / top;
        // The score of an input is base + sum_i weight_i * level_i, with levels from 0 to top.
        let weights: Vec<f64> = float.coef[index].iter().map(|w| w * level).collect();
        let base = float.intercept[index] + float.coef[index].iter().sum::<f64>() * min;
        let lowest = base + top * weights.iter().map(|w| w.min(0.0)).sum::<f64>();
        let highest = base + top * weights.iter().map(|w| w.max(0.0)).sum::<f64>();
        let offset = (highest + lowest) / 2.0;
        // A constant score still needs a range to be written in.
        let half_range = ((highest - lowest) / 2.0).max(1e-6 * offset.abs().max(1.0)) * (1.0 + HEADROOM);

        let step = 2f64.powi(input_step_log2 as i32);
        let scale = QUARTER / half_range / step;
        let integers = IntegerOutput {
            weights: weights.iter().map(|w| (w * scale).round() as i64).collect(),
            intercept: ((base - offset) / half_range * QUARTER).round() as i64 as u64,
        };
        let squared_norm = integers.weights.iter().map(|&w| (w as f64).powi(2)).sum();
        let noise = ScoreNoise::predict(params, squared_norm, true);
        let rounding = top * step * (float.inputs.count as f64 / 12.0).sqrt();
        let predicted = PredictedError {
            noise,
            // The phase, doubled, fills [-1/2, 1/2) of the torus with [-half_range, half_range).
            noise_std: 2.0 * half_range * noise.std_dev(),
            rounding_std: half_range * rounding / QUARTER,
        };
        let output = Self {
            description: Output {
                label,
                offset,
                half_range,
            },
            integers,
            predicted,
        };
        output.check(top, step)?;
        Ok(output)
    }

    /// No input within its range may bring the phase, with six deviations of noise, out of the half torus.
    fn check(&self, top: f64, step: f64) -> Result<(), ModelError> {
        let refuse = |problem| {
            Err(ModelError::Precision {
                place: format!("output {:?}", self.description.label),
                problem,
            })
        };
        let extreme = |sign: f64| {
            let sum: f64 = self
                .integers
                .weights
                .iter()
                .map(|&w| (w as f64 * sign).max(0.0))
                .sum();
            sign * sum * top * step + self.integers.intercept as i64 as f64
        };
        let noise = 6.0 * self.predicted.noise.std_dev() * 2f64.powi(63);
        let reach = extreme(1.0).max(-extreme(-1.0)) + noise;
        if reach >= QUARTER {
            return refuse(format!(
                "scores reach {:.4} of the range that the response can hold",
                reach / QUARTER
            ));
        }
        let margin = self.predicted.noise.flooding_margin();
        if margin.bits() < LEAST_MARGIN {
            return refuse(format!(
                "the flooding margin is {:.1} bits, less than {LEAST_MARGIN}: fewer features or input levels are needed",
                margin.bits()
            ));
        }
        Ok(())
    }
}

/// Changes when anything changes that a query or a response depends on.
fn fingerprint(descriptor: &ModelDescriptor, integers: &[IntegerOutput]) -> ModelId {
    // A struct of numbers and strings always serialises.
    let mut content = serde_json::to_vec(descriptor).unwrap_or_default();
    for output in integers {
        content.extend(output.weights.iter().flat_map(|weight| weight.to_le_bytes()));
        content.extend(output.intercept.to_le_bytes());
    }
    ModelId::of(&content)
}
