//! Projection networks as safetensors files of integers, made by `models/net/train.py` and
//! `fit_table.py`.
//!
//! Tensors: `w` `[projections, features]`, `b` `[projections]`, `width` `[projections]`,
//! `threshold` `[projections, reads]` in units of 1/256, `v` `[outputs, projections, reads]`,
//! `bias` `[outputs]`. Metadata: as for linear models, plus `range`, `max_logit` and `logit_scale`.
//! Where only the label leaves the server, also `answer` (`label`) and `max_difference`, the
//! largest difference of two logits on the rows that it was measured with (the largest logit, if
//! there is only one).

use super::{
    Model, ModelError, Plain,
    metadata::{Metadata, numbers},
    quantise::two_digits_up,
};
use crate::{
    Engine, IntegerNetwork, NetworkEngine,
    bits::BIT,
    network::{IntegerProjection, MOST_CLASSES, THRESHOLD_STEPS, compared},
};
use blindscore_protocol::{
    descriptor::{self, Answer, FEATURES, Link, ModelDescriptor, OUTPUTS, Output, Sizes, Task},
    ids::ModelId,
    noise::NetworkNoise,
    params::{NetworkParams, ParameterSet},
    wire::FORMAT_VERSION,
};
use safetensors::SafeTensors;

/// Parameters of networks whose scores are sent.
pub(super) const PARAMS: NetworkParams = NetworkParams::N704_K4;
/// Parameters of networks of which only the label is sent: projections are the same.
const LABEL_PARAMS: NetworkParams = NetworkParams::N704_K4_SWITCH;
/// Allowed numbers of projections.
const PROJECTIONS: std::ops::RangeInclusive<usize> = 1..=1_024;
/// Allowed numbers of reads per projection.
const READS: std::ops::RangeInclusive<usize> = 1..=64;
/// Largest absolute value of an integer, for which sums of products with features are exact.
const LARGEST: f64 = 2_147_483_648.0;
/// Largest standard deviation of the noise on a projection, whose range is from -1 to 1.
const PROJECTION_NOISE: f64 = 0.04;
/// Largest standard deviation of the noise on a logit, as a share of the largest logit, and on the
/// difference of two, as a share of the largest difference.
const LOGIT_NOISE: f64 = 0.05;

/// Parses, checks and prepares a network.
pub(super) fn prepare(tensors: &SafeTensors<'_>, file: &[u8]) -> Result<Model, ModelError> {
    let metadata = Metadata::read(file)?;
    let answer = metadata.answer()?;
    let params = match answer {
        Answer::Scores => PARAMS,
        Answer::Label => LABEL_PARAMS,
    };
    let set = ParameterSet::Network(params);
    let network = read(tensors, &metadata)?;
    let logit_scale = positive(&metadata, "logit_scale")?;
    let noise = check(&params, &network)?;
    let features = network
        .projections
        .first()
        .map_or(0, |projection| projection.weights.len());
    let labels = metadata.labels(network.biases.len())?;
    let (link, classes) = (metadata.link()?, metadata.classes()?);
    metadata.salt()?;
    let task = metadata.task(link, network.biases.len(), classes.is_some())?;
    let (half_range, score_error) = match answer {
        Answer::Scores => (
            logit_scale * 2f64.powi(63) / network.amplitude(),
            two_digits_up(logit_scale * noise),
        ),
        // Clients round bits.
        Answer::Label => (0.5 / BIT, 0.0),
    };
    if answer == Answer::Label {
        check_label(task, link, network.biases.len())?;
    }
    let descriptor = ModelDescriptor {
        name: metadata.name()?.to_string(),
        // The file holds everything that responses depend on except the code, and a salt if it was
        // imported.
        id: ModelId::of(&[params.name.as_bytes(), file].concat()),
        title: metadata.get("title")?.to_owned(),
        formats: vec![FORMAT_VERSION],
        parameter_set: params.name.to_owned(),
        inputs: metadata.inputs(tensors, features)?,
        input_step: network.input_step(),
        outputs: labels
            .into_iter()
            .map(|label| Output {
                label,
                offset: 0.0,
                half_range,
            })
            .collect(),
        task,
        classes,
        link,
        members: metadata.members()?,
        answer,
        fine_features: None,
        fine: None,
        sizes: Sizes::of(&set, features, network.biases.len()),
        score_error,
        accuracy: metadata.accuracy()?,
        batch: None,
        version: None,
    };
    let described = descriptor::CheckedDescriptor::try_from(descriptor)?;
    let engine = Engine::Network(Box::new(NetworkEngine::new(params, &network)));
    let plain = Plain::Network {
        network,
        logit_scale,
        answer,
    };
    Ok(Model::new(described, engine, plain))
}

fn read(tensors: &SafeTensors<'_>, metadata: &Metadata) -> Result<IntegerNetwork, ModelError> {
    let (shape, weights) = integers(tensors, "w")?;
    let &[count, features] = shape.as_slice() else {
        return Err(ModelError::field(
            "w",
            format!("has shape {shape:?}, not [projections, features]"),
        ));
    };
    let (shape, reads) = integers(tensors, "v")?;
    let &[outputs, v_count, reads_each] = shape.as_slice() else {
        return Err(ModelError::field(
            "v",
            format!("has shape {shape:?}, not [outputs, projections, reads]"),
        ));
    };
    if !PROJECTIONS.contains(&count) || !FEATURES.contains(&features) || v_count != count {
        return Err(ModelError::field(
            "w",
            format!("is {count} x {features}, with {v_count} projections in v"),
        ));
    }
    if !OUTPUTS.contains(&outputs) || !READS.contains(&reads_each) {
        return Err(ModelError::field(
            "v",
            format!("has {outputs} outputs and {reads_each} reads"),
        ));
    }
    let biases = shaped("b", integers(tensors, "b")?, &[count])?;
    let widths = shaped("width", numbers(tensors, "width")?, &[count])?;
    let thresholds = integers(tensors, "threshold")?;
    let thresholds = shaped("threshold", thresholds, &[count, reads_each])?;
    if widths.iter().any(|&width| width <= 0.0) {
        return Err(ModelError::field("width", "is not positive everywhere"));
    }
    if thresholds.iter().any(|t| t.abs() >= THRESHOLD_STEPS) {
        return Err(ModelError::field(
            "threshold",
            format!("is not below {THRESHOLD_STEPS} everywhere"),
        ));
    }
    let projection = |h: usize| IntegerProjection {
        weights: weights[h * features..][..features].to_vec(),
        bias: biases[h],
        width: widths[h],
        thresholds: thresholds[h * reads_each..][..reads_each].to_vec(),
        reads: (0..outputs)
            .map(|c| reads[(c * count + h) * reads_each..][..reads_each].to_vec())
            .collect(),
    };
    Ok(IntegerNetwork {
        projections: (0..count).map(projection).collect(),
        biases: shaped("bias", numbers(tensors, "bias")?, &[outputs])?,
        range: positive(metadata, "range")?,
        max_logit: positive(metadata, "max_logit")?,
        max_difference: match metadata.answer()? {
            Answer::Scores => None,
            Answer::Label => Some(positive(metadata, "max_difference")?),
        },
    })
}

/// Refuses a model that has no label to send, or whose bits would be read as something else.
fn check_label(task: Task, link: Link, outputs: usize) -> Result<(), ModelError> {
    let problem = match (task, link) {
        (Task::Classification, Link::Identity) if outputs <= MOST_CLASSES => return Ok(()),
        (Task::Classification, Link::Identity) => {
            format!("is label, for {outputs} classes; at most {MOST_CLASSES} can be compared")
        }
        (Task::Classification, _) => {
            format!(
                "is label, and bits have no {} (`link` has to be identity)",
                link.name()
            )
        }
        _ => format!("is label, for a model of {}", task.name()),
    };
    Err(ModelError::field("answer", problem))
}

/// Returns a tensor's values if it has the expected shape.
fn shaped<T>(
    name: &'static str,
    (shape, values): (Vec<usize>, Vec<T>),
    expected: &[usize],
) -> Result<Vec<T>, ModelError> {
    if shape == expected {
        return Ok(values);
    }
    let problem = format!("has shape {shape:?}, not {expected:?}");
    Err(ModelError::field(name, problem))
}

/// Returns shape and values of a tensor of integers, whatever its type.
pub(super) fn integers(
    tensors: &SafeTensors<'_>,
    name: &'static str,
) -> Result<(Vec<usize>, Vec<i64>), ModelError> {
    let (shape, values) = numbers(tensors, name)?;
    match values.iter().find(|v| v.fract() != 0.0 || v.abs() > LARGEST) {
        Some(value) => Err(ModelError::field(
            name,
            format!("has {value}, which is not a 32-bit integer"),
        )),
        None => Ok((shape, values.into_iter().map(|value| value as i64).collect())),
    }
}

fn positive(metadata: &Metadata, name: &'static str) -> Result<f64, ModelError> {
    let value: f64 = metadata.number(name)?;
    if !(1e-9..=1e9).contains(&value) {
        return Err(ModelError::field(
            name,
            format!("is {value}, outside 1e-9 to 1e9"),
        ));
    }
    Ok(value)
}

fn squared_norm(values: &[i64]) -> f64 {
    values.iter().map(|&v| (v as f64).powi(2)).sum()
}

/// Returns the standard deviation of the noise on a projection, whose range is from -1 to 1.
pub(super) fn projection_noise(params: &NetworkParams, projection: &IntegerProjection) -> f64 {
    // The torus spans four units of a projection.
    NetworkNoise::projection(params, squared_norm(&projection.weights)).sqrt() * 4.0
}

/// Returns the standard deviation of the noise on a difference of logits that is compared.
pub(super) fn comparison_noise(network: &IntegerNetwork) -> f64 {
    // Differences have twice the scale of logits.
    compared(&LABEL_PARAMS, network).sqrt() * 2f64.powi(63) / network.amplitude()
}

/// Refuses a network that the parameters are not precise enough for. Returns the standard deviation
/// of a logit's noise, or of a difference of logits where only the label is sent.
fn check(params: &NetworkParams, network: &IntegerNetwork) -> Result<f64, ModelError> {
    for (h, projection) in network.projections.iter().enumerate() {
        let noise = projection_noise(params, projection);
        if noise > PROJECTION_NOISE {
            return Err(ModelError::Precision {
                place: format!("first layer, projection {h}"),
                problem: format!("noise of {noise:.3} on a range from -1 to 1, more than {PROJECTION_NOISE}"),
            });
        }
    }
    let logit_noise = |output: usize| {
        NetworkNoise::score(params, network.squared_norm(output)).sqrt() * 2f64.powi(64) / network.amplitude()
    };
    if let Some(largest) = network.max_difference {
        let noise = comparison_noise(network);
        if noise > LOGIT_NOISE * largest {
            return Err(ModelError::Precision {
                place: "answer".into(),
                problem: format!(
                    "is label, and comparisons have noise of {noise:.1} on differences of at most {largest:.1}"
                ),
            });
        }
        return Ok(noise);
    }
    let noise = (0..network.biases.len()).map(logit_noise).fold(0.0, f64::max);
    if noise > LOGIT_NOISE * network.max_logit {
        return Err(ModelError::Precision {
            place: "output layer".into(),
            problem: format!(
                "noise of {noise:.1} on logits of at most {:.1}",
                network.max_logit
            ),
        });
    }
    Ok(noise)
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::{Dtype, serialize, tensor::TensorView};
    use std::collections::HashMap;

    const SMALL: &[u8] = blindscore_models::MNIST_NET_SMALL;

    /// Returns the bundled small network with all values of an 8-bit tensor replaced.
    fn with(name: &str, value: u8) -> Vec<u8> {
        let file = SafeTensors::deserialize(SMALL).unwrap();
        let (_, header) = SafeTensors::read_metadata(SMALL).unwrap();
        let metadata: HashMap<_, _> = header.metadata().clone().unwrap();
        let values = vec![value; file.tensor(name).unwrap().data().len()];
        let tensors = file.tensors().into_iter().map(|(found, tensor)| {
            if found != name {
                return (found, tensor);
            }
            assert_eq!(tensor.dtype(), Dtype::I8);
            (
                found,
                TensorView::new(Dtype::I8, tensor.shape().to_vec(), &values).unwrap(),
            )
        });
        serialize(tensors.collect::<Vec<_>>(), Some(metadata)).unwrap()
    }

    fn refusal(file: &[u8]) -> String {
        match Model::from_safetensors(file) {
            Err(error @ ModelError::Precision { .. }) => error.to_string(),
            Err(other) => panic!("refused for another reason: {other}"),
            Ok(_) => panic!("not refused"),
        }
    }

    #[test]
    fn what_no_set_is_precise_enough_for_is_refused_with_layer_and_numbers() {
        assert!(Model::from_safetensors(&with("w", 1)).is_ok());
        // 784 weights of 127 have a norm of 3,556.
        let first = refusal(&with("w", 127));
        assert!(
            first.contains("first layer, projection 0") && first.contains("0.5"),
            "{first}"
        );
        assert!(first.contains("more than 0.04"), "{first}");
        let output = refusal(&with("v", 127));
        assert!(
            output.contains("output layer") && output.contains("noise of"),
            "{output}"
        );
    }
    #[test]
    fn weights_are_integers_of_32_bits() {
        let read = |values: &[f64]| {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            let tensor = TensorView::new(Dtype::F64, vec![values.len()], &bytes).unwrap();
            let file = serialize([("b", tensor)], None).unwrap();
            integers(&SafeTensors::deserialize(&file).unwrap(), "b")
        };
        assert_eq!(read(&[-3.0, LARGEST]).unwrap().1, [-3, 1 << 31]);
        for bad in [0.5, 1e300, -1e10] {
            let error = read(&[1.0, bad]).unwrap_err().to_string();
            assert!(
                error.starts_with("b: has ") && error.contains("not a 32-bit integer"),
                "{error}"
            );
        }
        assert!(read(&[f64::NAN]).is_err());
    }
}
