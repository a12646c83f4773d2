//! `MLPRegressor` of several targets, which skl2onnx puts one below the other, as if they were
//! rows.

use crate::onnx::proto::{GraphProto, NodeProto, TensorProto};
use std::collections::HashMap;

pub(super) fn mend(graph: &mut GraphProto) -> bool {
    let producers: HashMap<&str, &NodeProto> = graph
        .node
        .iter()
        .flat_map(|node| node.output.iter().map(move |name| (name.as_str(), node)))
        .collect();
    let constant = |name: &str| graph.initializer.iter().find(|tensor| tensor.name == name);
    let is_wrong = |node: &NodeProto| {
        let [scores, shape] = node.input.as_slice() else {
            return false;
        };
        let sum = producers
            .get(scores.as_str())
            .filter(|node| node.op_type == "Add");
        let Some([product, intercepts]) = sum.map(|node| node.input.as_slice()) else {
            return false;
        };
        let is_product = producers
            .get(product.as_str())
            .is_some_and(|node| node.op_type == "MatMul");
        let several = constant(intercepts)
            .is_some_and(|tensor| matches!(tensor.dims.as_slice(), [1, targets] if *targets > 1));
        let column = constant(shape).is_some_and(is_column);
        node.op_type == "Reshape" && is_product && several && column
    };
    let wrong: Vec<bool> = graph.node.iter().map(is_wrong).collect();
    for (node, is_wrong) in graph.node.iter_mut().zip(&wrong) {
        if *is_wrong {
            node.op_type = "Identity".to_owned();
            node.input.truncate(1);
            node.attribute.clear();
        }
    }
    wrong.contains(&true)
}

/// Returns whether a constant is the shape `[-1, 1]`.
fn is_column(tensor: &TensorProto) -> bool {
    match (tensor.int64_data.as_slice(), tensor.raw_data.as_chunks()) {
        (numbers, ([], [])) => numbers == [-1, 1],
        ([], ([rows, columns], [])) => (i64::from_le_bytes(*rows), i64::from_le_bytes(*columns)) == (-1, 1),
        _ => false,
    }
}
