//! Faults of skl2onnx 1.20, after which a file isn't what was fitted.

mod machines;
mod rest;
mod selection;
mod targets;
mod zeros;

use super::{inputs::is_column, repair_votes};
use crate::onnx::proto::{
    GraphProto, NodeProto, TensorProto, ValueInfoProto, tensor_proto::DataType, type_proto,
};
use std::collections::HashMap;

/// Norm of a mended `Normalizer`.
pub(crate) const LARGEST_MAGNITUDE: &str = "blindscore: largest magnitude";
/// Name of the constant that a mended node takes.
const FIRST: &str = "blindscore: first column";
/// Names of the constants of mended logarithms.
const LEAST_COUNT: &str = "blindscore: 1/e";
const ONE: &str = "blindscore: 1";

/// Which of two possible origins of a file is assumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// The converter's known faults are mended, so that the model is what was fitted.
    AsFitted,
    /// The file is taken at its word.
    AsWritten,
}

/// Mends a graph, and returns words about what was changed.
pub(super) fn mend(graph: &mut GraphProto) -> Vec<&'static str> {
    let mut changes = Vec::new();
    if mend_bins(graph) {
        changes.push("the columns of KBinsDiscretizer, all of which skl2onnx takes from the first one");
    }
    if selection::mend(graph) {
        changes.push("a selection of the first column only, for which skl2onnx writes a constant of the columns' shape");
    }
    if zeros::mend(graph) {
        changes.push("rows of zeros before Normalizer, which skl2onnx divides by 0 in double precision");
    }
    if machines::mend(graph) {
        changes.push("the columns of a support vector machine, of which skl2onnx takes the first one");
    }
    if mend_discriminant(graph) {
        changes.push(
            "probabilities of two classes, as of LinearDiscriminantAnalysis, which skl2onnx computes with twice the score (for another \
             model, --expect decides)",
        );
    }
    if mend_binarizer(graph) {
        changes.push("numbers equal to the threshold of a Binarizer, which skl2onnx takes for larger ones in double precision");
    }
    if mend_norm(graph) {
        changes.push("Normalizer(\"max\") of negative numbers, of which ONNX takes the largest and scikit-learn the largest magnitude");
    }
    if repair_votes::mend(graph) {
        changes.push("votes of a BaggingClassifier's models, which skl2onnx adds up over the rows");
    }
    if rest::mend(graph) {
        changes.push("OneVsRestClassifier of a classifier without probabilities, whose scores skl2onnx takes for probabilities");
    }
    if targets::mend(graph) {
        changes.push("the targets of an MLPRegressor, which skl2onnx puts one below the other");
    }
    if mend_sublinear(graph) {
        changes.push("sublinear_tf, for which skl2onnx writes ln(1 + n) where scikit-learn has 1 + ln(n)");
    }
    changes
}

/// A softmax of a score and its opposite is a sigmoid of twice the score. It is written for
/// `LinearDiscriminantAnalysis`, whose probability is the sigmoid of the score.
fn mend_discriminant(graph: &mut GraphProto) -> bool {
    let mut mended = mend_softmax(graph);
    for node in &mut graph.node {
        let floats = |name: &str| {
            let found = node.attribute.iter().find(|attribute| attribute.name == name);
            found.map_or_else(Vec::new, |attribute| attribute.floats.clone())
        };
        let opposite = |numbers: &[f32]| {
            let (first, second) = numbers.split_at(numbers.len() / 2);
            first.len() == second.len() && first.iter().zip(second).all(|(a, b)| *a == -b)
        };
        let (coefficients, intercepts) = (floats("coefficients"), floats("intercepts"));
        let two = intercepts.len() == 2 && !coefficients.is_empty();
        if node.op_type == "LinearClassifier" && two && opposite(&coefficients) && opposite(&intercepts) {
            for attribute in &mut node.attribute {
                if attribute.name == "post_transform" && attribute.s == b"SOFTMAX" {
                    attribute.s = b"LOGISTIC".to_vec();
                    mended = true;
                }
            }
        }
    }
    mended
}

/// The same in double precision: a softmax of the product with opposite columns of weights.
fn mend_softmax(graph: &mut GraphProto) -> bool {
    let doubles = |name: &str| -> Option<(Vec<i64>, Vec<f64>)> {
        let tensor = graph.initializer.iter().find(|tensor| tensor.name == name)?;
        let mut numbers = tensor.double_data.clone();
        numbers.extend(
            tensor
                .raw_data
                .as_chunks()
                .0
                .iter()
                .map(|bytes| f64::from_le_bytes(*bytes)),
        );
        (tensor.data_type == DataType::Double as i32).then(|| (tensor.dims.clone(), numbers))
    };
    let opposite = |name: &str| {
        let is_pair = |(dims, numbers): (Vec<i64>, Vec<f64>)| {
            dims.last() == Some(&2) && numbers.as_chunks::<2>().0.iter().all(|[a, b]| *a == -b)
        };
        doubles(name).is_some_and(is_pair)
    };
    let second = |operator: &str, output: &str| {
        let node = graph
            .node
            .iter()
            .find(|node| node.op_type == operator && node.output.iter().any(|name| name == output));
        node.filter(|node| node.input.len() == 2 && opposite(&node.input[1]))
            .map(|node| node.input[0].clone())
    };
    let is_discriminant = |node: &NodeProto| {
        node.op_type == "Softmax"
            && node.input.first().is_some_and(|scores| {
                second("Add", scores).is_some_and(|product| second("MatMul", &product).is_some())
            })
    };
    let found: Vec<bool> = graph.node.iter().map(is_discriminant).collect();
    for (node, found) in graph.node.iter_mut().zip(&found) {
        if *found {
            node.op_type = "Sigmoid".to_owned();
            node.attribute.clear();
        }
    }
    found.contains(&true)
}

/// In double precision, a `Binarizer` is written as 0 for what is less than the threshold, and 1
/// for the others. scikit-learn has 1 for what is greater.
fn mend_binarizer(graph: &mut GraphProto) -> bool {
    let constant = |name: &str| -> Option<(i32, f64)> {
        let tensor = graph.initializer.iter().find(|tensor| tensor.name == name)?;
        let kind = tensor.data_type;
        let number = if kind == DataType::Double as i32 {
            let raw = || Some(f64::from_le_bytes(*tensor.raw_data.first_chunk()?));
            tensor.double_data.first().copied().or_else(raw)
        } else if kind == DataType::Float as i32 {
            let raw = || Some(f32::from_le_bytes(*tensor.raw_data.first_chunk()?));
            tensor.float_data.first().copied().or_else(raw).map(f64::from)
        } else {
            None
        };
        number.map(|number| (kind, number))
    };
    // 0 where the comparison holds, else 1.
    let is_choice = |node: &&NodeProto| {
        let [_, held, not] = node.input.as_slice() else {
            return false;
        };
        let number = |name: &str| constant(name).map(|(_, number)| number);
        node.op_type == "Where" && number(held) == Some(0.0) && number(not) == Some(1.0)
    };
    let chosen: Vec<String> = graph
        .node
        .iter()
        .filter(is_choice)
        .map(|node| node.input[0].clone())
        .collect();
    let is_mended = |node: &NodeProto| {
        let is_condition = node.output.first().is_some_and(|output| chosen.contains(output));
        let threshold = node.input.get(1).and_then(|name| constant(name));
        node.op_type == "Less"
            && is_condition
            && threshold.is_some_and(|(kind, _)| kind == DataType::Double as i32)
    };
    let found: Vec<bool> = graph.node.iter().map(is_mended).collect();
    for (node, found) in graph.node.iter_mut().zip(&found) {
        if *found {
            node.op_type = "LessOrEqual".to_owned();
        }
    }
    found.contains(&true)
}

/// Replaces the largest number of each row, which ONNX's `Normalizer` divides by, by the largest
/// magnitude.
fn mend_norm(graph: &mut GraphProto) -> bool {
    let normalizers = graph.node.iter_mut().filter(|node| node.op_type == "Normalizer");
    let norms = normalizers.flat_map(|node| &mut node.attribute);
    let mut mended = false;
    for norm in norms.filter(|attribute| attribute.name == "norm" && attribute.s == b"MAX") {
        norm.s = LARGEST_MAGNITUDE.as_bytes().to_vec();
        mended = true;
    }
    mended
}

/// Replaces `ln(n + 1)` of counts by `1 + ln(n)`, and 0 for none: `1 + ln(max(n, 1/e))`.
fn mend_sublinear(graph: &mut GraphProto) -> bool {
    let is_one = |tensor: &&TensorProto| {
        let mut numbers = tensor.float_data.clone();
        let raw = tensor.raw_data.as_chunks().0;
        numbers.extend(raw.iter().map(|bytes| f32::from_le_bytes(*bytes)));
        tensor.data_type == DataType::Float as i32
            && !numbers.is_empty()
            && numbers.iter().all(|number| *number == 1.0)
    };
    let ones: Vec<String> = graph
        .initializer
        .iter()
        .filter(is_one)
        .map(|tensor| tensor.name.clone())
        .collect();
    let counts: Vec<String> = graph
        .node
        .iter()
        .filter(|node| ["TfIdfVectorizer", "HashingVectorizer"].contains(&node.op_type.as_str()))
        .flat_map(|node| node.output.clone())
        .collect();
    let sums: Vec<(String, String)> = graph
        .node
        .iter()
        .filter_map(|node| {
            match (
                node.op_type.as_str(),
                node.input.as_slice(),
                node.output.as_slice(),
            ) {
                ("Add", [n, one], [sum]) if counts.contains(n) && ones.contains(one) => {
                    Some((sum.clone(), n.clone()))
                }
                _ => None,
            }
        })
        .collect();
    let mut mended = Vec::with_capacity(graph.node.len());
    let mut any = false;
    for node in std::mem::take(&mut graph.node) {
        let log = match (node.op_type.as_str(), node.input.as_slice()) {
            ("Log", [sum]) => sums
                .iter()
                .find(|(other, _)| other == sum)
                .map(|(_, n)| n.clone()),
            _ => None,
        };
        let Some(n) = log else {
            mended.push(node);
            continue;
        };
        any = true;
        let result = node.output.first().cloned().unwrap_or_default();
        let between = |suffix: &str| format!("{result}: {suffix}");
        let step = |operator: &str, inputs: Vec<String>, output: String| NodeProto {
            op_type: operator.to_owned(),
            name: node.name.clone(),
            input: inputs,
            output: vec![output],
            ..NodeProto::default()
        };
        mended.push(step("Clip", vec![n, LEAST_COUNT.to_owned()], between("n")));
        mended.push(step("Log", vec![between("n")], between("ln")));
        mended.push(step("Add", vec![between("ln"), ONE.to_owned()], result.clone()));
    }
    graph.node = mended;
    if any {
        let number = |name: &str, number: f64| TensorProto {
            name: name.to_owned(),
            data_type: DataType::Double as i32,
            double_data: vec![number],
            ..TensorProto::default()
        };
        graph.initializer.push(number(LEAST_COUNT, (-1f64).exp()));
        graph.initializer.push(number(ONE, 1.0));
    }
    any
}

/// `KBinsDiscretizer` of several inputs of one column is written as if all columns were in the
/// first input: column 0, 1, 2 and so on of an input that has one column. Such a file can't be run;
/// what is meant is the first column of the first, second and third input.
fn mend_bins(graph: &mut GraphProto) -> bool {
    let names: Vec<String> = graph
        .input
        .iter()
        .filter(|input| is_column(input))
        .map(|input| input.name.clone())
        .collect();
    let kinds: Vec<i32> = graph.input.iter().filter_map(element).collect();
    let alike = kinds.windows(2).all(|pair| pair[0] == pair[1]);
    if names.len() < 2 || names.len() != graph.input.len() || !alike {
        return false;
    }
    let places: HashMap<&str, i64> = graph
        .initializer
        .iter()
        .filter(|tensor| tensor.data_type == DataType::Int64 as i32)
        .filter_map(|tensor| Some((tensor.name.as_str(), single(tensor)?)))
        .collect();
    let meant = |node: &NodeProto| -> Option<String> {
        let extracts = node.op_type == "ArrayFeatureExtractor" && node.domain == "ai.onnx.ml";
        let [from, place] = node.input.as_slice() else {
            return None;
        };
        let place = usize::try_from(*places.get(place.as_str())?).ok()?;
        (extracts && *from == names[0] && place > 0).then(|| names.get(place).cloned())?
    };
    let mended: Vec<Option<String>> = graph.node.iter().map(meant).collect();
    if mended.iter().all(Option::is_none) {
        return false;
    }
    for (node, name) in graph.node.iter_mut().zip(mended) {
        if let Some(name) = name {
            node.input = vec![name, FIRST.to_owned()];
        }
    }
    graph.initializer.push(TensorProto {
        name: FIRST.to_owned(),
        data_type: DataType::Int64 as i32,
        dims: vec![1],
        int64_data: vec![0],
        ..TensorProto::default()
    });
    true
}

/// Returns the only number of a constant.
fn single(tensor: &TensorProto) -> Option<i64> {
    match (tensor.int64_data.as_slice(), tensor.raw_data.as_slice()) {
        (&[number], []) => Some(number),
        ([], raw) => Some(i64::from_le_bytes(<[u8; 8]>::try_from(raw).ok()?)),
        _ => None,
    }
}

fn element(input: &ValueInfoProto) -> Option<i32> {
    let type_proto::Value::TensorType(tensor) = input.r#type.as_ref()?.value.as_ref()?;
    Some(tensor.elem_type)
}
