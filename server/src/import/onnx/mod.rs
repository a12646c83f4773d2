//! ONNX files, as skl2onnx and PyTorch write them, read as one linear model.
//!
//! The graph is run once, on symbols instead of numbers: every tensor becomes a [`Value`] that says what it is of the features. A node
//! that leads out of what a linear model can be is refused by its name, and so is an output that is none of the model's answers.

mod attributes;
mod constant;
mod external;
mod inputs;
mod linear;
mod nodes;
mod operators;
mod outputs;
mod value;

use super::{Fitted, ImportError};
use attributes::operator;
use constant::Constant;
use nodes::Context;
use operators::Versions;
use prost::Message;
use std::{
    collections::{HashMap, HashSet},
    path::Path,
};
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto};
use value::Value;

/// The graph of an ONNX model, with its tensors loaded.
pub struct Graph {
    graph: GraphProto,
    versions: Versions,
}

impl Graph {
    /// Decodes a file. Its tensors may lie in files of their own in `folder`, where the model's file is.
    ///
    /// # Errors
    /// If the bytes are no ONNX model of a version that is known, or its tensors can't be read.
    pub fn decode(bytes: &[u8], folder: &Path) -> Result<Self, ImportError> {
        let model = ModelProto::decode(bytes).map_err(|error| ImportError::NotOnnx(error.to_string()))?;
        let versions = Versions::read(&model.opset_import)?;
        let mut graph = model
            .graph
            .ok_or_else(|| ImportError::NotOnnx("it has no graph".into()))?;
        if let Some(sparse) = graph.sparse_initializer.first() {
            let name = sparse.values.as_ref().map_or("", |values| values.name.as_str());
            return Err(ImportError::Graph(format!(
                "initializer {name:?} is sparse: export the model with dense tensors"
            )));
        }
        for tensor in &mut graph.initializer {
            let name = tensor.name.clone();
            *tensor = external::loaded(std::mem::take(tensor), folder)
                .map_err(|why| ImportError::Graph(format!("initializer {name:?} {why}")))?;
        }
        Ok(Self { graph, versions })
    }

    /// The graph as it stands in the file.
    pub(super) const fn proto(&self) -> &GraphProto {
        &self.graph
    }

    /// Version of ONNX's own operators.
    pub(super) const fn version(&self) -> i64 {
        self.versions.standard
    }

    /// The linear model that the graph is.
    ///
    /// # Errors
    /// If it is none: the error names the operator, or the output.
    pub fn fitted(&self) -> Result<Fitted, ImportError> {
        let used = self.used()?;
        self.read(&used).map_err(|error| self.advised(error, &used))
    }

    /// Where a node is refused that tells nothing of the kind of model, the advice is that of the first one that does.
    fn advised(&self, mut error: ImportError, used: &HashSet<&str>) -> ImportError {
        if let ImportError::Unsupported {
            hint: hint @ None, ..
        } = &mut error
        {
            let mut telling = self
                .used_nodes(used)
                .filter(|node| operators::check(node).is_err());
            *hint = telling.find_map(operators::hint);
        }
        error
    }

    fn used_nodes<'g>(&'g self, used: &'g HashSet<&str>) -> impl Iterator<Item = &'g NodeProto> {
        let is_used = |node: &&NodeProto| node.output.iter().any(|name| used.contains(name.as_str()));
        self.graph.node.iter().filter(is_used)
    }

    fn read(&self, used: &HashSet<&str>) -> Result<Fitted, ImportError> {
        let graph = &self.graph;
        let mut values = constants(&graph.initializer, used)?;
        let features = inputs::read(graph, used, &mut values)?;
        let context = Context {
            features: features.count,
            rows: features.rows,
            versions: self.versions,
        };
        for node in self.used_nodes(used) {
            let results = nodes::evaluate(node, &values, context)?;
            for (name, value) in results.into_iter().filter(|(name, _)| !name.is_empty()) {
                if values.insert(name.clone(), value).is_some() {
                    return Err(ImportError::Graph(format!(
                        "two tensors of the model are called {name:?}"
                    )));
                }
            }
        }
        outputs::explain(graph, &values, features)
    }

    /// The tensors that outputs depend on. What none does changes nothing.
    fn used(&self) -> Result<HashSet<&str>, ImportError> {
        let mut used: HashSet<&str> = self
            .graph
            .output
            .iter()
            .map(|output| output.name.as_str())
            .collect();
        if used.len() < self.graph.output.len() {
            return Err(ImportError::Graph(
                "two outputs of the model have one name".into(),
            ));
        }
        // Nodes stand behind those that they depend on.
        for node in self.graph.node.iter().rev() {
            if node.output.iter().any(|name| used.contains(name.as_str())) {
                used.extend(node.input.iter().map(String::as_str));
            }
        }
        Ok(used)
    }
}

/// The initializers that are used.
fn constants(tensors: &[TensorProto], used: &HashSet<&str>) -> Result<HashMap<String, Value>, ImportError> {
    let used = tensors
        .iter()
        .filter(|tensor| used.contains(tensor.name.as_str()));
    let constants = used.map(|tensor| match Constant::of(tensor) {
        Ok(constant) => Ok((tensor.name.clone(), Value::Constant(constant))),
        Err(why) => Err(ImportError::Graph(format!("initializer {:?} {why}", tensor.name))),
    });
    constants.collect()
}

/// Refuses a node.
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
