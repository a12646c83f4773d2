//! A selection of the first column only, for which skl2onnx looks whether the places of the
//! selected columns are not 0: it writes `ConstantOfShape` of the columns, which can't be run.

use crate::onnx::proto::{GraphProto, TensorProto, tensor_proto::DataType};
use std::collections::HashSet;

/// Name of the constant that a mended node takes.
const FIRST: &str = "blindscore: first selected column";

pub(super) fn mend(graph: &mut GraphProto) -> bool {
    // What depends on no more than shapes and constants.
    let mut shapes: HashSet<String> = graph
        .initializer
        .iter()
        .map(|tensor| tensor.name.clone())
        .collect();
    let mut mended = false;
    for node in &mut graph.node {
        let of_columns = matches!(node.input.as_slice(), [input] if !shapes.contains(input));
        if node.op_type == "ConstantOfShape" && node.attribute.is_empty() && of_columns {
            node.op_type = "ArrayFeatureExtractor".to_owned();
            node.domain = "ai.onnx.ml".to_owned();
            node.input.push(FIRST.to_owned());
            mended = true;
        }
        if node.op_type == "Shape" || node.input.iter().all(|input| shapes.contains(input)) {
            shapes.extend(node.output.iter().cloned());
        }
    }
    if mended {
        graph.initializer.push(TensorProto {
            name: FIRST.to_owned(),
            dims: vec![1],
            data_type: DataType::Int64 as i32,
            int64_data: vec![0],
            ..TensorProto::default()
        });
    }
    mended
}
