//! Faults of converters that leave only one reading of a file.

use super::inputs::is_column;
use std::collections::HashMap;
use tract_onnx::pb::{
    GraphProto, NodeProto, TensorProto, ValueInfoProto, tensor_proto::DataType, type_proto,
};

/// Name of the constant that a mended node takes.
const FIRST: &str = "blindscore: first column";

/// Mends a graph.
///
/// skl2onnx 1.20 writes a `KBinsDiscretizer` of several inputs of one column as if all columns were
/// in the first input: it extracts column 0, 1, 2 and so on of an input that has one column. Such a
/// file can't be run; what is meant is the first column of the first, second and third input.
pub(super) fn mend(graph: &mut GraphProto) {
    let names: Vec<String> = graph
        .input
        .iter()
        .filter(|input| is_column(input))
        .map(|input| input.name.clone())
        .collect();
    let kinds: Vec<i32> = graph.input.iter().filter_map(element).collect();
    let alike = kinds.windows(2).all(|pair| pair[0] == pair[1]);
    if names.len() < 2 || names.len() != graph.input.len() || !alike {
        return;
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
        return;
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
