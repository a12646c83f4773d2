//! Support vector machines fitted on several inputs of one column each, which skl2onnx writes as if
//! they took the first one, or as a Cast of all. Such a file can't be run.

use super::{super::inputs::is_column, element};
use crate::onnx::proto::{AttributeProto, GraphProto, NodeProto, attribute_proto::AttributeType};

/// Name of the tensor of all columns.
const RECORD: &str = "blindscore: record";

pub(super) fn mend(graph: &mut GraphProto) -> bool {
    let names: Vec<String> = graph.input.iter().map(|input| input.name.clone()).collect();
    let kinds: Vec<i32> = graph.input.iter().filter_map(element).collect();
    let alike = kinds.windows(2).all(|pair| pair[0] == pair[1]);
    if names.len() < 2 || !graph.input.iter().all(is_column) || !alike {
        return false;
    }
    let count = |node: &NodeProto, name: &str| {
        let found = node.attribute.iter().find(|attribute| attribute.name == name);
        found.map_or(0, |attribute| attribute.floats.len())
    };
    let vectors = |node: &NodeProto| -> usize {
        let of = |name: &str| node.attribute.iter().find(|attribute| attribute.name == name);
        match (of("vectors_per_class"), of("n_supports")) {
            (Some(counts), _) => counts
                .ints
                .iter()
                .filter_map(|count| usize::try_from(*count).ok())
                .sum(),
            (None, Some(count)) => usize::try_from(count.i).unwrap_or(0),
            (None, None) => 0,
        }
    };
    // A machine of the first column alone would have one number for each support vector.
    let is_machine = |node: &NodeProto| {
        let numbers = vectors(node).checked_mul(names.len());
        ["SVMClassifier", "SVMRegressor"].contains(&node.op_type.as_str())
            && node.input == names[..1]
            && vectors(node) > 0
            && numbers == Some(count(node, "support_vectors"))
    };
    let is_cast = |node: &NodeProto| node.op_type == "Cast" && node.input == names;
    let mut mended = false;
    let meant: Vec<bool> = graph
        .node
        .iter()
        .map(|node| is_machine(node) || is_cast(node))
        .collect();
    for (node, _) in graph.node.iter_mut().zip(&meant).filter(|(_, meant)| **meant) {
        node.input = vec![RECORD.to_owned()];
        mended = true;
    }
    if mended {
        let record = NodeProto {
            op_type: "Concat".to_owned(),
            input: names,
            output: vec![RECORD.to_owned()],
            attribute: vec![AttributeProto {
                name: "axis".to_owned(),
                r#type: AttributeType::Int as i32,
                i: 1,
                ..AttributeProto::default()
            }],
            ..NodeProto::default()
        };
        graph.node.insert(0, record);
    }
    mended
}
