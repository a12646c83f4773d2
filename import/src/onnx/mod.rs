//! ONNX files, as written by skl2onnx and PyTorch, read as one linear model, an ensemble of trees,
//! or a network with hidden layers.
//!
//! The graph is run once, on symbols instead of numbers: every tensor becomes a `Value`, a
//! function of the features. A node that a linear model can't have is refused by name, and so is an
//! output that is none of the model's answers.

mod attributes;
mod averages;
mod calibrated;
mod column;
mod constant;
mod decider;
mod decoded;
mod ensemble;
mod external;
mod heads;
mod hidden;
mod inputs;
mod kinds;
mod linear;
mod network;
mod nodes;
mod operators;
mod outputs;
mod pairs;
mod pattern;
mod plan;
pub(crate) mod proto;
mod repair;
mod repair_votes;
mod transformers;
mod value;
mod values;

use super::{
    Fitted, ImportError,
    bounds::{MOST_FILE, MOST_NAME, MOST_OUTPUTS, Work},
    quoted,
};
use crate::onnx::proto::{GraphProto, ModelProto, NodeProto};
use attributes::operator;
pub(super) use attributes::{axes_in_words, type_name};
use constant::Constant;
use ensemble::Forests;
use hidden::Hidden;
use inputs::Inputs;
use nodes::Context;
pub(crate) use nodes::before_rounding;
use operators::Versions;
use prost::Message;
pub(crate) use repair::{LARGEST_MAGNITUDE, Reading};
use std::{
    collections::{HashMap, HashSet},
    path::Path,
};
pub(crate) use transformers::OWN;
use transformers::WRITTEN;
use value::Value;
use values::Values;

/// Number of times that each tensor is read by nodes that matter and by the graph's outputs.
pub(super) type Uses<'g> = HashMap<&'g str, usize>;

/// The graph of an ONNX model, with its tensors loaded.
pub struct Graph {
    graph: GraphProto,
    versions: Versions,
    mended: Vec<&'static str>,
    /// Whether skl2onnx wrote the file: its classifiers always give labels.
    by_skl2onnx: bool,
    /// Whether trees with thresholds in single precision are scikit-learn's, which round numbers.
    rounds_trees: bool,
}

impl Graph {
    /// Decodes a file. Its tensors may be in files of their own in `folder`, the folder of the
    /// model's file.
    ///
    /// # Errors
    /// If the bytes are not an ONNX model of a known version, or its tensors can't be read.
    pub fn decode(bytes: &[u8], folder: &Path) -> Result<Self, ImportError> {
        Self::decode_as(bytes, folder, Reading::AsFitted)
    }

    /// Decodes a file, with or without mending what the converter did wrong.
    pub(crate) fn decode_as(bytes: &[u8], folder: &Path, reading: Reading) -> Result<Self, ImportError> {
        decoded::check(bytes)?;
        let model = ModelProto::decode(bytes).map_err(|error| ImportError::NotOnnx(error.to_string()))?;
        let versions = Versions::read(&model.opset_import)?;
        if !model.functions.is_empty() {
            return Err(ImportError::Graph(
                "the file defines functions of its own, which may change what an operator means: export the model without them".into(),
            ));
        }
        let mut graph = model
            .graph
            .ok_or_else(|| ImportError::NotOnnx("it has no graph".into()))?;
        check_names(&graph)?;
        if let Some(sparse) = graph.sparse_initializer.first() {
            let name = sparse.values.as_ref().map_or("", |values| values.name.as_str());
            return Err(ImportError::Graph(format!(
                "initializer {name:?} is sparse: export the model with dense tensors"
            )));
        }
        let by_skl2onnx = model.producer_name == "skl2onnx";
        let mends = by_skl2onnx && reading == Reading::AsFitted;
        let mut mended = if mends {
            repair::mend(&mut graph)
        } else {
            Vec::new()
        };
        let mut left = MOST_FILE.saturating_sub(bytes.len() as u64);
        for tensor in &mut graph.initializer {
            let name = tensor.name.clone();
            *tensor = external::loaded(std::mem::take(tensor), folder, &mut left)
                .map_err(|why| ImportError::Graph(format!("initializer {name:?} {why}")))?;
        }
        mended.extend(transformers::recognise(&mut graph, mends)?);
        Ok(Self {
            graph,
            versions,
            mended,
            by_skl2onnx,
            rounds_trees: mends,
        })
    }

    /// Returns words about what differs from the file, because the converter has known faults.
    pub(crate) fn mended(&self) -> &[&'static str] {
        &self.mended
    }

    /// Returns the graph, as mended.
    pub(super) const fn proto(&self) -> &GraphProto {
        &self.graph
    }

    /// Returns the version of ONNX's default operators.
    pub(super) const fn version(&self) -> i64 {
        self.versions.standard
    }

    /// Returns the linear model that the graph represents.
    ///
    /// # Errors
    /// If it represents none. The error names the operator or the output.
    pub fn fitted(&self) -> Result<Fitted, ImportError> {
        let uses = self.uses()?;
        self.read(&uses).map_err(|error| self.advised(error, &uses))
    }

    /// Names the kind of model that is refused, if its nodes show one. If the refused node says
    /// nothing about it, adds the advice for the first node that does.
    fn advised(&self, mut error: ImportError, uses: &Uses<'_>) -> ImportError {
        let nodes: Vec<&NodeProto> = self.used_nodes(uses).collect();
        let found = match &error {
            ImportError::Unsupported { operator, .. } => Some(format!(" ({operator})")),
            ImportError::Graph(_) => Some(String::new()),
            _ => None,
        };
        if let (Some(kind), Some(found)) = (kinds::of(&nodes), found) {
            return ImportError::Kind {
                name: kind.name,
                advice: kind.advice,
                found,
            };
        }
        if let ImportError::Unsupported {
            hint: hint @ None, ..
        } = &mut error
        {
            let mut telling = self
                .used_nodes(uses)
                .filter(|node| operators::check(node, false).is_err());
            *hint = telling.find_map(operators::hint);
        }
        error
    }

    /// Returns the nodes that outputs depend on, in order.
    pub(super) fn used_nodes<'g>(&'g self, uses: &Uses<'_>) -> impl Iterator<Item = &'g NodeProto> {
        self.graph.node.iter().filter(|node| matters(node, uses))
    }

    fn read(&self, uses: &Uses<'_>) -> Result<Fitted, ImportError> {
        let (values, inputs) = self.evaluated(uses, None, None)?;
        outputs::explain(&self.graph, &values, inputs, self.by_skl2onnx)
    }

    /// Evaluates the nodes, with the trees among them in `forests` if they are wanted whole, and
    /// with hidden units in `hidden` if it is a network.
    fn evaluated<'g>(
        &'g self,
        uses: &Uses<'g>,
        forests: Option<&Forests>,
        hidden: Option<&Hidden>,
    ) -> Result<(Values<'g>, Inputs), ImportError> {
        let graph = &self.graph;
        let work = Work::new();
        let mut values = Values::new(uses);
        for tensor in &graph.initializer {
            let name = tensor.name.as_str();
            if values.is_used(name) {
                let constant = Constant::of(tensor);
                let constant =
                    constant.map_err(|why| ImportError::Graph(format!("initializer {name:?} {why}")))?;
                values.insert(name, Value::Constant(constant))?;
            }
        }
        let inputs = inputs::read(graph, &mut values)?;
        let context = Context {
            plan: &inputs.plan,
            rows: inputs.rows,
            versions: self.versions,
            work: &work,
            forests,
            hidden,
            by_skl2onnx: self.by_skl2onnx,
            rounds_trees: self.rounds_trees,
        };
        for node in self.used_nodes(uses) {
            let results = nodes::evaluate(node, &values, context)?;
            for (name, value) in node.output.iter().zip(results) {
                work.take(&[usize::try_from(value.size()).unwrap_or(usize::MAX) / size_of::<f64>()])?;
                values.insert(name, value)?;
            }
            values.release(&node.input);
        }
        inputs.plan.check_rounding()?;
        Ok((values, inputs))
    }

    /// Counts the uses of the tensors that outputs depend on. Other tensors have no effect.
    pub(super) fn uses(&self) -> Result<Uses<'_>, ImportError> {
        let outputs = &self.graph.output;
        if outputs.len() > MOST_OUTPUTS {
            return Err(ImportError::Graph(format!(
                "the model has {} outputs; at most {MOST_OUTPUTS} are allowed",
                outputs.len()
            )));
        }
        let names: HashSet<&str> = outputs.iter().map(|output| output.name.as_str()).collect();
        if names.len() < outputs.len() {
            return Err(ImportError::Graph(
                "two outputs of the model have one name".into(),
            ));
        }
        let mut uses: Uses<'_> = names.into_iter().map(|name| (name, 1)).collect();
        // Nodes come after the nodes that they depend on.
        for node in self.graph.node.iter().rev() {
            if matters(node, &uses) {
                for name in node.input.iter().filter(|name| !name.is_empty()) {
                    *uses.entry(name).or_default() += 1;
                }
            }
        }
        Ok(uses)
    }
}

/// Refuses names that are too long for a message, and nodes of the domain of this crate but those
/// that the Python package writes.
fn check_names(graph: &GraphProto) -> Result<(), ImportError> {
    if let Some(node) = graph
        .node
        .iter()
        .find(|node| node.domain == OWN && !WRITTEN.contains(&node.op_type.as_str()))
    {
        return Err(ImportError::Graph(format!(
            "it has a node {} of the domain {OWN:?}, which no converter writes",
            quoted(&node.op_type)
        )));
    }
    let nodes = graph.node.iter().flat_map(|node| {
        let own = [&node.name, &node.op_type, &node.domain];
        own.into_iter().chain(&node.input).chain(&node.output)
    });
    let values = graph.input.iter().chain(&graph.output).map(|value| &value.name);
    let tensors = graph.initializer.iter().map(|tensor| &tensor.name);
    match nodes
        .chain(values)
        .chain(tensors)
        .find(|name| name.len() > MOST_NAME)
    {
        None => Ok(()),
        Some(name) => Err(ImportError::Graph(format!(
            "the name {} has {} bytes; at most {MOST_NAME} are allowed",
            quoted(name),
            name.len()
        ))),
    }
}

/// Returns whether an output depends on a node.
fn matters(node: &NodeProto, uses: &Uses<'_>) -> bool {
    node.output.iter().any(|name| uses.contains_key(name.as_str()))
}

/// Returns the error that refuses a node.
fn unsupported(node: &NodeProto, why: impl Into<String>) -> ImportError {
    ImportError::Unsupported {
        operator: operator(node),
        node: node.name.clone(),
        why: why.into(),
        hint: operators::hint(node),
    }
}

#[cfg(test)]
mod tests;
