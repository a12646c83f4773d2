//! Linear models as safetensors files.
//!
//! Tensors: `coef` `[outputs, features]` and `intercept` `[outputs]`, F64 or F32. Metadata (strings):
//! `name`, `title`, `labels` (JSON array), `link` (`softmax`, `sigmoid`, `identity`), `input_min`, `input_max`,
//! `input_levels`; optional `image` (`WIDTHxHEIGHT`) and `accuracy` (a share).

use super::{
    ModelError,
    metadata::{Metadata, numbers},
};
use blindscore_protocol::descriptor::{FEATURES, Inputs, Link, OUTPUTS};
use safetensors::SafeTensors;

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

impl LinearModel {
    /// Parses a safetensors file.
    pub fn from_safetensors(bytes: &[u8]) -> Result<Self, ModelError> {
        let tensors = SafeTensors::deserialize(bytes)?;
        let metadata = Metadata::read(bytes)?;
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
        let labels = metadata.labels(rows)?;
        Ok(Self {
            name: metadata.name()?,
            title: metadata.get("title")?.to_owned(),
            inputs: metadata.inputs(features)?,
            labels,
            link: metadata.link()?,
            accuracy: metadata.accuracy()?,
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
