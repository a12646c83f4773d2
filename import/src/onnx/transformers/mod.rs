//! Transformers of scikit-learn that skl2onnx writes as many nodes. Each is read as one node, of
//! what scikit-learn computes.

mod imputer;
mod isotonic;
mod power;
mod quantile;

use super::{
    attributes::Attributes, constant::Constant, inputs::is_column, operators::Attribute, pattern::Searched,
    unsupported,
};
use crate::ImportError;
use crate::onnx::proto::{
    AttributeProto, GraphProto, NodeProto, TensorProto, attribute_proto::AttributeType,
    tensor_proto::DataType,
};

/// Domain of the nodes that stand for transformers.
pub(crate) const OWN: &str = "blindscore";

/// Transformers that skl2onnx has no operators for. The Python package writes them as such nodes;
/// files have no others.
pub(super) const WRITTEN: [&str; 2] = ["HashingVectorizer", "SplineTransformer"];

/// Nodes that stand for transformers of scikit-learn, with their attributes.
pub(super) const OPERATORS: &[(&str, &[Attribute])] = &[
    (
        "IsotonicRegression",
        &[
            ("probabilities", AttributeType::Tensor),
            ("thresholds", AttributeType::Tensor),
        ],
    ),
    (
        "HashingVectorizer",
        &[
            ("alternate_sign", AttributeType::Int),
            ("analyzer", AttributeType::String),
            ("binary", AttributeType::Int),
            ("lowercase", AttributeType::Int),
            ("n_features", AttributeType::Int),
            ("ngram_range", AttributeType::Ints),
            ("stop_words", AttributeType::Strings),
            ("token_pattern", AttributeType::String),
        ],
    ),
    ("Normalizer", &[("norm", AttributeType::String)]),
    (
        "PowerTransformer",
        &[
            ("lambdas", AttributeType::Tensor),
            ("method", AttributeType::String),
        ],
    ),
    (
        "QuantileTransformer",
        &[
            ("quantiles", AttributeType::Tensor),
            ("references", AttributeType::Tensor),
        ],
    ),
    (
        "SimpleImputer",
        &[
            ("indicated", AttributeType::Ints),
            ("kept", AttributeType::Ints),
            ("values", AttributeType::Tensor),
        ],
    ),
    (
        "SplineTransformer",
        &[
            ("degree", AttributeType::Int),
            ("extrapolation", AttributeType::String),
            ("handle_missing", AttributeType::String),
            ("include_bias", AttributeType::Int),
            ("knots", AttributeType::Tensor),
        ],
    ),
];

/// A transformer that was found.
struct Transformer {
    /// Tensor of its results.
    result: String,
    /// Tensor that the file takes its numbers from.
    source: String,
    /// Number of columns that it was fitted on.
    columns: usize,
    operator: &'static str,
    attributes: Vec<AttributeProto>,
    /// Faults of the converter that this mends.
    mended: Vec<&'static str>,
}

/// Replaces each transformer by one node, and returns words about what the file has otherwise.
/// `mends` says whether the converter is known to write some that aren't what was fitted.
///
/// # Errors
/// If the file lacks some of what scikit-learn computes.
pub(super) fn recognise(graph: &mut GraphProto, mends: bool) -> Result<Vec<&'static str>, ImportError> {
    let searched = Searched::new(graph);
    let found = graph
        .node
        .iter()
        .map(|node| {
            power::find(&searched, node)
                .or_else(|| quantile::find(&searched, node))
                .or_else(|| isotonic::find(&searched, node).filter(|_| mends))
        })
        .collect();
    let mut mended = replace(graph, found);
    // Those before the others, which tell more about them.
    let searched = Searched::new(graph);
    let found = graph
        .node
        .iter()
        .map(|node| imputer::find(&searched, node))
        .collect::<Result<_, _>>()?;
    mended.extend(replace(graph, found));
    check(graph)?;
    mended.sort_unstable();
    mended.dedup();
    Ok(mended)
}

/// Puts transformers in the places of the nodes that give their results, and returns words about
/// what the file has otherwise.
fn replace(graph: &mut GraphProto, found: Vec<Option<Transformer>>) -> Vec<&'static str> {
    let mut mended = Vec::new();
    for (place, transformer) in found.into_iter().enumerate() {
        let Some(transformer) = transformer else { continue };
        let sources = whole_record(graph, &transformer);
        mended.extend(transformer.mended);
        if sources.len() > 1 {
            mended.push("the columns of a transformer, all of which skl2onnx takes from the first one");
        }
        let node = &mut graph.node[place];
        *node = NodeProto {
            domain: OWN.to_owned(),
            op_type: transformer.operator.to_owned(),
            name: std::mem::take(&mut node.name),
            input: sources,
            output: vec![transformer.result],
            attribute: transformer.attributes,
        };
    }
    mended
}

/// Returns the tensors whose columns a transformer takes. Fitted on several inputs of one column
/// each, it is written as if it took the first one only.
fn whole_record(graph: &GraphProto, transformer: &Transformer) -> Vec<String> {
    let inputs = &graph.input;
    let is_first = inputs
        .first()
        .is_some_and(|input| input.name == transformer.source);
    if is_first
        && transformer.columns > 1
        && inputs.len() == transformer.columns
        && inputs.iter().all(is_column)
    {
        inputs.iter().map(|input| input.name.clone()).collect()
    } else {
        vec![transformer.source.clone()]
    }
}

/// Refuses a transformer with a scaler behind it whose numbers are too coarse in single precision.
fn check(graph: &GraphProto) -> Result<(), ImportError> {
    let searched = Searched::new(graph);
    let powers = graph
        .node
        .iter()
        .filter(|node| node.domain == OWN && node.op_type == "PowerTransformer");
    for power in powers {
        let attributes = Attributes(power);
        let Some(Ok(lambdas)) = attributes.tensor("lambdas").map(Constant::of) else {
            continue;
        };
        let consumers = power
            .output
            .first()
            .map_or(&[][..], |result| searched.consumers(result));
        for scaler in consumers.iter().filter(|node| node.op_type == "Scaler") {
            let floats = |name: &str| {
                Attributes(scaler)
                    .get(name)
                    .map_or(&[][..], |attribute| &attribute.floats)
            };
            let method = attributes.text("method", "");
            if let Some(column) = power::coarse(&method, &lambdas.numbers, floats("offset"), floats("scale"))
            {
                return Err(unsupported(
                    power,
                    format!(
                        " for its column {} (lambda {}): the transformed numbers are too large, or differ too little, for single precision, in which \
                         skl2onnx writes their mean. Scale that column before, for example by MinMaxScaler",
                        column + 1,
                        lambdas.numbers[column] as f32
                    ),
                ));
            }
        }
    }
    Ok(())
}

fn text(name: &str, text: &str) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::String as i32,
        s: text.as_bytes().to_vec(),
        ..AttributeProto::default()
    }
}

fn tensor(name: &str, kind: DataType, shape: &[usize], numbers: &[f64]) -> AttributeProto {
    let mut tensor = TensorProto {
        dims: shape.iter().map(|&size| size as i64).collect(),
        data_type: kind as i32,
        ..TensorProto::default()
    };
    if kind == DataType::Float {
        tensor.float_data = numbers.iter().map(|&number| number as f32).collect();
    } else {
        tensor.double_data = numbers.to_vec();
    }
    AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Tensor as i32,
        t: Some(tensor),
        ..AttributeProto::default()
    }
}

fn ints(name: &str, numbers: &[i64]) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        r#type: AttributeType::Ints as i32,
        ints: numbers.to_vec(),
        ..AttributeProto::default()
    }
}
