//! Networks of several layers as safetensors files of integers, which `import` writes.
//!
//! Tensors:
//! - `layer` `[units]`: the layer of each unit, from 0, rising;
//! - `w` `[units, features]`: weights of the features, and then of the same features
//!   `fine_features` times finer, if they are sent twice;
//! - `v` `[units, units]`: weights of the units of earlier layers, 0 for all others: numbers of
//!   slots that are added up;
//! - `offset` `[units]`: summands of the phases, in parts of the torus, in double precision;
//! - `repeats` `[units]`: numbers of rotations, among whose slots weights are divided;
//! - `table` `[units, N]`: functions on half of the torus, in 2^-32 of the torus;
//! - `out` `[sent scores, units]`: weights of the scores, and then of the same scores `fine` times
//!   finer, if they are sent twice;
//! - `bias` `[sent scores]`: summands of the scores' phases, like `offset`;
//! - `base` and `scale` `[scores]`, in double precision: a score is `base + scale * phase`, with
//!   the phase in parts of the torus.
//!
//! Metadata: as for linear models, and `input_step`, the torus element of one unit of a weighted
//! feature (of the finer ones, if there are any), `score_error`, the standard deviation of a score,
//! `fine` and `fine_features`, and `answer` (`label`) where only the label leaves the server.

use super::{
    Model, ModelError, Plain, Salt,
    metadata::{Described, Metadata, Ranges, bytes, inputs_entries, tensors, vector},
    network::integers,
    quantise::two_digits_up,
    rotations::batch,
};
use crate::{
    Engine,
    bits::{BIT, FLOODING},
    layers::{IntegerLayers, IntegerUnit, LayersEngine, MOST_UNITS},
};
use blindscore_protocol::{
    descriptor::{
        Answer, CheckedDescriptor, FEATURES, Inputs, Link, ModelDescriptor, OUTPUTS, Output, Sizes, Task,
    },
    ids::ModelId,
    name::ModelName,
    noise::NetworkNoise,
    params::{NetworkParams, ParameterSet},
    wire::FORMAT_VERSION,
};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::{collections::HashSet, sync::OnceLock};

/// Parameters of every network of several layers.
pub const LAYERS: NetworkParams = NetworkParams::N832_K2;
/// Largest standard deviation of a unit's phase, as a part of the torus.
const PHASE_NOISE: f64 = 0.04;
/// Torus elements of the whole torus.
const TORUS: f64 = 18_446_744_073_709_551_616.0;

/// A network of several layers and everything else that its file holds.
#[derive(Clone, Debug, PartialEq)]
pub struct LayersModel {
    /// Salt of the id, so that the id can't confirm guesses of the weights.
    pub salt: Salt,
    /// Name in URLs.
    pub name: ModelName,
    /// Human-readable title of one line.
    pub title: String,
    /// Features: number, ranges, levels and how a record becomes them.
    pub inputs: Inputs,
    /// One label per score.
    pub labels: Vec<String>,
    /// Purpose of the scores.
    pub task: Task,
    /// Labels of the two classes that a single score decides between.
    pub classes: Option<Vec<String>>,
    /// Link function from scores to probabilities.
    pub link: Link,
    /// Accuracy on a public test set, as a share.
    pub accuracy: Option<f64>,
    /// The network.
    pub network: IntegerLayers,
    /// Summand of each score.
    pub bases: Vec<f64>,
    /// Factor of each score's phase, in parts of the torus.
    pub scales: Vec<f64>,
    /// How many times finer the second half of the network's features are, if they are sent twice.
    pub fine_features: Option<u32>,
    /// How many times finer the second half of the network's scores are, if they are sent twice.
    pub fine: Option<u32>,
    /// What of the answer leaves the server. A label's scores are bits, `scale` times a quarter of
    /// the torus for the class that it is, and as much below zero for others.
    pub answer: Answer,
    /// Standard deviation of a score.
    pub score_error: f64,
}

/// Returns whether a model file holds a network of several layers.
pub(super) fn is_layers(tensors: &SafeTensors<'_>) -> bool {
    tensors.tensor("layer").is_ok()
}

/// Parses, checks and prepares a network.
pub(super) fn prepare(file: &[u8]) -> Result<Model, ModelError> {
    let model = LayersModel::from_safetensors(file)?;
    let set = ParameterSet::Network(LAYERS);
    let network = &model.network;
    for (unit, shared) in network.shared_noise(&LAYERS).into_iter().enumerate() {
        let noise = (shared + NetworkNoise::modulus_switch(&LAYERS)).sqrt();
        if noise > PHASE_NOISE {
            return Err(ModelError::Precision {
                place: format!("unit {unit}"),
                problem: format!("noise of {noise:.3} of the torus, more than {PHASE_NOISE}"),
            });
        }
    }
    let flooding = match model.answer {
        Answer::Scores => None,
        Answer::Label => Some(FLOODING),
    };
    if model.answer == Answer::Label {
        model.check_bits()?;
    }
    let engine = LayersEngine::new(LAYERS, network, flooding);
    let batch = batch(engine.rotations(), "repeats", "fit a smaller network")?;
    let coarse = u64::from(model.fine_features.unwrap_or(1));
    let input_step = network.input_step.checked_mul(coarse).ok_or_else(|| {
        ModelError::field(
            "input_step",
            format!("has {}, times {coarse}: too large", network.input_step),
        )
    })?;
    let outputs = model.labels.iter().zip(model.bases.iter().zip(&model.scales));
    let descriptor = ModelDescriptor {
        name: model.name.to_string(),
        // The file holds everything that responses depend on except the code, and a salt.
        id: ModelId::of(&[LAYERS.name.as_bytes(), file].concat()),
        title: model.title.clone(),
        formats: vec![FORMAT_VERSION],
        parameter_set: LAYERS.name.to_owned(),
        inputs: model.inputs.clone(),
        input_step,
        fine_features: model.fine_features,
        outputs: outputs
            .map(|(label, (base, scale))| Output {
                label: label.clone(),
                offset: *base,
                half_range: scale / 2.0,
            })
            .collect(),
        fine: model.fine,
        answer: model.answer,
        task: model.task,
        classes: model.classes.clone(),
        link: model.link,
        members: Vec::new(),
        sizes: Sizes::of(&set, network.features, network.outputs.len()),
        score_error: two_digits_up(model.score_error),
        accuracy: model.accuracy,
        batch,
        version: None,
    };
    let described = CheckedDescriptor::try_from(descriptor)?;
    let plain = Plain::Layers {
        network: Box::new(model.network),
        averaged: OnceLock::new(),
        bases: model.bases,
        scales: model.scales,
        fine: model.fine,
        answer: model.answer,
    };
    Ok(Model::new(described, Engine::Layers(Box::new(engine)), plain))
}

/// Returns the variance of a score's phase that doesn't depend on the model.
pub(super) fn rest() -> f64 {
    NetworkNoise::score(&LAYERS, 0.0)
}

impl LayersModel {
    /// Checks that what a label's model sends is bits: each a unit of its own, read once, whose
    /// table is constant.
    fn check_bits(&self) -> Result<(), ModelError> {
        let network = &self.network;
        let mut seen = HashSet::new();
        let entry = (BIT * 2f64.powi(32)) as i32;
        let is_bit = |weights: &Vec<i32>| {
            let mut read = weights.iter().enumerate().filter(|(_, weight)| **weight != 0);
            let (Some((place, &1)), None) = (read.next(), read.next()) else {
                return false;
            };
            let unit = &network.units[place];
            seen.insert(place) && unit.repeats == 1 && unit.table.iter().all(|value| *value == entry)
        };
        let scaled =
            self.bases.iter().all(|base| *base == 0.0) && self.scales.iter().all(|scale| *scale == 1.0 / BIT);
        let unbiased = network.biases.iter().all(|bias| *bias == 0);
        if scaled && unbiased && network.outputs.iter().all(is_bit) {
            return Ok(());
        }
        Err(ModelError::field(
            "answer",
            "is label, but what is sent isn't bits",
        ))
    }

    /// Parses a safetensors file.
    ///
    /// # Errors
    /// If it doesn't hold a network of several layers.
    pub fn from_safetensors(file: &[u8]) -> Result<Self, ModelError> {
        let tensors = tensors(file)?;
        let metadata = Metadata::read(file)?;
        let network = read(&tensors, &metadata)?;
        let fine = metadata.optional("fine", Metadata::number)?;
        let times = if fine.is_some() { 2 } else { 1 };
        if !network.outputs.len().is_multiple_of(times) {
            return Err(ModelError::field("out", "has no weights for the finer scores"));
        }
        let scores = network.outputs.len() / times;
        if !OUTPUTS.contains(&scores) {
            return Err(ModelError::field(
                "out",
                format!("has weights for {scores} scores"),
            ));
        }
        let answer = metadata.answer()?;
        let fine_features = metadata.optional("fine_features", Metadata::number)?;
        let copies = if fine_features.is_some() { 2 } else { 1 };
        if !network.features.is_multiple_of(copies) {
            return Err(ModelError::field("w", "has no weights for the finer features"));
        }
        let features = network.features / copies;
        let (link, classes) = (metadata.link()?, metadata.classes()?);
        let positive = |name: &'static str, value: f64| {
            if value > 0.0 && value.is_finite() {
                return Ok(value);
            }
            Err(ModelError::field(
                name,
                format!("has {value}, not a number above 0"),
            ))
        };
        let scales = vector(&tensors, "scale", scores)?;
        scales
            .iter()
            .try_for_each(|scale| positive("scale", *scale).map(|_| ()))?;
        Ok(Self {
            salt: metadata.salt()?,
            name: metadata.name()?,
            title: metadata.get("title")?.to_owned(),
            inputs: metadata.inputs(&tensors, features)?,
            labels: metadata.labels(scores)?,
            task: metadata.task(link, scores, classes.is_some())?,
            classes,
            link,
            accuracy: metadata.accuracy()?,
            bases: vector(&tensors, "base", scores)?,
            scales,
            fine_features,
            fine,
            answer,
            score_error: match answer {
                Answer::Scores => positive("score_error", metadata.number("score_error")?)?,
                // Clients round bits.
                Answer::Label => 0.0,
            },
            network,
        })
    }

    /// Serialises to a file that [`Self::from_safetensors`] can read.
    ///
    /// # Errors
    /// If the model has more numbers than a file can describe.
    pub fn to_safetensors(&self) -> Result<Vec<u8>, ModelError> {
        let network = &self.network;
        let (units, features) = (network.units.len(), network.features);
        let own = |unit: &IntegerUnit| spread(&unit.features, features);
        let others = |unit: &IntegerUnit| {
            let weights: Vec<i64> = unit.units.iter().map(|weight| i64::from(*weight)).collect();
            spread(&weights, units)
        };
        let rows = |row: &dyn Fn(&IntegerUnit) -> Vec<i64>| -> Vec<i64> {
            network.units.iter().flat_map(row).collect()
        };
        let integers = [
            ("layer", vec![units], rows(&|unit| vec![unit.layer as i64])),
            ("repeats", vec![units], rows(&|unit| vec![unit.repeats as i64])),
            ("w", vec![units, features], rows(&own)),
            ("v", vec![units, units], rows(&others)),
            (
                "table",
                vec![units, LAYERS.polynomial_size.0],
                rows(&|unit| unit.table.iter().map(|value| i64::from(*value)).collect()),
            ),
            (
                "out",
                vec![network.outputs.len(), units],
                network
                    .outputs
                    .iter()
                    .flatten()
                    .map(|weight| i64::from(*weight))
                    .collect(),
            ),
        ];
        let integers = integers.map(|(name, shape, values)| (name, shape, narrow(&values)));
        let parts = |elements: &mut dyn Iterator<Item = u64>| -> Vec<f64> {
            elements.map(|element| element as i64 as f64 / TORUS).collect()
        };
        let offsets = parts(&mut network.units.iter().map(|unit| unit.offset));
        let biases = parts(&mut network.biases.iter().copied());
        let numbers = [
            ("offset", &offsets),
            ("bias", &biases),
            ("base", &self.bases),
            ("scale", &self.scales),
        ]
        .map(|(name, numbers)| (name, numbers.len(), bytes(numbers)));
        let ranges = Ranges::of(&self.inputs);
        let mut tensors = Vec::new();
        for (name, shape, (dtype, bytes)) in &integers {
            tensors.push((*name, TensorView::new(*dtype, shape.clone(), bytes)?));
        }
        for (name, count, bytes) in &numbers {
            tensors.push((*name, TensorView::new(Dtype::F64, vec![*count], bytes)?));
        }
        if let Some(ranges) = &ranges {
            tensors.extend(ranges.tensors()?);
        }
        let described = Described {
            salt: &self.salt,
            name: &self.name,
            title: &self.title,
            labels: &self.labels,
            task: self.task,
            classes: self.classes.as_deref(),
            link: self.link,
            encoding: self.inputs.encoding.as_ref(),
            accuracy: self.accuracy,
        };
        let mut entries = described.entries();
        entries.extend(inputs_entries(&self.inputs));
        entries.push(("input_step", network.input_step.to_string()));
        entries.push(("score_error", self.score_error.to_string()));
        if let Some(fine) = self.fine {
            entries.push(("fine", fine.to_string()));
        }
        if !self.answer.is_scores() {
            entries.push(("answer", self.answer.name().to_owned()));
        }
        if let Some(fine) = self.fine_features {
            entries.push(("fine_features", fine.to_string()));
        }
        let entries = entries.into_iter().map(|(name, value)| (name.to_owned(), value));
        Ok(safetensors::serialize(tensors, Some(entries.collect()))?)
    }
}

/// Returns weights as a row of `count`, the others 0.
fn spread(weights: &[i64], count: usize) -> Vec<i64> {
    let mut row = weights.to_vec();
    row.resize(count, 0);
    row
}

/// Returns integers in the smallest type that holds them all.
fn narrow(values: &[i64]) -> (Dtype, Vec<u8>) {
    let within = |bits: u32| {
        values
            .iter()
            .all(|value| (*value << (64 - bits)) >> (64 - bits) == *value)
    };
    let low = |count: usize| {
        values
            .iter()
            .flat_map(move |value| value.to_le_bytes().into_iter().take(count))
            .collect()
    };
    match () {
        () if within(8) => (Dtype::I8, low(1)),
        () if within(16) => (Dtype::I16, low(2)),
        () => (Dtype::I32, low(4)),
    }
}

fn read(tensors: &SafeTensors<'_>, metadata: &Metadata) -> Result<IntegerLayers, ModelError> {
    let (shape, layer) = integers(tensors, "layer")?;
    let units = layer.len();
    if shape.len() != 1 || !(1..=MOST_UNITS).contains(&units) {
        return Err(ModelError::field(
            "layer",
            format!("has shape {shape:?}, not [units] with 1 to {MOST_UNITS} units"),
        ));
    }
    let (shape, w) = integers(tensors, "w")?;
    let features = match *shape.as_slice() {
        [rows, features] if rows == units && FEATURES.contains(&features) => features,
        _ => {
            return Err(ModelError::field(
                "w",
                format!("has shape {shape:?}, not [{units}, features]"),
            ));
        }
    };
    let (shape, out) = integers(tensors, "out")?;
    if shape.len() != 2 || shape[1] != units || shape[0] > 2 * OUTPUTS.end() {
        return Err(ModelError::field(
            "out",
            format!("has shape {shape:?}, not [sent scores, {units}]"),
        ));
    }
    let elements = |name: &'static str, count: usize| -> Result<Vec<u64>, ModelError> {
        let element = |part: f64| {
            if part.abs() > 0.5 {
                return Err(ModelError::field(
                    name,
                    format!("has {part}, not a part of the torus"),
                ));
            }
            Ok((part * TORUS) as i64 as u64)
        };
        vector(tensors, name, count)?.into_iter().map(element).collect()
    };
    let (offsets, biases) = (elements("offset", units)?, elements("bias", shape[0])?);
    let matrix = |name: &'static str, columns: usize| {
        let (shape, values) = integers(tensors, name)?;
        if shape != [units, columns] {
            return Err(ModelError::field(
                name,
                format!("has shape {shape:?}, not [{units}, {columns}]"),
            ));
        }
        Ok(values)
    };
    let (v, table) = (matrix("v", units)?, matrix("table", LAYERS.polynomial_size.0)?);
    let (shape, repeats) = integers(tensors, "repeats")?;
    if shape != [units] {
        return Err(ModelError::field(
            "repeats",
            format!("has shape {shape:?}, not [{units}]"),
        ));
    }
    let place = |name: &'static str, value: i64| {
        usize::try_from(value).map_err(|_| ModelError::field(name, format!("has {value}")))
    };
    let bits_32 = |name: &'static str, values: &[i64]| -> Result<Vec<i32>, ModelError> {
        let narrow =
            |value: &i64| i32::try_from(*value).map_err(|_| ModelError::field(name, format!("has {value}")));
        values.iter().map(narrow).collect()
    };
    let mut first = 0;
    let mut read = Vec::with_capacity(units);
    for unit in 0..units {
        let own = place("layer", layer[unit])?;
        if unit > 0 && layer[unit] > layer[unit - 1] {
            first = unit;
        }
        let row = &v[unit * units..][..units];
        if let Some(later) = row[first..].iter().position(|weight| *weight != 0) {
            return Err(ModelError::field(
                "v",
                format!(
                    "unit {unit} reads unit {}, which is of no earlier layer",
                    first + later
                ),
            ));
        }
        let others = bits_32("v", &row[..first])?;
        let weights = w[unit * features..][..features].to_vec();
        read.push(IntegerUnit {
            layer: own,
            features: if weights.iter().all(|weight| *weight == 0) {
                Vec::new()
            } else {
                weights
            },
            units: if others.iter().all(|weight| *weight == 0) {
                Vec::new()
            } else {
                others
            },
            offset: offsets[unit],
            repeats: place("repeats", repeats[unit])?,
            table: bits_32(
                "table",
                &table[unit * LAYERS.polynomial_size.0..][..LAYERS.polynomial_size.0],
            )?,
        });
    }
    let outputs: Result<Vec<Vec<i32>>, ModelError> =
        out.chunks_exact(units).map(|row| bits_32("out", row)).collect();
    let network = IntegerLayers {
        features,
        input_step: metadata.number("input_step")?,
        units: read,
        outputs: outputs?,
        biases,
    };
    network
        .check(&LAYERS)
        .map_err(|problem| ModelError::field("layer", problem))?;
    Ok(network)
}
