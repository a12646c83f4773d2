//! Columns of a record: the inputs of the graph.

use super::{
    column::Columns,
    plan::Plan,
    value::{Block, Texts, Value},
    values::Values,
};
use crate::ImportError;
use crate::onnx::proto::{
    GraphProto, ValueInfoProto, tensor_proto::DataType, tensor_shape_proto::dimension, type_proto,
};
use blindscore_protocol::{
    descriptor::FEATURES,
    encoding::{Column, ColumnKind},
};
use std::collections::HashSet;

/// Inputs of a graph.
pub(super) struct Inputs {
    /// The encoding, of which only the columns are known yet.
    pub(super) plan: Plan,
    /// Whether each column is an input with a name.
    pub(super) named: bool,
    /// Columns that the model knows but does not use.
    pub(super) unused: Vec<String>,
    /// Number of rows of all inputs, if it is fixed.
    pub(super) rows: Option<usize>,
}

/// An input of the graph.
struct Input<'a> {
    name: &'a str,
    kind: ColumnKind,
    /// Whether numbers are in single precision.
    single: bool,
    width: usize,
    axes: Axes,
    rows: Option<usize>,
}

/// Axes of an input.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Axes {
    /// `[rows]`
    Vector,
    /// `[rows, columns]`
    Matrix,
    /// `[rows, ...]`, such as an image.
    More,
}

/// Turns the graph's inputs into columns of a record: those of one input of many columns, or of
/// several inputs of one column each, which then have names. Named inputs that no `used` tensor
/// depends on are left out.
pub(super) fn read<'g>(graph: &'g GraphProto, values: &mut Values<'g>) -> Result<Inputs, ImportError> {
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
    // The only input of numbers is called anything, such as `X`.
    let several = inputs.len() > 1 || inputs.iter().any(|input| input.kind.is_text());
    let named = several && inputs.iter().all(|input| input.width == 1);
    let (mut columns, mut unused) = (Vec::new(), Vec::new());
    for input in &inputs {
        let is_used = values.is_used(input.name);
        if !is_used && named {
            unused.push(input.name.to_owned());
            continue;
        }
        let slots = columns.len()..columns.len() + input.width;
        if slots.end > *FEATURES.end() {
            return Err(too_many(slots.end));
        }
        columns.extend(slots.clone().map(|_| Column {
            name: named.then(|| input.name.to_owned()),
            kind: input.kind,
            single: input.single,
        }));
        let value = if input.kind.is_text() {
            Value::Texts(Texts {
                slots: slots.collect(),
                vector: input.axes == Axes::Vector,
            })
        } else {
            let integers = matches!(input.kind, ColumnKind::Integer | ColumnKind::Flag);
            let columns = Columns::plain(slots, integers).into();
            match input.axes {
                Axes::More => Value::Block(Block { columns }),
                Axes::Vector | Axes::Matrix => Value::Features(columns),
            }
        };
        values.insert(input.name, value)?;
    }
    if columns.is_empty() {
        return Err(too_many(0));
    }
    Ok(Inputs {
        plan: Plan::new(columns),
        named,
        unused,
        rows: match inputs.split_first() {
            Some((first, rest)) if rest.iter().all(|input| input.rows == first.rows) => first.rows,
            _ => None,
        },
    })
}

fn too_many(features: usize) -> ImportError {
    ImportError::Graph(format!(
        "the model has {features} features or more; {} to {} are allowed",
        FEATURES.start(),
        FEATURES.end()
    ))
}

/// Returns whether an input is a single column `[rows, 1]`.
pub(super) fn is_column(info: &ValueInfoProto) -> bool {
    input(info).is_ok_and(|input| input.width == 1 && input.axes == Axes::Matrix)
}

/// Parses an input of shape `[rows, columns]`, or of more axes.
fn input(info: &ValueInfoProto) -> Result<Input<'_>, ImportError> {
    let refuse = |what: &str| Err(ImportError::Graph(format!("input {:?} {what}", info.name)));
    let Some(type_proto::Value::TensorType(tensor)) =
        info.r#type.as_ref().and_then(|kind| kind.value.as_ref())
    else {
        return refuse("is not a tensor");
    };
    let element = DataType::try_from(tensor.elem_type);
    let kind = match element {
        Ok(DataType::Float | DataType::Double) => ColumnKind::Number,
        Ok(
            DataType::Int64
            | DataType::Int32
            | DataType::Int16
            | DataType::Int8
            | DataType::Uint64
            | DataType::Uint32
            | DataType::Uint16
            | DataType::Uint8,
        ) => ColumnKind::Integer,
        // Becomes a text if its words are counted.
        Ok(DataType::String) => ColumnKind::Category,
        Ok(DataType::Bool) => ColumnKind::Flag,
        _ => return refuse("has a type that isn't supported: export the model with columns of floats"),
    };
    let name = info.name.as_str();
    let dimensions = tensor.shape.as_ref().map_or(&[][..], |shape| &shape.dim);
    let size = |place: usize| match dimensions.get(place)?.value {
        Some(dimension::Value::DimValue(size)) => usize::try_from(size).ok().filter(|size| *size > 0),
        _ => None,
    };
    let rows = size(0);
    let (width, axes) = match dimensions {
        [_] if kind.is_text() => (1, Axes::Vector),
        [_, rest @ ..] if !rest.is_empty() && (rest.len() == 1 || !kind.is_text()) => {
            let sizes: Option<Vec<usize>> = (1..dimensions.len()).map(size).collect();
            let Some(sizes) = sizes else {
                return refuse("has no fixed number of columns: export the model with an example row");
            };
            let width = sizes
                .iter()
                .fold(1usize, |width, size| width.saturating_mul(*size));
            (
                width,
                if sizes.len() == 1 {
                    Axes::Matrix
                } else {
                    Axes::More
                },
            )
        }
        _ => return refuse("is not of shape [rows, columns]"),
    };
    if !FEATURES.contains(&width) {
        return refuse("has more columns than a model may have features");
    }
    Ok(Input {
        name,
        kind,
        single: element == Ok(DataType::Float),
        width,
        axes,
        rows,
    })
}
