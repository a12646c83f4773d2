//! `Normalizer` in double precision, which skl2onnx writes as a division by the norm: 0 by 0 in a
//! row of zeros, which scikit-learn leaves as it is. Probabilities are divided by their sum in the
//! same way, which is never 0.

use super::super::transformers::OWN;
use crate::onnx::proto::{AttributeProto, GraphProto, NodeProto, attribute_proto::AttributeType};
use std::collections::HashMap;

/// Most nodes looked at before a norm.
const MOST_VISITED: usize = 60;
/// Operators that give probabilities.
const CLASSIFIERS: [&str; 4] = ["Sigmoid", "Softmax", "LinearClassifier", "Exp"];

pub(super) fn mend(graph: &mut GraphProto) -> bool {
    let producers: HashMap<&str, &NodeProto> = graph
        .node
        .iter()
        .flat_map(|node| node.output.iter().map(move |name| (name.as_str(), node)))
        .collect();
    let made_by = |name: &str, operator: &str| {
        let node = producers.get(name).filter(|node| node.op_type == operator)?;
        Some(node.input.first()?.as_str())
    };
    // Whether a classifier is among the nodes that a tensor depends on.
    let is_probability = |name: &str| {
        let mut open = vec![name];
        for _ in 0..MOST_VISITED {
            let Some(node) = open.pop().map(|name| producers.get(name)) else {
                return false;
            };
            let Some(node) = node else { continue };
            if CLASSIFIERS.contains(&node.op_type.as_str()) {
                return true;
            }
            open.extend(node.input.iter().map(String::as_str));
        }
        false
    };
    let norm = |node: &NodeProto| -> Option<&'static str> {
        let [of, norm] = node.input.as_slice() else {
            return None;
        };
        let sum = made_by(norm, "ReduceSum").and_then(|sizes| made_by(sizes, "Abs"));
        let root = made_by(norm, "Sqrt").and_then(|squares| made_by(squares, "ReduceSumSquare"));
        match (node.op_type.as_str(), sum, root) {
            _ if is_probability(of) => None,
            ("Div", Some(same), _) if same == of => Some("L1"),
            ("Div", _, Some(same)) if same == of => Some("L2"),
            _ => None,
        }
    };
    let norms: Vec<Option<&str>> = graph.node.iter().map(norm).collect();
    for (node, norm) in graph.node.iter_mut().zip(&norms) {
        if let Some(norm) = norm {
            node.op_type = "Normalizer".to_owned();
            node.domain = OWN.to_owned();
            node.input.truncate(1);
            node.attribute = vec![AttributeProto {
                name: "norm".to_owned(),
                r#type: AttributeType::String as i32,
                s: norm.as_bytes().to_vec(),
                ..AttributeProto::default()
            }];
        }
    }
    norms.iter().any(Option::is_some)
}
