//! Linear models as safetensors files.
//!
//! Tensors: `coef` `[outputs, features]` and `intercept` `[outputs]`, F64 or F32. Metadata (strings):
//! `name`, `title`, `labels` (JSON array), `link` (`softmax`, `sigmoid`, `identity`), `input_min`, `input_max`,
//! `input_levels`; optional `task` (`classification`, `multilabel`, `regression`; needed where several scores have the link `identity`), `image` (`WIDTHxHEIGHT`), `accuracy` (a share), `parameter_set` (`linear-n2048-v3` if not given), `features` (JSON array of names), `classes` (JSON array of the two
//! labels between which a single output decides), `norm_centre` and `norm_max` (a ball that inputs lie in), `salt` (32 hexadecimal digits, secret like the weights; `import` makes one), and `input_rounding` (`true` if
//! inputs don't come on the levels, so that rounding them is an error). Features with ranges of their own have them in the tensors
//! `feature_min` and `feature_max` `[features]`.

use super::{
    ModelError, Salt,
    metadata::{Metadata, numbers, tensors, vector},
};
use blindscore_protocol::{
    descriptor::{FEATURES, Inputs, Link, NormBound, OUTPUTS, Task},
    params::LinearParams,
};
use safetensors::{Dtype, tensor::TensorView};
use serde_json::Value;
use std::collections::BTreeMap;

/// A linear model as it was fitted: `scores = coef * x + intercept`, in floating point.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearModel {
    /// Parameter set to score it with.
    pub params: LinearParams,
    /// Keeps guesses of the weights from being checked by the id.
    pub salt: Salt,
    /// Name in URLs.
    pub name: String,
    /// A line for people.
    pub title: String,
    /// What goes in.
    pub inputs: Inputs,
    /// A name for each output.
    pub labels: Vec<String>,
    /// What the scores are for.
    pub task: Task,
    /// The two labels between which the only output decides, if it does.
    pub classes: Option<[String; 2]>,
    /// From scores to probabilities.
    pub link: Link,
    /// Whether inputs have to be rounded to their levels, which then counts as an error of the scores.
    pub input_rounding: bool,
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
                "is {rows} x {features}; up to {} x {} is possible",
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
            input_rounding: metadata.flag("input_rounding")?,
            accuracy: metadata.accuracy()?,
            coef: coef.chunks_exact(features).map(<[f64]>::to_vec).collect(),
            intercept,
        })
    }

    /// Writes the file that [`Self::from_safetensors`] reads.
    ///
    /// # Errors
    /// If the model has more numbers than a file can describe.
    pub fn to_safetensors(&self) -> Result<Vec<u8>, ModelError> {
        let bytes =
            |values: &mut dyn Iterator<Item = f64>| values.flat_map(f64::to_le_bytes).collect::<Vec<u8>>();
        let (rows, features) = (self.coef.len(), self.inputs.count);
        let coef = bytes(&mut self.coef.iter().flatten().copied());
        let intercept = bytes(&mut self.intercept.iter().copied());
        let ranges = (0..features).map(|index| self.inputs.range(index));
        let (min, max): (Vec<f64>, Vec<f64>) = ranges.unzip();
        let (min, max) = (bytes(&mut min.into_iter()), bytes(&mut max.into_iter()));
        let mut tensors = vec![
            ("coef", TensorView::new(Dtype::F64, vec![rows, features], &coef)?),
            ("intercept", TensorView::new(Dtype::F64, vec![rows], &intercept)?),
        ];
        if self.inputs.features.is_some() {
            tensors.push(("feature_min", TensorView::new(Dtype::F64, vec![features], &min)?));
            tensors.push(("feature_max", TensorView::new(Dtype::F64, vec![features], &max)?));
        }
        Ok(safetensors::serialize(
            tensors,
            Some(self.metadata().into_iter().collect()),
        )?)
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        let Inputs { min, max, levels, .. } = self.inputs;
        // Strings and lists of them have a JSON form.
        let json = |value: Value| value.to_string();
        let mut entries = vec![
            ("parameter_set", self.params.name.to_owned()),
            ("name", self.name.clone()),
            ("title", self.title.clone()),
            ("labels", json(self.labels.clone().into())),
            ("task", self.task.name().to_owned()),
            ("link", self.link.name().to_owned()),
            ("input_min", min.to_string()),
            ("input_max", max.to_string()),
            ("input_levels", levels.to_string()),
            ("input_rounding", self.input_rounding.to_string()),
        ];
        if let Some(features) = &self.inputs.features {
            let names: Option<Vec<_>> = features.iter().map(|feature| feature.name.clone()).collect();
            entries.extend(names.map(|names| ("features", json(names.into()))));
        }
        if let Some(NormBound { centre, max }) = self.inputs.norm {
            entries.push(("norm_centre", centre.to_string()));
            entries.push(("norm_max", max.to_string()));
        }
        entries.extend(
            self.classes
                .as_ref()
                .map(|classes| ("classes", json(classes.to_vec().into()))),
        );
        if self.salt != Salt::none() {
            entries.push((Salt::ENTRY, self.salt.as_str().to_owned()));
        }
        entries.extend(self.accuracy.map(|accuracy| ("accuracy", accuracy.to_string())));
        entries
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
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
