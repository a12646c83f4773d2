//! Fitted models as safetensors files that three lines of numpy can write.
//!
//! Tensors: `coef` `[outputs, features]` or `[features]`, `intercept` `[outputs]` or `[]`, and
//! `feature_min` and `feature_max` `[features]` if the ranges are known. Metadata, all optional:
//! `labels` (JSON array: one per output, or two for a single output), `features` (JSON array of
//! names), `task`, `link`, `accuracy`, `input_min` and `input_max`.

use super::{Fitted, ImportError};
use blindscore_engine::model::{Metadata, ModelError, numbers, tensors};
use blindscore_protocol::descriptor::{FEATURES, Link, OUTPUTS, Task};
use safetensors::SafeTensors;

/// Tensors of a linear model.
const KNOWN: [&str; 4] = ["coef", "intercept", "feature_min", "feature_max"];

/// Reads a fitted model.
///
/// # Errors
/// If the file is malformed, or its shapes don't fit together.
pub fn read(bytes: &[u8]) -> Result<Fitted, ImportError> {
    let tensors = tensors(bytes)?;
    let metadata = Metadata::read(bytes)?;
    check_known(&tensors, &metadata)?;
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
                "is {rows} x {features}; at most {} x {} is allowed",
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
    let has_link = metadata.has("link");
    let link = match (has_link, rows, labels.as_deref()) {
        (true, _, _) => metadata.link()?,
        (false, 1, Some([_, _])) => Link::Sigmoid,
        (false, 1, _) => Link::Identity,
        (false, _, _) => Link::Softmax,
    };
    if matches!(link, Link::Isotonic | Link::Mean | Link::OneVsOne | Link::Votes) {
        return Err(field(
            "link",
            format!(
                "is {}, which is for several models in one: export them to ONNX, and import that",
                link.name()
            ),
        ));
    }
    let (labels, classes) = match (rows, link, labels) {
        (1, Link::Softmax | Link::OneVsRest, _) => {
            return Err(field(
                "link",
                format!(
                    "is {}, which can't be used with one output: write sigmoid",
                    link.name()
                ),
            ));
        }
        (1, Link::Sigmoid, Some(labels)) if labels.len() == 1 => {
            return Err(field(
                "labels",
                "names one class; one sigmoid decides between two: name both, first the one that a negative score means".into(),
            ));
        }
        (1, _, Some(labels)) if labels.len() == 2 => (None, Some(labels)),
        (_, _, Some(labels)) if labels.len() != rows => {
            return Err(field(
                "labels",
                format!("has {} names for {rows} outputs", labels.len()),
            ));
        }
        // Counted from 0, as in frameworks.
        (1, Link::Sigmoid, None) if !metadata.has("task") => {
            (None, Some(["0", "1"].map(str::to_owned).to_vec()))
        }
        (_, _, labels) => (labels, None),
    };
    let task = match (metadata.has("task"), &labels) {
        // Several named scores belong to classes, as in the numpy recipe.
        (false, Some(labels)) if link == Link::Identity && labels.len() > 1 => Some(Task::Classification),
        (false, _) => Task::implied(link, rows, classes.is_some()),
        (true, _) => Some(metadata.task(link, rows, classes.is_some())?),
    };
    let names: Option<Vec<String>> = metadata.optional_json("features")?;
    if let Some(names) = names.as_ref().filter(|names| names.len() != features) {
        return Err(field(
            "features",
            format!("has {} names for {features} features", names.len()),
        ));
    }
    let range = |name| numbers(&tensors, name).map(|(_, values)| values);
    let has_ranges = ["feature_min", "feature_max"].map(|name| tensors.tensor(name).is_ok());
    if has_ranges[0] != has_ranges[1] {
        return Err(field(
            "feature_min",
            "and feature_max belong together: one of them is missing".into(),
        ));
    }
    let ranges = if has_ranges[0] {
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
    } else if metadata.has("input_min") || metadata.has("input_max") {
        Some(vec![
            (metadata.number("input_min")?, metadata.number("input_max")?);
            features
        ])
    } else {
        None
    };
    Ok(Fitted {
        features: names,
        ranges,
        labels,
        task,
        classes,
        assumed_link: !has_link && !metadata.has("task"),
        accuracy: metadata.accuracy()?,
        ..Fitted::new(
            link,
            coef.chunks_exact(features).map(<[f64]>::to_vec).collect(),
            intercept,
        )
    })
}

/// Refuses content that would be ignored: unknown tensors, and entries that say that inputs are
/// transformed first.
fn check_known(tensors: &SafeTensors<'_>, metadata: &Metadata) -> Result<(), ImportError> {
    if let Some(name) = tensors.names().into_iter().find(|name| !KNOWN.contains(name)) {
        return Err(ImportError::Options(format!(
            "the file has a tensor {name:?}, which means nothing here: a linear model's are {}. Fold scalers into coef and intercept",
            KNOWN.join(", ")
        )));
    }
    for name in ["image", "deskew"] {
        if metadata.has(name) {
            return Err(field(
                name,
                "is for finished model files, which need no import: put the file into the models folder as NAME@1.safetensors".into(),
            ));
        }
    }
    Ok(())
}

fn field(name: &'static str, problem: String) -> ImportError {
    ModelError::Field { name, problem }.into()
}
