//! Linear models as safetensors files.
//!
//! Tensors: `coef` `[outputs, features]` and `intercept` `[outputs]`, F64 or F32. Metadata (strings):
//! `name`, `title`, `labels` (JSON array), `link` (`softmax`, `sigmoid`, `identity`), `input_min`, `input_max`,
//! `input_levels`; optional `image` (`WIDTHxHEIGHT`) and `accuracy` (a share).

use super::{Model, ModelError};
use blindscore_protocol::descriptor::{FEATURES, ImageShape, Inputs, Link, OUTPUTS};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::{collections::HashMap, path::Path, str::FromStr};

/// A linear model as it was fitted: `scores = coef * x + intercept`, in floating point.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearModel {
    /// Name in URLs.
    pub name: String,
    /// A line for people.
    pub title: String,
    /// What goes in.
    pub inputs: Inputs,
    /// A name for each output.
    pub labels: Vec<String>,
    /// From scores to probabilities.
    pub link: Link,
    /// Share of a public test set it gets right.
    pub accuracy: Option<f64>,
    /// One row of weights for each output.
    pub coef: Vec<Vec<f64>>,
    /// One intercept for each output.
    pub intercept: Vec<f64>,
}

/// Reads, checks and prepares a model file.
pub fn load_file(path: &Path) -> Result<Model, ModelError> {
    let bytes = std::fs::read(path).map_err(|source| ModelError::Io {
        path: path.to_owned(),
        source,
    })?;
    Model::new(LinearModel::from_safetensors(&bytes)?)
}

impl LinearModel {
    /// Parses a safetensors file.
    pub fn from_safetensors(bytes: &[u8]) -> Result<Self, ModelError> {
        let tensors = SafeTensors::deserialize(bytes)?;
        let (_, header) = SafeTensors::read_metadata(bytes)?;
        let metadata = Metadata(header.metadata().clone().unwrap_or_default());
        let (rows, features, coef) = match numbers(&tensors, "coef")? {
            (shape, values) if shape.len() == 2 => (shape[0], shape[1], values),
            (shape, _) => {
                return Err(ModelError::field(
                    "coef",
                    format!("has shape {shape:?}, not [outputs, features]"),
                ));
            }
        };
        let (shape, intercept) = numbers(&tensors, "intercept")?;
        if !OUTPUTS.contains(&rows) || !FEATURES.contains(&features) {
            let problem = format!(
                "is {rows} x {features}; up to {} x {} is possible",
                OUTPUTS.end(),
                FEATURES.end()
            );
            return Err(ModelError::field("coef", problem));
        }
        if shape != [rows] {
            return Err(ModelError::field(
                "intercept",
                format!("has shape {shape:?}, not [{rows}]"),
            ));
        }
        let labels: Vec<String> = metadata.json("labels")?;
        if labels.len() != rows {
            return Err(ModelError::field(
                "labels",
                format!("{} labels for {rows} outputs", labels.len()),
            ));
        }
        let name: String = metadata.get("name")?.to_owned();
        if name.is_empty()
            || !name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        {
            return Err(ModelError::field(
                "name",
                format!("{name:?} is not made of a-z, 0-9 and '-'"),
            ));
        }
        Ok(Self {
            name,
            title: metadata.get("title")?.to_owned(),
            inputs: Inputs {
                count: features,
                min: metadata.number("input_min")?,
                max: metadata.number("input_max")?,
                levels: metadata.number("input_levels")?,
                image: metadata.image()?,
            },
            labels,
            link: serde_json::from_value(metadata.get("link")?.into())
                .map_err(|_| ModelError::field("link", "is not softmax, sigmoid or identity"))?,
            accuracy: metadata
                .0
                .contains_key("accuracy")
                .then(|| metadata.number("accuracy"))
                .transpose()?,
            coef: coef.chunks_exact(features).map(<[f64]>::to_vec).collect(),
            intercept,
        })
    }

    /// The scores of the fitted model, in floating point: what encrypted scores are compared with.
    pub fn float_scores(&self, features: &[f64]) -> Vec<f64> {
        let dot = |row: &Vec<f64>| row.iter().zip(features).map(|(w, x)| w * x).sum::<f64>();
        self.coef
            .iter()
            .zip(&self.intercept)
            .map(|(row, intercept)| dot(row) + intercept)
            .collect()
    }
}

/// Shape and values of a floating-point tensor without NaN or infinities.
fn numbers(tensors: &SafeTensors<'_>, name: &'static str) -> Result<(Vec<usize>, Vec<f64>), ModelError> {
    let tensor: TensorView<'_> = tensors.tensor(name)?;
    let values: Vec<f64> = match tensor.dtype() {
        Dtype::F64 => tensor
            .data()
            .as_chunks()
            .0
            .iter()
            .map(|b| f64::from_le_bytes(*b))
            .collect(),
        Dtype::F32 => tensor
            .data()
            .as_chunks()
            .0
            .iter()
            .map(|b| f64::from(f32::from_le_bytes(*b)))
            .collect(),
        other => {
            return Err(ModelError::field(
                name,
                format!("has type {other:?}, not F64 or F32"),
            ));
        }
    };
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(ModelError::field(
            name,
            format!("value {index} is {}", values[index]),
        )),
        None => Ok((tensor.shape().to_vec(), values)),
    }
}

/// The strings in a file's header.
struct Metadata(HashMap<String, String>);

impl Metadata {
    fn get(&self, name: &'static str) -> Result<&str, ModelError> {
        let value = self
            .0
            .get(name)
            .ok_or_else(|| ModelError::field(name, "is missing from the metadata"))?;
        Ok(value)
    }

    fn number<T: FromStr>(&self, name: &'static str) -> Result<T, ModelError> {
        let text = self.get(name)?;
        text.parse()
            .map_err(|_| ModelError::field(name, format!("{text:?} is not such a number")))
    }

    fn json<T: serde::de::DeserializeOwned>(&self, name: &'static str) -> Result<T, ModelError> {
        serde_json::from_str(self.get(name)?).map_err(|error| ModelError::field(name, error.to_string()))
    }

    fn image(&self) -> Result<Option<ImageShape>, ModelError> {
        let Some(text) = self.0.get("image") else {
            return Ok(None);
        };
        let sides = text
            .split_once('x')
            .and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
        match sides {
            Some((width, height)) => Ok(Some(ImageShape { width, height })),
            None => Err(ModelError::field(
                "image",
                format!("{text:?} is not WIDTHxHEIGHT"),
            )),
        }
    }
}
