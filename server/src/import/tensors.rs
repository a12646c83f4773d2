//! Fitted models as safetensors files that three lines of numpy can write.
//!
//! Tensors `coef` `[outputs, features]` or `[features]`, and `intercept` `[outputs]` or `[]`; `feature_min` and `feature_max` `[features]` if
//! the ranges are known. Metadata, all optional: `labels` (JSON array: one for each output, or two for one output), `features` (JSON array of
//! names), `link`, `input_min` and `input_max`.

use super::{Fitted, ImportError};
use crate::model::{Metadata, ModelError, numbers};
use blindscore_protocol::descriptor::{FEATURES, Link, OUTPUTS, Task};
use safetensors::SafeTensors;

/// Reads a file.
///
/// # Errors
/// If it is no such file, or its shapes don't fit together.
pub fn read(bytes: &[u8]) -> Result<Fitted, ImportError> {
    let tensors = SafeTensors::deserialize(bytes).map_err(ModelError::from)?;
    let metadata = Metadata::read(bytes)?;
    let (shape, coef) = numbers(&tensors, "coef")?;
    let (rows, features) = match *shape.as_slice() {
        [features] => (1, features),
        [rows, features] => (rows, features),
        _ => {
            return Err(field(
                "coef",
                format!("has shape {shape:?}, not [outputs, features]"),
            ));
        }
    };
    if !OUTPUTS.contains(&rows) || !FEATURES.contains(&features) {
        return Err(field(
            "coef",
            format!(
                "is {rows} x {features}; up to {} x {} is possible",
                OUTPUTS.end(),
                FEATURES.end()
            ),
        ));
    }
    let (_, intercept) = numbers(&tensors, "intercept")?;
    if intercept.len() != rows {
        return Err(field(
            "intercept",
            format!("has {} values for {rows} outputs", intercept.len()),
        ));
    }
    let labels: Option<Vec<String>> = metadata.optional_json("labels")?;
    let classes = match (rows, labels.as_deref()) {
        (1, Some([negative, positive])) => Some([negative.clone(), positive.clone()]),
        _ => None,
    };
    let link = match (metadata.has("link"), rows, &classes) {
        (true, _, _) => metadata.link()?,
        (false, 1, Some(_)) => Link::Sigmoid,
        (false, 1, None) => Link::Identity,
        (false, _, _) => Link::Softmax,
    };
    let task = match (metadata.has("task"), &labels) {
        // Several scores with names are those of classes, as numpy's recipe writes them.
        (false, Some(labels)) if link == Link::Identity && labels.len() > 1 => Task::Classification,
        _ => metadata.task(link, rows, classes.is_some())?,
    };
    let range = |name| numbers(&tensors, name).map(|(_, values)| values);
    let ranges = if tensors.tensor("feature_min").is_ok() {
        let (min, max) = (range("feature_min")?, range("feature_max")?);
        if min.len() != features || max.len() != features {
            return Err(field(
                "feature_min",
                format!(
                    "and feature_max have {} and {} values for {features} features",
                    min.len(),
                    max.len()
                ),
            ));
        }
        Some(min.into_iter().zip(max).collect())
    } else if metadata.has("input_min") {
        Some(vec![
            (metadata.number("input_min")?, metadata.number("input_max")?);
            features
        ])
    } else {
        None
    };
    Ok(Fitted {
        features: metadata.optional_json("features")?,
        ranges,
        labels: if classes.is_some() { None } else { labels },
        task,
        classes,
        link,
        coef: coef.chunks_exact(features).map(<[f64]>::to_vec).collect(),
        intercept,
    })
}

fn field(name: &'static str, problem: String) -> ImportError {
    ModelError::Field { name, problem }.into()
}
