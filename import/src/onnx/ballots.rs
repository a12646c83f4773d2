//! A fault of skl2onnx 1.20: the votes of a `BaggingClassifier` whose models give no probabilities are
//! added up over the rows instead of the models.

use crate::onnx::proto::{GraphProto, NodeProto, TensorProto, tensor_proto::DataType};

/// Name of the constant that a mended node takes.
const MODELS: &str = "blindscore: axis of models";

/// Adds up votes over the models. They are a cast comparison of labels, in a tensor
/// `[models, rows, classes]`, whose first axis was made by Concat.
pub(super) fn mend(graph: &mut GraphProto) -> bool {
    let maker = |name: &str, operator: &str| -> Option<&NodeProto> {
        let made = |node: &&NodeProto| node.output.iter().any(|output| output == name);
        graph
            .node
            .iter()
            .find(made)
            .filter(|node| node.op_type == operator)
    };
    let is_rows_axis = |name: &str| {
        let tensor = graph.initializer.iter().find(|tensor| tensor.name == name);
        tensor.is_some_and(|tensor| {
            let raw = tensor
                .raw_data
                .as_chunks()
                .0
                .iter()
                .map(|bytes| i64::from_le_bytes(*bytes));
            tensor.data_type == DataType::Int64 as i32 && tensor.int64_data.iter().copied().chain(raw).eq([1])
        })
    };
    let is_of_votes = |node: &NodeProto| {
        let [votes, axis] = node.input.as_slice() else {
            return false;
        };
        let labels = maker(votes, "Cast")
            .and_then(|cast| maker(cast.input.first()?, "Equal"))
            .and_then(|equal| equal.input.iter().find_map(|name| maker(name, "Concat")));
        let along_models = |concat: &NodeProto| {
            concat
                .attribute
                .iter()
                .any(|attribute| attribute.name == "axis" && attribute.i == 0)
        };
        node.op_type == "ReduceSum" && is_rows_axis(axis) && labels.is_some_and(along_models)
    };
    let found: Vec<bool> = graph.node.iter().map(is_of_votes).collect();
    if !found.contains(&true) {
        return false;
    }
    for (node, _) in graph.node.iter_mut().zip(&found).filter(|(_, found)| **found) {
        MODELS.clone_into(&mut node.input[1]);
    }
    graph.initializer.push(TensorProto {
        name: MODELS.to_owned(),
        dims: vec![1],
        data_type: DataType::Int64 as i32,
        int64_data: vec![0],
        ..TensorProto::default()
    });
    true
}
