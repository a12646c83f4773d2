//! `OneVsRestClassifier` of classifiers without probabilities, whose scores skl2onnx takes for
//! probabilities: it divides them by their sum, and their complement is one minus them.

use crate::onnx::proto::{AttributeProto, GraphProto, NodeProto, TensorProto, tensor_proto::DataType};
use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
};

/// Most nodes between a classifier and where its scores are taken for probabilities.
const DEPTH: usize = 16;

/// Tensors of a graph, by name.
struct Scores<'g> {
    producers: HashMap<&'g str, &'g NodeProto>,
    constants: HashMap<&'g str, &'g TensorProto>,
    /// Tensors of which the largest column decides.
    deciding: HashSet<&'g str>,
    /// Two tensors side by side.
    pairs: HashMap<&'g [String], &'g str>,
    /// Known results of `is_raw`.
    raw: RefCell<HashMap<&'g str, bool>>,
}

/// What becomes of a node.
enum Change {
    /// It gives its first operand as it is.
    Passes,
    /// It gives the opposite of its second operand.
    Opposite,
}

pub(super) fn mend(graph: &mut GraphProto) -> bool {
    let scores = Scores::of(graph);
    let changes: Vec<Option<Change>> = graph.node.iter().map(|node| scores.change(node)).collect();
    let any = changes.iter().any(Option::is_some);
    for (node, change) in graph.node.iter_mut().zip(changes) {
        match change {
            None => {}
            Some(Change::Passes) => {
                node.op_type = "Identity".to_owned();
                node.domain.clear();
                node.attribute.clear();
                node.input.truncate(1);
            }
            Some(Change::Opposite) => {
                node.op_type = "Neg".to_owned();
                node.input.remove(0);
            }
        }
    }
    any
}

impl<'g> Scores<'g> {
    fn of(graph: &'g GraphProto) -> Self {
        let outputs = |node: &'g NodeProto| node.output.iter().map(move |name| (name.as_str(), node));
        let of = |operator: &'static str| graph.node.iter().filter(move |node| node.op_type == operator);
        let constants = graph.initializer.iter();
        Self {
            producers: graph.node.iter().flat_map(outputs).collect(),
            constants: constants.map(|tensor| (tensor.name.as_str(), tensor)).collect(),
            deciding: of("ArgMax")
                .flat_map(|node| &node.input)
                .map(String::as_str)
                .collect(),
            pairs: of("Concat")
                .filter_map(|node| Some((node.input.as_slice(), node.output.first()?.as_str())))
                .collect(),
            raw: RefCell::default(),
        }
    }

    fn change(&self, node: &'g NodeProto) -> Option<Change> {
        match (node.op_type.as_str(), node.input.as_slice()) {
            ("Div", [scores, sum]) => {
                let sum = self.producers.get(sum.as_str())?;
                let is_sum = sum.op_type == "ReduceSum" && sum.input.first() == Some(scores);
                (is_sum && self.decides(scores)).then_some(Change::Passes)
            }
            ("LpNormalization" | "Normalizer", [scores]) => self.decides(scores).then_some(Change::Passes),
            // The complement to one, beside the score itself.
            ("Sub", [one, scores]) if self.is_one(one) => {
                let beside = [node.output.first()?.clone(), scores.clone()];
                let pair = self.pairs.get(beside.as_slice())?;
                (self.decides(pair) && self.is_raw(scores, DEPTH)).then_some(Change::Opposite)
            }
            _ => None,
        }
    }

    /// Returns whether columns of several classifiers are scores, of which the largest decides.
    fn decides(&self, name: &'g str) -> bool {
        let is_concat = self
            .producers
            .get(name)
            .is_some_and(|node| node.op_type == "Concat");
        is_concat && self.deciding.contains(name) && self.is_raw(name, DEPTH)
    }

    fn is_one(&self, name: &str) -> bool {
        let Some(tensor) = self.constants.get(name) else {
            return false;
        };
        let raw = tensor.raw_data.as_slice();
        match DataType::try_from(tensor.data_type) {
            Ok(DataType::Float) => tensor.float_data == [1.0] || raw == 1f32.to_le_bytes(),
            Ok(DataType::Double) => tensor.double_data == [1.0] || raw == 1f64.to_le_bytes(),
            _ => false,
        }
    }

    /// Returns whether a tensor is made of scores of linear models, by nothing that makes them
    /// probabilities.
    fn is_raw(&self, name: &'g str, depth: usize) -> bool {
        let (Some(node), Some(depth)) = (self.producers.get(name), depth.checked_sub(1)) else {
            return false;
        };
        if let Some(known) = self.raw.borrow().get(name) {
            return *known;
        }
        let plain = |transform: &AttributeProto| transform.name == "post_transform" && transform.s == b"NONE";
        let raw = match node.op_type.as_str() {
            "LinearClassifier" => {
                node.output.get(1).is_some_and(|scores| scores == name) && node.attribute.iter().any(plain)
            }
            "MatMul" => true,
            "ArrayFeatureExtractor" | "Slice" | "Cast" | "Identity" | "Reshape" => {
                node.input.first().is_some_and(|name| self.is_raw(name, depth))
            }
            "Add" | "Sub" | "Mul" | "Concat" => {
                let mut parts = node
                    .input
                    .iter()
                    .filter(|name| !self.constants.contains_key(name.as_str()));
                let first = parts.next().is_some_and(|name| self.is_raw(name, depth));
                first && parts.all(|name| self.is_raw(name, depth))
            }
            _ => false,
        };
        self.raw.borrow_mut().insert(name, raw);
        raw
    }
}
