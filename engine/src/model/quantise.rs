//! Quantisation of floating-point weights to integers on the torus.

use super::{LinearModel, Model, ModelError, Plain, Salt};
use crate::{Engine, IntegerOutput, LinearEngine};
use blindscore_protocol::{
    descriptor::{self, Answer, Inputs, ModelDescriptor, NormBound, Output, Sizes},
    encoding::{Encoding, OneHotGroup},
    ids::ModelId,
    noise::ScoreNoise,
    params::{LinearParams, ParameterSet},
    wire::FORMAT_VERSION,
};

/// Relative margin around a score's range, so that rounding and noise don't wrap around the torus.
const HEADROOM: f64 = 1.0 / 256.0;
/// Grid of a published range, relative to the power of two below half its width.
const GRID: f64 = 1.0 / 128.0;
/// Smallest flooding margin, in bits, with which a model is served.
const LEAST_MARGIN: f64 = 8.0;
/// Largest torus element of a score before packing, which doubles it to half the torus.
const QUARTER: f64 = (1u64 << 62) as f64;

/// Predicted error of one decrypted score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PredictedError {
    /// Noise, as variances on the torus.
    pub noise: ScoreNoise,
    /// Standard deviation of the score from the noise, in the score's units.
    pub noise_std: f64,
    /// Bound on the root mean square error from rounding the weights, in the score's units, for the
    /// largest allowed inputs.
    pub rounding_std: f64,
    /// Standard deviation from rounding the inputs to their levels; 0 if they lie on levels.
    pub input_std: f64,
}

impl PredictedError {
    /// Returns the standard deviation of all errors together.
    pub fn std_dev(&self) -> f64 {
        self.noise_std.hypot(self.rounding_std).hypot(self.input_std)
    }
}

/// Predicted error of one output.
#[derive(Clone, Debug, PartialEq)]
pub struct PredictedOutput {
    /// Label of the output.
    pub label: String,
    /// Half the width of an interval that contains the score of every input.
    pub half_range: f64,
    /// Largest magnitude of an integer weight.
    pub largest_weight: u64,
    /// Error by source.
    pub error: PredictedError,
}

/// Predicts the errors of a model's outputs without preparing it.
///
/// # Errors
/// Same as for preparing it.
pub fn predict(float: &LinearModel) -> Result<Vec<PredictedOutput>, ModelError> {
    let domain = Domain::of(&float.inputs);
    let step = domain.input_step(&float.params, float.coef.len());
    let outputs = (0..float.coef.len()).map(|index| {
        let output = QuantisedOutput::new(float, index, &domain, step)?;
        Ok(PredictedOutput {
            label: output.description.label,
            half_range: output.description.half_range,
            largest_weight: output
                .integers
                .weights
                .iter()
                .map(|w| w.unsigned_abs())
                .max()
                .unwrap_or(0),
            error: output.predicted,
        })
    });
    outputs.collect()
}

/// Quantises a model for its parameter set and prepares its engine.
///
/// # Errors
/// If its numbers are out of range, or the precision or the flooding margin is out of reach.
pub(super) fn prepare(float: LinearModel) -> Result<Model, ModelError> {
    let params = float.params;
    let set = ParameterSet::Linear(params);
    let domain = Domain::of(&float.inputs);
    let input_step_log2 = domain.input_step(&params, float.coef.len());
    let outputs = (0..float.coef.len())
        .map(|index| QuantisedOutput::new(&float, index, &domain, input_step_log2))
        .collect::<Result<Vec<_>, _>>()?;
    let mut descriptor = ModelDescriptor {
        name: float.name.to_string(),
        id: ModelId::NONE,
        title: float.title.clone(),
        formats: vec![FORMAT_VERSION],
        parameter_set: params.name.to_owned(),
        inputs: float.inputs.clone(),
        input_step: 1 << input_step_log2,
        outputs: outputs.iter().map(|output| output.description.clone()).collect(),
        task: float.task,
        classes: float.classes.clone(),
        link: float.link,
        members: float.members.clone(),
        answer: Answer::Scores,
        fine_features: None,
        fine: None,
        sizes: Sizes::of(&set, float.inputs.count, float.coef.len()),
        score_error: two_digits_up(
            outputs
                .iter()
                .map(|output| output.predicted.std_dev())
                .fold(0.0, f64::max),
        ),
        accuracy: float.accuracy,
        batch: None,
        version: None,
    };
    let (predicted, integers): (Vec<_>, Vec<_>) = outputs
        .into_iter()
        .map(|output| (output.predicted, output.integers))
        .unzip();
    descriptor.id = fingerprint(&descriptor, &integers, &float.salt)?;
    let described = descriptor::CheckedDescriptor::try_from(descriptor)?;
    let engine = Engine::Linear(LinearEngine::new(params, &integers));
    let plain = Plain::Linear {
        model: Box::new(float),
        predicted,
    };
    Ok(Model::new(described, engine, plain))
}

/// Vectors of levels that a client may send: a box in which at most one feature of each one-hot
/// group is not at its lowest level, perhaps cut by a ball around a vector of equal levels.
struct Domain {
    /// Largest level.
    top: f64,
    /// Level from which distances count.
    centre: i64,
    /// Largest Euclidean distance from the centre.
    radius: f64,
    /// Whether a ball bounds the inputs, besides the box.
    is_ball: bool,
    /// Features of which at most one is at the largest level, and the others at the lowest.
    groups: Vec<OneHotGroup>,
    /// Whether each feature is in a group.
    grouped: Vec<bool>,
}

impl Domain {
    fn of(inputs: &Inputs) -> Self {
        let top = f64::from(inputs.levels - 1);
        let groups = inputs
            .encoding
            .as_ref()
            .map_or_else(Vec::new, Encoding::one_hot_groups);
        // Other ranges than 0 to 1 would put 0 and 1 on other levels.
        let is_unit = |feature| inputs.range(feature) == (0.0, 1.0);
        let groups: Vec<OneHotGroup> = groups
            .into_iter()
            .filter(|group| group.features.clone().all(is_unit))
            .collect();
        let mut grouped = vec![false; inputs.count];
        for group in &groups {
            grouped[group.features.clone()].fill(true);
        }
        let free = grouped.iter().filter(|grouped| !**grouped).count();
        // A group's one level counts as much as a feature's.
        let diagonal = ((free + groups.len()) as f64).sqrt();
        let (centre, radius, is_ball) = match inputs.norm {
            None => (0, top * diagonal, false),
            Some(NormBound { centre, max }) => {
                // Rounding moves each level by up to a half, and the centre too unless it is an end
                // of the ranges. Levels of groups aren't rounded.
                let moved = (centre * top - (centre * top).round()).abs();
                let rounded = ((free as f64) * (0.5 + moved).powi(2)
                    + ((inputs.count - free) as f64) * moved.powi(2))
                .sqrt();
                let ball = max * top + rounded;
                let centre = (centre * top).round() as i64;
                let radius = if centre == 0 {
                    ball.min(top * diagonal)
                } else {
                    ball
                };
                (centre, radius, true)
            }
        };
        Self {
            top,
            centre,
            radius,
            is_ball,
            groups,
            grouped,
        }
    }

    /// Chooses the torus step of one input level, as its log2: the largest step for which rounding
    /// the weights costs at most half of the response's own precision. A large step keeps the
    /// weights, and with them the query's noise, small.
    fn input_step(&self, params: &LinearParams, outputs: usize) -> u32 {
        let response_std = ScoreNoise::predict(params, 0.0, outputs > 1).std_dev() * 2f64.powi(64);
        // Half the response's standard deviation; halved again, because packing doubles the
        // product.
        let allowed = response_std / 4.0;
        let per_unit_of_step = self.radius / 12f64.sqrt();
        (allowed / per_unit_of_step).log2().floor().clamp(1.0, 62.0) as u32
    }

    /// Moves the weights of each group of which one feature is always at the largest level, so that
    /// they are small, and returns what makes up for it in every score.
    fn centred(&self, weights: &mut [f64]) -> f64 {
        let mut moved = 0.0;
        for group in self.groups.iter().filter(|group| group.certain) {
            let weights = &mut weights[group.features.clone()];
            let least = weights.iter().copied().fold(f64::INFINITY, f64::min);
            let most = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let middle = (least + most) / 2.0;
            weights.iter_mut().for_each(|weight| *weight -= middle);
            moved += self.top * middle;
        }
        moved
    }

    /// Returns a score's weights by level, and its value at the centre: the score is
    /// `base + sum_i weight_i * level_i = middle + sum_i weight_i * (level_i - centre)`.
    fn by_level(&self, inputs: &Inputs, coef: &[f64], intercept: f64) -> (Vec<f64>, f64) {
        let weights = coef.iter().enumerate().map(|(index, coef)| {
            let (min, max) = inputs.range(index);
            coef * ((max - min) / self.top)
        });
        let mut weights: Vec<f64> = weights.collect();
        let at_min: f64 = match &inputs.features {
            None => coef.iter().sum::<f64>() * inputs.min,
            Some(features) => coef
                .iter()
                .zip(features)
                .map(|(coef, feature)| coef * feature.min)
                .sum(),
        };
        let base = intercept + at_min + self.centred(&mut weights);
        let middle = base + self.centre as f64 * weights.iter().sum::<f64>();
        (weights, middle)
    }

    /// Returns the least and the largest value of `sum_i weights_i * (level_i - centre)`: in the
    /// box and the groups, and in the ball by Cauchy-Schwarz.
    fn interval(&self, weights: &[f64]) -> (f64, f64) {
        let centre = self.centre as f64;
        let (mut low, mut high) = (0.0, 0.0);
        for (weight, grouped) in weights.iter().zip(&self.grouped) {
            if *grouped {
                // All at the lowest level.
                low -= centre * weight;
                high -= centre * weight;
            } else {
                low += (self.top - centre) * weight.min(0.0) - centre * weight.max(0.0);
                high += (self.top - centre) * weight.max(0.0) - centre * weight.min(0.0);
            }
        }
        for group in &self.groups {
            let weights = weights[group.features.clone()].iter().copied();
            let start = if group.certain { None } else { Some(0.0) };
            let all = || weights.clone().chain(start);
            low += self.top * all().fold(f64::INFINITY, f64::min);
            high += self.top * all().fold(f64::NEG_INFINITY, f64::max);
        }
        if !self.is_ball {
            return (low, high);
        }
        let reach = self.radius * weights.iter().map(|w| w * w).sum::<f64>().sqrt();
        (low.max(-reach), high.min(reach))
    }
}

/// Returns the least and the largest value that a linear score has on any input.
pub fn bounds(inputs: &Inputs, coef: &[f64], intercept: f64) -> (f64, f64) {
    let domain = Domain::of(inputs);
    let (weights, middle) = domain.by_level(inputs, coef, intercept);
    let (low, high) = domain.interval(&weights);
    (middle + low, middle + high)
}

/// Returns the range of a score for its descriptor, from its least and largest value: the middle,
/// and half the width.
///
/// Exact ends would reveal exact sums of the weights: `sum |w|` and `intercept + sum w / 2`. So
/// half the width is rounded up to a grid of between 1/128 and 1/256 of itself, and the middle to
/// the nearest half step of the grid: two to three decimal digits, for at most 1 % of precision.
fn published_range(lowest: f64, highest: f64) -> (f64, f64) {
    let middle = (highest + lowest) / 2.0;
    let width = (highest - lowest) / 2.0;
    // A constant score still needs a nonzero range. Scores that vary little about a large mean are
    // as precise as the mean's digits.
    let least = 1e-6
        * if width > 0.0 {
            middle.abs()
        } else {
            middle.abs().max(1.0)
        };
    let half = width.max(least) * (1.0 + HEADROOM);
    let grid = 2f64.powf(half.log2().floor()) * GRID;
    let offset = (middle / (grid / 2.0)).round() * (grid / 2.0);
    let half_range = ((half + (middle - offset).abs()) / grid).ceil() * grid;
    (offset, half_range)
}

/// Rounds a number up to two significant digits, because the error of the scores depends on the
/// weights too.
pub(super) fn two_digits_up(value: f64) -> f64 {
    if !(value > 0.0 && value.is_finite()) {
        return value;
    }
    let unit = 10f64.powf(value.log10().floor() - 1.0);
    // Keeps a value that already has two digits.
    (value / unit - 1e-9).ceil() * unit
}

struct QuantisedOutput {
    description: Output,
    integers: IntegerOutput,
    predicted: PredictedError,
}

impl QuantisedOutput {
    fn new(
        float: &LinearModel,
        index: usize,
        domain: &Domain,
        input_step_log2: u32,
    ) -> Result<Self, ModelError> {
        let (weights, middle) = domain.by_level(&float.inputs, &float.coef[index], float.intercept[index]);
        let (low, high) = domain.interval(&weights);
        let (lowest, highest) = (middle + low, middle + high);
        let (offset, half_range) = published_range(lowest, highest);

        let step = 2f64.powi(input_step_log2 as i32);
        let scale = QUARTER / half_range / step;
        let rounded: Vec<i64> = weights.iter().map(|w| (w * scale).round() as i64).collect();
        let middle_phase = (middle - offset) / half_range * QUARTER;
        // The intercept makes up for rounded weights at the centre, so their errors count by the
        // distance from it.
        let at_centre = rounded
            .iter()
            .fold(0i64, |sum, w| sum.wrapping_add(w.wrapping_mul(domain.centre)));
        let integers = IntegerOutput {
            weights: rounded,
            // Modulo 2^64: the phase at the centre may lie outside the range of scores.
            intercept: (middle_phase.round() as i128 as i64).wrapping_sub(at_centre << input_step_log2)
                as u64,
        };
        // Pairs of scores share a ciphertext; the last of an odd number has its own.
        let packed = index + 1 < float.coef.len() || index % 2 == 1;
        let squared_norm = integers.weights.iter().map(|&w| (w as f64).powi(2)).sum();
        let noise = ScoreNoise::predict(&float.params, squared_norm, packed);
        // Features of one-hot groups lie on levels.
        let rounded_inputs = weights
            .iter()
            .zip(&domain.grouped)
            .filter(|(_, grouped)| !**grouped);
        let input_rounding = rounded_inputs.map(|(w, _)| w * w).sum::<f64>() / 12.0;
        let predicted = PredictedError {
            noise,
            // Doubled, the phase fills [-1/2, 1/2) of the torus with [-half_range, half_range).
            noise_std: 2.0 * half_range * noise.std_dev(),
            rounding_std: half_range * (step * domain.radius / 12f64.sqrt()) / QUARTER,
            input_std: if float.input_rounding {
                input_rounding.sqrt()
            } else {
                0.0
            },
        };
        let output = Self {
            description: Output {
                label: float.labels[index].clone(),
                offset,
                half_range,
            },
            integers,
            predicted,
        };
        output.check(domain, middle_phase, step)?;
        Ok(output)
    }

    /// Refuses an output whose phase, with six standard deviations of noise, could leave the half
    /// torus on an allowed input, or whose flooding margin is too small.
    fn check(&self, domain: &Domain, middle_phase: f64, step: f64) -> Result<(), ModelError> {
        let refuse = |problem| {
            Err(ModelError::Precision {
                place: format!("output {:?}", self.description.label),
                problem,
            })
        };
        let weights: Vec<f64> = self.integers.weights.iter().map(|&w| w as f64).collect();
        let (low, high) = domain.interval(&weights);
        let noise = 6.0 * self.predicted.noise.std_dev() * 2f64.powi(63);
        let reach = (high * step + middle_phase).max(-(low * step + middle_phase)) + noise;
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

/// Hashes everything that a query or a response depends on. The salt keeps the id from confirming
/// guesses of the weights.
fn fingerprint(
    descriptor: &ModelDescriptor,
    integers: &[IntegerOutput],
    salt: &Salt,
) -> Result<ModelId, ModelError> {
    // Without the descriptor, different models could share an id.
    let mut content = serde_json::to_vec(descriptor)
        .map_err(|error| ModelError::field("descriptor", format!("can't be written: {error}")))?;
    content.extend(salt.as_str().bytes());
    for output in integers {
        content.extend(output.weights.iter().flat_map(|weight| weight.to_le_bytes()));
        content.extend(output.intercept.to_le_bytes());
    }
    Ok(ModelId::of(&content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_ranges_hold_every_score_and_tell_little() {
        let mut distinct = std::collections::BTreeSet::new();
        for step in 0..2_000 {
            let middle = f64::from(step) * 0.0137 - 11.3;
            let half = 1.0 + f64::from(step) / 2_000.0;
            let (offset, half_range) = published_range(middle - half, middle + half);
            assert!(offset - half_range <= middle - half && middle + half <= offset + half_range);
            assert!(
                half_range <= half * (1.0 + HEADROOM) * 1.01,
                "{half}: {half_range}"
            );
            distinct.insert(half_range.to_bits());
        }
        assert!(distinct.len() <= 130, "{} widths", distinct.len());
        let (offset, half_range) = published_range(3.0, 3.0);
        assert!((offset - 3.0).abs() < half_range && half_range < 1e-5);
    }

    #[test]
    fn errors_are_published_with_two_digits() {
        for (value, published) in [
            (0.0123, 0.013),
            (4.0, 4.0),
            (0.07, 0.07),
            (99.1, 100.0),
            (0.0, 0.0),
        ] {
            assert!((two_digits_up(value) - published).abs() < 1e-12, "{value}");
        }
    }
}
