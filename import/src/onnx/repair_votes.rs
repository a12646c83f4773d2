//! A fault of skl2onnx 1.20: the votes of a `BaggingClassifier` whose models give no probabilities
//! are added up over the rows instead of the models.

use super::proto::{GraphProto, NodeProto, TensorProto, tensor_proto::DataType};
use std::collections::{HashMap, HashSet};

/// Name of the constant that a mended node takes.
const MODELS: &str = "blindscore: axis of models";

/// Adds up votes over the models. They are a cast comparison of labels, in a tensor
/// `[models, rows, classes]`, whose first axis was made by Concat.
pub(super) fn mend(graph: &mut GraphProto) -> bool {
    let sums: Vec<usize> = (0..graph.node.len())
        .filter(|&place| graph.node[place].op_type == "ReduceSum")
        .collect();
    if sums.is_empty() {
        return false;
    }
    let makers: HashMap<&str, &NodeProto> = graph
        .node
        .iter()
        .flat_map(|node| node.output.iter().map(move |output| (output.as_str(), node)))
        .collect();
    let maker = |name: &String, operator: &str| -> Option<&NodeProto> {
        makers
            .get(name.as_str())
            .copied()
            .filter(|node| node.op_type == operator)
    };
    let row_axes: HashSet<&str> = graph
        .initializer
        .iter()
        .filter(|tensor| is_one(tensor))
        .map(|tensor| tensor.name.as_str())
        .collect();
    let is_of_votes = |node: &NodeProto| {
        let [votes, axis] = node.input.as_slice() else {
            return false;
        };
        let labels = maker(votes, "Cast")
            .and_then(|cast| maker(cast.input.first()?, "Equal"))
            .and_then(|equal| equal.input.iter().find_map(|name| maker(name, "Concat")));
        let along_models = |concat: &NodeProto| {
            let axis = concat.attribute.iter().find(|attribute| attribute.name == "axis");
            axis.is_some_and(|axis| axis.i == 0)
        };
        row_axes.contains(axis.as_str()) && labels.is_some_and(along_models)
    };
    let found: Vec<usize> = sums
        .into_iter()
        .filter(|&place| is_of_votes(&graph.node[place]))
        .collect();
    for &place in &found {
        MODELS.clone_into(&mut graph.node[place].input[1]);
    }
    if !found.is_empty() {
        graph.initializer.push(TensorProto {
            name: MODELS.to_owned(),
            dims: vec![1],
            data_type: DataType::Int64 as i32,
            int64_data: vec![0],
            ..TensorProto::default()
        });
    }
    !found.is_empty()
}

/// Returns whether a tensor is the whole number 1.
fn is_one(tensor: &TensorProto) -> bool {
    let raw = tensor.raw_data.as_chunks().0;
    let raw = raw.iter().take(2).map(|bytes| i64::from_le_bytes(*bytes));
    let listed = tensor.int64_data.iter().copied().take(2);
    tensor.data_type == DataType::Int64 as i32 && listed.chain(raw).eq([1])
}
