//! Patterns of nodes, by which an operation is found that a converter wrote as many nodes.

use super::{attributes::operator, constant::Constant};
use crate::onnx::proto::{AttributeProto, GraphProto, NodeProto, TensorProto};
use std::collections::HashMap;

/// A part of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part(usize);

/// Value of an attribute.
#[derive(Clone, Debug)]
pub(super) enum Setting {
    Int(i64),
    Float(f32),
    Floats(Vec<f32>),
}

#[derive(Debug)]
enum Content {
    /// Any tensor.
    Tensor,
    /// The only output of a node with these attributes and no others.
    Node {
        operator: &'static str,
        settings: Vec<(&'static str, Setting)>,
        inputs: Vec<Part>,
    },
}

/// Nodes that depend on each other in one way. A part that is used several times stands for the
/// same tensor each time.
#[derive(Debug, Default)]
pub(super) struct Pattern(Vec<Content>);

/// Tensors that the parts of a pattern stand for.
pub(super) struct Found<'g>(Vec<Option<&'g str>>);

/// A graph in which patterns are looked for.
pub(super) struct Searched<'g> {
    constants: HashMap<&'g str, &'g TensorProto>,
    producers: HashMap<&'g str, &'g NodeProto>,
    consumers: HashMap<&'g str, Vec<&'g NodeProto>>,
}

impl Pattern {
    /// Adds a part that may be any tensor.
    pub(super) fn tensor(&mut self) -> Part {
        self.add(Content::Tensor)
    }

    /// Adds a node without attributes.
    pub(super) fn node<const N: usize>(&mut self, operator: &'static str, inputs: [Part; N]) -> Part {
        self.set(operator, inputs, Vec::new())
    }

    /// Adds a node with attributes.
    pub(super) fn set<const N: usize>(
        &mut self,
        operator: &'static str,
        inputs: [Part; N],
        settings: Vec<(&'static str, Setting)>,
    ) -> Part {
        self.add(Content::Node {
            operator,
            settings,
            inputs: inputs.to_vec(),
        })
    }

    fn add(&mut self, content: Content) -> Part {
        self.0.push(content);
        Part(self.0.len() - 1)
    }
}

impl<'g> Searched<'g> {
    pub(super) fn new(graph: &'g GraphProto) -> Self {
        let outputs = |node: &'g NodeProto| node.output.iter().map(move |name| (name.as_str(), node));
        let constants = graph.initializer.iter();
        let mut consumers: HashMap<&str, Vec<&NodeProto>> = HashMap::new();
        for node in &graph.node {
            if let Some(first) = node.input.first() {
                consumers.entry(first).or_default().push(node);
            }
        }
        Self {
            producers: graph.node.iter().flat_map(outputs).collect(),
            constants: constants.map(|tensor| (tensor.name.as_str(), tensor)).collect(),
            consumers,
        }
    }

    /// Returns the nodes whose first operand a tensor is.
    pub(super) fn consumers(&self, name: &str) -> &[&'g NodeProto] {
        self.consumers.get(name).map_or(&[], Vec::as_slice)
    }

    /// Returns what the parts of a pattern are if `root` is the tensor called `name`.
    pub(super) fn find(&self, pattern: &Pattern, root: Part, name: &'g str) -> Option<Found<'g>> {
        let mut found = Found(vec![None; pattern.0.len()]);
        self.is(pattern, root, name, &mut found).then_some(found)
    }

    fn is(&self, pattern: &Pattern, part: Part, name: &'g str, found: &mut Found<'g>) -> bool {
        if let Some(known) = found.0[part.0] {
            return known == name;
        }
        found.0[part.0] = Some(name);
        let Content::Node {
            operator: wanted,
            settings,
            inputs,
        } = &pattern.0[part.0]
        else {
            return true;
        };
        self.producers.get(name).is_some_and(|node| {
            operator(node) == *wanted
                && node.output.len() == 1
                && node.input.len() == inputs.len()
                && node.attribute.len() == settings.len()
                && settings.iter().all(|(name, value)| has(node, name, value))
                && inputs
                    .iter()
                    .zip(&node.input)
                    .all(|(part, name)| self.is(pattern, *part, name, found))
        })
    }

    /// Follows inputs of nodes backwards from a tensor, each by its position.
    pub(super) fn behind(&self, name: &'g str, inputs: &[usize]) -> Option<&'g str> {
        inputs.iter().try_fold(name, |name, &input| {
            Some(self.producers.get(name)?.input.get(input)?.as_str())
        })
    }

    /// Returns the constant of a name, and its ONNX type.
    pub(super) fn constant(&self, name: &str) -> Option<(Constant, i32)> {
        let tensor = self.constants.get(name)?;
        Some((Constant::of(tensor).ok()?, tensor.data_type))
    }
}

impl<'g> Found<'g> {
    /// Returns the name of the tensor that a part stands for.
    pub(super) fn name(&self, part: Part) -> &'g str {
        self.0[part.0].unwrap_or_default()
    }
}

fn has(node: &NodeProto, name: &str, value: &Setting) -> bool {
    let same = |attribute: &AttributeProto| match value {
        Setting::Int(value) => attribute.i == *value,
        // Both may be NaN.
        Setting::Float(value) => {
            attribute.f.to_bits() == value.to_bits() || attribute.f.is_nan() && value.is_nan()
        }
        Setting::Floats(values) => attribute.floats == *values,
    };
    node.attribute
        .iter()
        .any(|attribute| attribute.name == name && same(attribute))
}
