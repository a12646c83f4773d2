//! Linear models as safetensors files.
//!
//! Tensors: `coef` `[outputs, features]` and `intercept` `[outputs]`, F64 or F32. If features have
//! ranges of their own: `feature_min` and `feature_max` `[features]`.
//!
//! Metadata (strings): `name`, `title`, `labels` (JSON array), `link` (`softmax`, `sigmoid`,
//! `one-vs-rest`, `probability`, `exp`, `identity`, `mean`, `one-vs-one`, `votes`), `input_levels`,
//! and `input_min` and `input_max` unless features have ranges of their own. Optional:
//! - `task` (`classification`, `multilabel`, `regression`; required if the link does not imply it,
//!   as for several scores with the link `identity`);
//! - `image` (`WIDTHxHEIGHT`) and `deskew` (`true` if images are deskewed);
//! - `accuracy` (a share);
//! - `parameter_set` (`linear-n2048-v3` by default);
//! - `features` (JSON array of names);
//! - `encoding` (JSON: how a record becomes the features, as in descriptors);
//! - `classes` (JSON array of the labels that the outputs decide between, if not each has one: two
//!   for a single output, or those of the links `mean`, `one-vs-one` and `votes`);
//! - `members` (JSON array of the models that the link `mean` averages, as in descriptors);
//! - `norm_centre` and `norm_max` (a ball that contains the inputs);
//! - `salt` (32 hexadecimal digits, as secret as the weights; `import` generates it);
//! - `input_rounding` (`true` if inputs lie between levels, so that rounding them is an error).

use super::{
    ModelError, Salt,
    metadata::{Described, Metadata, Ranges, bytes, inputs_entries, numbers, tensors, vector},
};
use blindscore_protocol::{
    descriptor::{FEATURES, Inputs, Link, Member, OUTPUTS, Task},
    name::ModelName,
    params::LinearParams,
};
use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A linear model as fitted, in floating point: `scores = coef * x + intercept`.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearModel {
    /// Parameter set for scoring.
    pub params: LinearParams,
    /// Salt of the id, so that the id can't confirm guesses of the weights.
    pub salt: Salt,
    /// Name in URLs.
    pub name: ModelName,
    /// Human-readable title of one line.
    pub title: String,
    /// Features: number, ranges and levels.
    pub inputs: Inputs,
    /// One label per output.
    pub labels: Vec<String>,
    /// Purpose of the scores.
    pub task: Task,
    /// Labels of the classes, if not each has one output.
    pub classes: Option<Vec<String>>,
    /// Link function from scores to probabilities.
    pub link: Link,
    /// Models whose probabilities are averaged, for the link `mean`.
    pub members: Vec<Member>,
    /// Whether inputs must be rounded to their levels, which then counts as an error of the scores.
    pub input_rounding: bool,
    /// Accuracy on a public test set, as a share.
    pub accuracy: Option<f64>,
    /// One row of weights per output.
    pub coef: Vec<Vec<f64>>,
    /// One intercept per output.
    pub intercept: Vec<f64>,
}

impl LinearModel {
    /// Parses a safetensors file.
    pub fn from_safetensors(bytes: &[u8]) -> Result<Self, ModelError> {
        let tensors = tensors(bytes)?;
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
        if !OUTPUTS.contains(&rows) || !FEATURES.contains(&features) {
            let problem = format!(
                "is {rows} x {features}; at most {} x {} is allowed",
                OUTPUTS.end(),
                FEATURES.end()
            );
            return Err(ModelError::field("coef", problem));
        }
        let intercept = vector(&tensors, "intercept", rows)?;
        let labels = metadata.labels(rows)?;
        let (link, classes) = (metadata.link()?, metadata.classes()?);
        Ok(Self {
            params: metadata.linear_params()?,
            salt: metadata.salt()?,
            name: metadata.name()?,
            title: metadata.get("title")?.to_owned(),
            inputs: metadata.inputs(&tensors, features)?,
            labels,
            task: metadata.task(link, rows, classes.is_some())?,
            classes,
            link,
            members: metadata.members()?,
            input_rounding: metadata.flag("input_rounding")?,
            accuracy: metadata.accuracy()?,
            coef: coef.chunks_exact(features).map(<[f64]>::to_vec).collect(),
            intercept,
        })
    }

    /// Serialises to a file that [`Self::from_safetensors`] can read.
    ///
    /// # Errors
    /// If the model has more numbers than a file can describe.
    pub fn to_safetensors(&self) -> Result<Vec<u8>, ModelError> {
        let (rows, features) = (self.coef.len(), self.inputs.count);
        let coef = bytes(self.coef.iter().flatten());
        let intercept = bytes(&self.intercept);
        let ranges = Ranges::of(&self.inputs);
        let mut tensors = vec![
            ("coef", TensorView::new(Dtype::F64, vec![rows, features], &coef)?),
            ("intercept", TensorView::new(Dtype::F64, vec![rows], &intercept)?),
        ];
        if let Some(ranges) = &ranges {
            tensors.extend(ranges.tensors()?);
        }
        Ok(safetensors::serialize(
            tensors,
            Some(self.metadata().into_iter().collect()),
        )?)
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        // Strings and lists of strings always have a JSON form.
        let text = |value: Value| value.to_string();
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
        entries.extend([
            ("parameter_set", self.params.name.to_owned()),
            ("input_rounding", self.input_rounding.to_string()),
        ]);
        entries.extend(inputs_entries(&self.inputs));
        if !self.members.is_empty() {
            let member = |member: &Member| {
                let Member {
                    link,
                    scores,
                    weight,
                    curves,
                } = member;
                let mut entry = json!({ "link": link.name(), "scores": scores, "weight": weight });
                if !curves.is_empty() {
                    entry["curves"] = json!(curves);
                }
                entry
            };
            entries.push(("members", text(self.members.iter().map(member).collect())));
        }
        entries
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// Returns the fitted model's scores in floating point, the reference for encrypted scores.
    pub(super) fn float_scores(&self, features: &[f64]) -> Vec<f64> {
        let dot = |row: &Vec<f64>| row.iter().zip(features).map(|(w, x)| w * x).sum::<f64>();
        self.coef
            .iter()
            .zip(&self.intercept)
            .map(|(row, intercept)| dot(row) + intercept)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use blindscore_models::MNIST_LINEAR;
    use blindscore_protocol::descriptor::{Curve, Feature, ImageShape, NormBound};

    fn assert_kept(model: &LinearModel) {
        let file = model.to_safetensors().unwrap();
        assert_eq!(LinearModel::from_safetensors(&file).unwrap(), *model);
    }

    #[test]
    fn a_file_keeps_everything_about_a_model() {
        let bundled = LinearModel::from_safetensors(MNIST_LINEAR).unwrap();
        assert!(bundled.inputs.image.is_some());
        assert_kept(&bundled);

        let mut deskewed = bundled.clone();
        deskewed.inputs.image = Some(ImageShape {
            width: 56,
            height: 14,
            deskew: true,
        });
        deskewed.inputs.norm = Some(NormBound {
            centre: 0.1,
            max: 12.5,
        });
        assert_kept(&deskewed);

        let feature = |name: &str, min, max| Feature {
            name: Some(name.to_owned()),
            min,
            max,
        };
        assert_kept(&LinearModel {
            params: LinearParams::N2048_FINE,
            salt: Salt::parse("0123456789abcdef0123456789abcdef").unwrap(),
            inputs: Inputs {
                features: Some(vec![
                    feature("age", 18.0, 99.5),
                    feature("a \"b\", c", -1e-7, 0.3),
                ]),
                ..Inputs::uniform(2, -1e-7, 99.5, 1024)
            },
            labels: vec!["churn".to_owned()],
            task: Task::Classification,
            classes: Some(["stays", "leaves"].map(str::to_owned).to_vec()),
            link: Link::Mean,
            members: vec![Member {
                link: Link::Isotonic,
                scores: 1,
                weight: 1.0,
                curves: vec![Curve {
                    thresholds: vec![-0.1, 1.0 / 3.0],
                    probabilities: vec![0.0, 1e-7],
                }],
            }],
            input_rounding: true,
            accuracy: None,
            coef: vec![vec![0.1, -1.0 / 3.0]],
            intercept: vec![f64::MIN_POSITIVE],
            ..bundled
        });
    }
}
