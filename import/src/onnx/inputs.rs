//! Features of a model: the inputs of its graph.

use super::{column::Columns, value::Value, values::Values};
use crate::ImportError;
use blindscore_protocol::descriptor::FEATURES;
use std::collections::HashSet;
use tract_onnx::pb::{
    GraphProto, ValueInfoProto, tensor_proto::DataType, tensor_shape_proto::dimension, type_proto,
};

/// Features that a model takes.
pub(super) struct Features {
    /// Number of features.
    pub(super) count: usize,
    /// Names of the features, if each is an input of one column.
    pub(super) names: Option<Vec<String>>,
    /// Columns that the model knows but does not use.
    pub(super) unused: Vec<String>,
    /// Number of rows of all inputs, if it is fixed.
    pub(super) rows: Option<usize>,
}

/// An input of the graph.
struct Input<'a> {
    name: &'a str,
    kind: Kind,
    width: usize,
    rows: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Float,
    Integer,
    Text,
}

/// Turns the graph's inputs into features: one input of many columns, or several of one column
/// each, which then have names. Named inputs that no `used` tensor depends on are left out.
pub(super) fn read<'g>(graph: &'g GraphProto, values: &mut Values<'g>) -> Result<Features, ImportError> {
    // Older files list initializers among the inputs, too.
    let constants: HashSet<&str> = graph
        .initializer
        .iter()
        .map(|tensor| tensor.name.as_str())
        .collect();
    let inputs: Vec<Input<'_>> = graph
        .input
        .iter()
        .filter(|input| !constants.contains(input.name.as_str()))
        .map(input)
        .collect::<Result<_, _>>()?;
    let named = inputs.len() > 1 && inputs.iter().all(|input| input.width == 1);
    let mut features = Features {
        count: 0,
        names: named.then(Vec::new),
        unused: Vec::new(),
        rows: match inputs.split_first() {
            Some((first, rest)) if rest.iter().all(|input| input.rows == first.rows) => first.rows,
            _ => None,
        },
    };
    for input in &inputs {
        let is_used = values.is_used(input.name);
        if !is_used && named {
            features.unused.push(input.name.to_owned());
            continue;
        }
        let value = match input.kind {
            Kind::Text if !is_used => {
                return Err(ImportError::Graph(format!(
                    "the model doesn't use its input {:?}, which is text, and its other inputs have no names of their own: export it \
                     without that one",
                    input.name
                )));
            }
            Kind::Text => Value::Text(input.name.to_owned()),
            kind => {
                let places = features.count..features.count + input.width;
                features.count = places.end;
                if !FEATURES.contains(&features.count) {
                    return Err(too_many(features.count));
                }
                if let Some(names) = &mut features.names {
                    names.push(input.name.to_owned());
                }
                Value::Features(Columns::inputs(places, kind == Kind::Integer).into())
            }
        };
        values.insert(input.name, value)?;
    }
    let has_text = inputs
        .iter()
        .any(|input| input.kind == Kind::Text && values.is_used(input.name));
    if !FEATURES.contains(&features.count) && !has_text {
        return Err(too_many(features.count));
    }
    Ok(features)
}

fn too_many(features: usize) -> ImportError {
    ImportError::Graph(format!(
        "the model has {features} features or more; {} to {} are allowed",
        FEATURES.start(),
        FEATURES.end()
    ))
}

/// Parses an input of shape `[rows, columns]`.
fn input(info: &ValueInfoProto) -> Result<Input<'_>, ImportError> {
    let refuse = |what: &str| Err(ImportError::Graph(format!("input {:?} {what}", info.name)));
    let Some(type_proto::Value::TensorType(tensor)) =
        info.r#type.as_ref().and_then(|kind| kind.value.as_ref())
    else {
        return refuse("is not a tensor");
    };
    let kind = match DataType::try_from(tensor.elem_type) {
        Ok(DataType::Float | DataType::Double) => Kind::Float,
        Ok(
            DataType::Int64
            | DataType::Int32
            | DataType::Int16
            | DataType::Int8
            | DataType::Uint64
            | DataType::Uint32
            | DataType::Uint16
            | DataType::Uint8,
        ) => Kind::Integer,
        Ok(DataType::String) => Kind::Text,
        Ok(DataType::Bool) => {
            return refuse("is true or false: export the model with a column of numbers, 0 and 1");
        }
        _ => return refuse("has a type that isn't supported: export the model with columns of floats"),
    };
    let name = info.name.as_str();
    let dimensions = tensor.shape.as_ref().map_or(&[][..], |shape| &shape.dim);
    let size = |place: usize| match dimensions.get(place)?.value {
        Some(dimension::Value::DimValue(size)) => usize::try_from(size).ok().filter(|size| *size > 0),
        _ => None,
    };
    let rows = size(0);
    let width = match (kind, dimensions) {
        (Kind::Text, _) => 1,
        (_, [_, _]) => match size(1) {
            Some(width) => width,
            None => return refuse("has no fixed number of columns: export the model with an example row"),
        },
        _ => return refuse("is not of shape [rows, columns]"),
    };
    if !FEATURES.contains(&width) {
        return refuse("has more columns than a model may have features");
    }
    Ok(Input {
        name,
        kind,
        width,
        rows,
    })
}
