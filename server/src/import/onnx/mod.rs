//! ONNX files, as skl2onnx and PyTorch write them, read as one linear model.
//!
//! The graph is run once, on symbols instead of numbers: every tensor becomes a [`Value`] that says what it is of the features. A node
//! that leads out of what a linear model can be is refused by its name.

mod attributes;
mod external;
mod linear;
mod nodes;
mod value;

use super::{Fitted, ImportError};
use attributes::{Constant, operator};
use blindscore_protocol::descriptor::{FEATURES, OUTPUTS};
use prost::Message;
use std::{collections::HashMap, path::Path};
use tract_onnx::pb::{
    GraphProto, ModelProto, TensorProto, ValueInfoProto, tensor_shape_proto::dimension, type_proto,
};
use value::{Columns, Value};

/// Reads an ONNX model. Its tensors may lie in files of their own in `folder`, where the model's file is.
///
/// # Errors
/// If the bytes are no ONNX model, or not a linear one: the error names the operator.
pub fn read(bytes: &[u8], folder: &Path) -> Result<Fitted, ImportError> {
    let model = ModelProto::decode(bytes).map_err(|error| ImportError::NotOnnx(error.to_string()))?;
    let mut graph = model
        .graph
        .ok_or_else(|| ImportError::NotOnnx("it has no graph".into()))?;
    let mut values = constants(std::mem::take(&mut graph.initializer), folder)?;
    let (count, names) = inputs(&graph, &mut values)?;
    for node in &graph.node {
        let outputs = nodes::evaluate(node, &values)?;
        values.extend(outputs);
    }
    result(&graph, &values, count, names)
}

/// The initializers.
fn constants(tensors: Vec<TensorProto>, folder: &Path) -> Result<HashMap<String, Value>, ImportError> {
    let constants = tensors.into_iter().map(|tensor| {
        let name = tensor.name.clone();
        let constant = external::loaded(tensor, folder).and_then(|tensor| Constant::of(&tensor));
        match constant {
            Ok(constant) => Ok((name, Value::Constant(constant))),
            Err(why) => Err(ImportError::Graph(format!("initializer {name:?} {why}"))),
        }
    });
    constants.collect()
}

/// Makes the graph's inputs the features, and counts them: one input of many columns, or many of one column, which then have names.
fn inputs(
    graph: &GraphProto,
    values: &mut HashMap<String, Value>,
) -> Result<(usize, Option<Vec<String>>), ImportError> {
    let inputs: Vec<_> = graph
        .input
        .iter()
        .filter(|input| !values.contains_key(&input.name))
        .collect();
    let mut count = 0;
    for input in &inputs {
        let width = width(input)?;
        values.insert(
            input.name.clone(),
            Value::Features(Columns::identity(count..count + width)),
        );
        count += width;
    }
    if !FEATURES.contains(&count) {
        return Err(ImportError::Graph(format!(
            "the model has {count} features; {} to {} are possible",
            FEATURES.start(),
            FEATURES.end()
        )));
    }
    let named = inputs.len() == count && count > 1;
    let names = named.then(|| inputs.iter().map(|input| input.name.clone()).collect());
    Ok((count, names))
}

/// Columns of an input of shape `[rows, columns]`.
fn width(input: &ValueInfoProto) -> Result<usize, ImportError> {
    let refuse = |what: &str| Err(ImportError::Graph(format!("input {:?} {what}", input.name)));
    let Some(type_proto::Value::TensorType(tensor)) =
        input.r#type.as_ref().and_then(|kind| kind.value.as_ref())
    else {
        return refuse("is not a tensor");
    };
    let dimensions = tensor.shape.as_ref().map_or(&[][..], |shape| &shape.dim);
    match dimensions {
        [_, columns] => match columns.value {
            Some(dimension::Value::DimValue(columns)) if columns > 0 => match usize::try_from(columns) {
                Ok(columns) if FEATURES.contains(&columns) => Ok(columns),
                _ => refuse("has more columns than a model may have features"),
            },
            _ => refuse("has no fixed number of columns: export the model with an example row"),
        },
        _ => refuse("is not of shape [rows, columns]"),
    }
}

/// What the graph gives in the end: probabilities if there are any, else scores.
fn result(
    graph: &GraphProto,
    values: &HashMap<String, Value>,
    count: usize,
    features: Option<Vec<String>>,
) -> Result<Fitted, ImportError> {
    let outputs = || graph.output.iter().filter_map(|output| values.get(&output.name));
    let labels = outputs().find_map(|value| match value {
        Value::Label(labels) => Some(labels.clone()),
        _ => None,
    });
    let scores = outputs()
        .filter_map(Value::scores)
        .max_by_key(|scores| scores.link.is_some())
        .or_else(|| {
            // A support vector machine may give labels only; what it decided them by is inside.
            let inner = values.values().filter_map(Value::scores);
            labels
                .is_some()
                .then(|| inner.max_by_key(|scores| scores.classes.is_some()))
                .flatten()
        });
    let Some(scores) = scores else {
        return Err(ImportError::Graph(
            "the model gives neither scores nor probabilities".into(),
        ));
    };
    let rows = scores.linear.coef.len();
    if !OUTPUTS.contains(&rows) {
        return Err(ImportError::Graph(format!(
            "the model has {rows} outputs; at most {} are possible",
            OUTPUTS.end()
        )));
    }
    scores.fitted(count, features, labels.flatten())
}

/// Refuses a node.
fn unsupported(node: &tract_onnx::pb::NodeProto, why: impl Into<String>) -> ImportError {
    ImportError::Unsupported {
        operator: operator(node),
        node: node.name.clone(),
        why: why.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODELS: [&[u8]; 4] = [
        include_bytes!("../../../../tests/fixtures/models/iris/model.onnx"),
        include_bytes!("../../../../tests/fixtures/models/iris-rest/model.onnx"),
        include_bytes!("../../../../tests/fixtures/models/breast-cancer-frame/model.onnx"),
        include_bytes!("../../../../tests/fixtures/models/diabetes-double/model.onnx"),
    ];

    /// Weights and labels may differ then; what may not is that the program panics, or allocates what a file of some kilobytes can't fill.
    #[test]
    fn changed_and_cut_files_are_models_or_errors() {
        for model in MODELS {
            read(model, Path::new("")).unwrap();
            for place in 0..model.len() {
                for change in [0x01, 0x80, 0xff] {
                    let mut changed = model.to_vec();
                    changed[place] ^= change;
                    if let Ok(fitted) = read(&changed, Path::new("")) {
                        assert!(FEATURES.contains(&fitted.count()));
                        assert!(fitted.coef.iter().all(|row| row.len() == fitted.count()));
                        assert_eq!(fitted.coef.len(), fitted.intercept.len());
                    }
                }
                let _ = read(&model[..place], Path::new(""));
            }
        }
    }
}
