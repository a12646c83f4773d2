//! Ensembles of trees as safetensors files, which `import` writes.
//!
//! Tensors, of whole numbers unless it says otherwise:
//! - `variables` `[variables, 2]`: numbers of cuts and of flags;
//! - `trees` `[trees, 2]`: the root's node, and the score that the tree belongs to (-1: all);
//! - `nodes` `[nodes, 4]`: variable, cut, and the nodes of both branches; for a leaf -1, its row in
//!   `leaves`, -1 and -1. The nodes of a tree are together, its root first;
//! - `flags` `[count, 2]`, if there are any: a node, and a flag of its second branch, both rising;
//! - `leaves` `[leaves, 1]` or `[leaves, scores]` and `bases` `[scores]`, in double precision.
//!
//! Metadata: as for linear models, without ranges of the features, which are bits.

use super::{
    Model, ModelError, Plain,
    metadata::{Described, Metadata, numbers, tensors},
    quantise::two_digits_up,
    rotations::batch,
    salt::Salt,
};
use crate::{
    Engine,
    forest::{Cover, Forest, ForestEngine, ForestNode, ForestTree, ForestVariable, score_error},
};
use blindscore_protocol::{
    descriptor::{
        Answer, CheckedDescriptor, FEATURES, Inputs, Link, ModelDescriptor, OUTPUTS, Output, Sizes, Task,
    },
    encoding::Encoding,
    ids::ModelId,
    name::ModelName,
    params::{NetworkParams, ParameterSet},
    wire::FORMAT_VERSION,
};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

/// Parameters of every ensemble of trees.
const PARAMS: NetworkParams = NetworkParams::N704_K2;
/// An ensemble of trees and everything else that its file holds.
#[derive(Clone, Debug, PartialEq)]
pub struct ForestModel {
    /// Salt of the id, so that the id can't confirm guesses of the trees.
    pub salt: Salt,
    /// Name in URLs.
    pub name: ModelName,
    /// Human-readable title of one line.
    pub title: String,
    /// How a record becomes the bits.
    pub encoding: Encoding,
    /// One label per score.
    pub labels: Vec<String>,
    /// Purpose of the scores.
    pub task: Task,
    /// Labels of the two classes that a single score decides between.
    pub classes: Option<Vec<String>>,
    /// Link function from scores to probabilities or values.
    pub link: Link,
    /// The trees.
    pub forest: Forest,
}

/// Returns whether a model file holds trees.
pub(super) fn is_forest(tensors: &SafeTensors<'_>) -> bool {
    tensors.tensor("trees").is_ok()
}

/// Parses, checks and prepares an ensemble of trees.
pub(super) fn prepare(file: &[u8]) -> Result<Model, ModelError> {
    let set = ParameterSet::Network(PARAMS);
    let model = ForestModel::from_safetensors(file)?;
    let forest = &model.forest;
    let cover = Cover::of(&PARAMS, forest).map_err(ModelError::from)?;
    let batch = batch(cover.units.len(), "trees", "fit fewer or smaller trees")?;
    let (features, scores) = (forest.bits(), forest.bases().len());
    let half_range = 2f64.powi(63) / cover.amplitude();
    let outputs = model.labels.iter().zip(&cover.bases);
    let descriptor = ModelDescriptor {
        name: model.name.to_string(),
        // The file holds everything that responses depend on except the code, and a salt.
        id: ModelId::of(&[PARAMS.name.as_bytes(), file].concat()),
        title: model.title.clone(),
        formats: vec![FORMAT_VERSION],
        parameter_set: PARAMS.name.to_owned(),
        inputs: Inputs {
            encoding: Some(model.encoding.clone()),
            ..Inputs::uniform(features, 0.0, 1.0, 2)
        },
        input_step: ForestEngine::input_step(),
        outputs: outputs
            .map(|(label, base)| Output {
                label: label.clone(),
                offset: *base,
                half_range,
            })
            .collect(),
        task: model.task,
        classes: model.classes.clone(),
        link: model.link,
        members: Vec::new(),
        answer: Answer::Scores,
        fine_features: None,
        fine: None,
        sizes: Sizes::of(&set, features, scores),
        score_error: two_digits_up(score_error(&PARAMS, &cover)),
        accuracy: None,
        batch,
        version: None,
    };
    let described = CheckedDescriptor::try_from(descriptor)?;
    let engine = ForestEngine::new(PARAMS, features, &cover);
    let plain = Plain::Forest {
        forest: Box::new(model.forest),
        margin: cover.least_margin(&PARAMS, 0.0),
        wrong: cover.chance_of_a_wrong_leaf(&PARAMS, 0.0),
    };
    Ok(Model::new(described, Engine::Forest(Box::new(engine)), plain))
}

impl ForestModel {
    /// Parses a safetensors file.
    ///
    /// # Errors
    /// If it doesn't hold an ensemble of trees.
    pub fn from_safetensors(file: &[u8]) -> Result<Self, ModelError> {
        let tensors = tensors(file)?;
        let metadata = Metadata::read(file)?;
        let forest = read(&tensors)?;
        let scores = forest.bases().len();
        let (link, classes) = (metadata.link()?, metadata.classes()?);
        Ok(Self {
            salt: metadata.salt()?,
            name: metadata.name()?,
            title: metadata.get("title")?.to_owned(),
            encoding: metadata.json("encoding")?,
            labels: metadata.labels(scores)?,
            task: metadata.task(link, scores, classes.is_some())?,
            classes,
            link,
            forest,
        })
    }

    /// Serialises to a file that [`Self::from_safetensors`] can read.
    ///
    /// # Errors
    /// If the model has more numbers than a file can describe.
    pub fn to_safetensors(&self) -> Result<Vec<u8>, ModelError> {
        let scores = self.forest.bases().len();
        let shared = self.forest.trees().iter().any(|tree| tree.output.is_none());
        let mut tables = Tables {
            width: if shared { scores } else { 1 },
            ..Tables::default()
        };
        let variables = self.forest.variables().iter();
        let variables: Vec<[i32; 2]> = variables
            .map(|variable| [whole(variable.cuts), whole(variable.flags)])
            .collect();
        for tree in self.forest.trees() {
            tables.add(tree);
        }
        let bases = bytes(self.forest.bases());
        let width = tables.width;
        let leaves = bytes(&tables.leaves);
        let [variables_bytes, trees, flags] =
            [&variables, &tables.trees, &tables.flags].map(|rows| integers(rows));
        let nodes = integers(&tables.nodes);
        let mut tensors = vec![
            (
                "variables",
                TensorView::new(Dtype::I32, vec![variables.len(), 2], &variables_bytes)?,
            ),
            (
                "trees",
                TensorView::new(Dtype::I32, vec![tables.trees.len(), 2], &trees)?,
            ),
            (
                "nodes",
                TensorView::new(Dtype::I32, vec![tables.nodes.len(), 4], &nodes)?,
            ),
            (
                "leaves",
                TensorView::new(Dtype::F64, vec![tables.leaves.len() / width, width], &leaves)?,
            ),
            (
                "bases",
                TensorView::new(Dtype::F64, vec![self.forest.bases().len()], &bases)?,
            ),
        ];
        if !tables.flags.is_empty() {
            tensors.push((
                "flags",
                TensorView::new(Dtype::I32, vec![tables.flags.len(), 2], &flags)?,
            ));
        }
        let described = Described {
            salt: &self.salt,
            name: &self.name,
            title: &self.title,
            labels: &self.labels,
            task: self.task,
            classes: self.classes.as_deref(),
            link: self.link,
            encoding: Some(&self.encoding),
            accuracy: None,
        };
        let entries = described.entries().into_iter();
        let entries = entries.map(|(name, value)| (name.to_owned(), value));
        Ok(safetensors::serialize(tensors, Some(entries.collect()))?)
    }
}

/// Content of the tensors.
#[derive(Default)]
struct Tables {
    trees: Vec<[i32; 2]>,
    nodes: Vec<[i32; 4]>,
    flags: Vec<[i32; 2]>,
    leaves: Vec<f64>,
    /// Numbers of a leaf.
    width: usize,
}

impl Tables {
    fn add(&mut self, tree: &ForestTree) {
        let first = self.nodes.len();
        // If one tree has leaves with a number for each score, all have.
        let output = tree.output.filter(|_| self.width == 1);
        self.trees.push([whole(first), output.map_or(-1, whole)]);
        for node in &tree.nodes {
            let row = match node {
                ForestNode::Leaf(numbers) => {
                    let row = self.leaves.len() / self.width;
                    match tree.output.filter(|_| self.width > 1) {
                        Some(output) => {
                            self.leaves.resize((row + 1) * self.width, 0.0);
                            self.leaves[row * self.width + output] = numbers[0];
                        }
                        None => self.leaves.extend(numbers),
                    }
                    [-1, whole(row), -1, -1]
                }
                ForestNode::Split {
                    variable,
                    cut,
                    flags,
                    branches: [one, two],
                } => {
                    let node = whole(self.nodes.len());
                    self.flags.extend(flags.iter().map(|flag| [node, whole(*flag)]));
                    [
                        whole(*variable),
                        whole(*cut),
                        whole(first + one),
                        whole(first + two),
                    ]
                }
            };
            self.nodes.push(row);
        }
    }
}

/// Returns an index as the file has it. More than it can hold become the largest, which is refused
/// when the file is read back.
fn whole(index: usize) -> i32 {
    i32::try_from(index).unwrap_or(i32::MAX)
}

fn bytes(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn integers<const WIDTH: usize>(rows: &[[i32; WIDTH]]) -> Vec<u8> {
    rows.iter()
        .flatten()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// Returns the rows of a tensor of whole numbers from -1 up.
fn rows<const WIDTH: usize>(
    tensors: &SafeTensors<'_>,
    name: &'static str,
) -> Result<Vec<[Option<usize>; WIDTH]>, ModelError> {
    let (shape, values) = numbers(tensors, name)?;
    if shape.len() != 2 || shape[1] != WIDTH {
        return Err(ModelError::field(
            name,
            format!("has shape {shape:?}, not [count, {WIDTH}]"),
        ));
    }
    let number = |value: &f64| match *value {
        -1.0 => Some(None),
        value if value >= 0.0 && value.fract() == 0.0 && value < f64::from(i32::MAX) => {
            Some(Some(value as usize))
        }
        _ => None,
    };
    let row = |row: &[f64; WIDTH]| {
        let mut found = [None; WIDTH];
        for (found, value) in found.iter_mut().zip(row) {
            *found = number(value)?;
        }
        Some(found)
    };
    let (chunks, _) = values.as_chunks::<WIDTH>();
    let rows: Option<Vec<_>> = chunks.iter().map(row).collect();
    rows.ok_or_else(|| ModelError::field(name, "has a value that is no index"))
}

fn read(tensors: &SafeTensors<'_>) -> Result<Forest, ModelError> {
    let malformed = |name| ModelError::field(name, "has an index of nothing");
    let (shape, bases) = numbers(tensors, "bases")?;
    if shape.len() != 1 || !OUTPUTS.contains(&bases.len()) {
        return Err(ModelError::field(
            "bases",
            format!("has shape {shape:?}, not [scores]"),
        ));
    }
    let variables: Option<Vec<ForestVariable>> = rows::<2>(tensors, "variables")?
        .into_iter()
        .map(|[cuts, flags]| {
            Some(ForestVariable {
                cuts: cuts?,
                flags: flags?,
            })
        })
        .collect();
    let variables = variables.ok_or_else(|| malformed("variables"))?;
    let sizes = variables
        .iter()
        .flat_map(|variable| [variable.cuts, variable.flags]);
    let bits = sizes.fold(0usize, usize::saturating_add);
    if !FEATURES.contains(&bits) {
        let problem = format!(
            "have {bits} bits; {} to {} are allowed",
            FEATURES.start(),
            FEATURES.end()
        );
        return Err(ModelError::field("variables", problem));
    }
    let (shape, leaves) = numbers(tensors, "leaves")?;
    let width = match *shape.as_slice() {
        [_, width] if width == 1 || width == bases.len() => width,
        _ => {
            return Err(ModelError::field(
                "leaves",
                format!("has shape {shape:?}, not [leaves, 1] or [leaves, scores]"),
            ));
        }
    };
    let nodes = rows::<4>(tensors, "nodes")?;
    let mut flags = vec![Vec::new(); nodes.len()];
    if tensors.tensor("flags").is_ok() {
        for row in rows::<2>(tensors, "flags")? {
            let [Some(node), Some(flag)] = row else {
                return Err(malformed("flags"));
            };
            flags.get_mut(node).ok_or_else(|| malformed("flags"))?.push(flag);
        }
    }
    let node = |place: usize, first: usize, flags: &mut Vec<usize>| {
        Some(match nodes[place] {
            [None, Some(leaf), None, None] => {
                ForestNode::Leaf(leaves.get(leaf.checked_mul(width)?..)?.get(..width)?.to_vec())
            }
            [Some(variable), Some(cut), Some(one), Some(two)] => ForestNode::Split {
                variable,
                cut,
                flags: std::mem::take(flags),
                branches: [one.checked_sub(first)?, two.checked_sub(first)?],
            },
            _ => return None,
        })
    };
    let roots = rows::<2>(tensors, "trees")?;
    let mut trees = Vec::with_capacity(roots.len());
    for (tree, &[root, output]) in roots.iter().enumerate() {
        let end = match roots.get(tree + 1) {
            Some([next, _]) => *next,
            None => Some(nodes.len()),
        };
        let (Some(root), Some(end)) = (root, end) else {
            return Err(malformed("trees"));
        };
        if root >= end || end > nodes.len() || (tree == 0 && root != 0) {
            return Err(ModelError::field("trees", "don't follow each other"));
        }
        let nodes: Option<Vec<ForestNode>> = (root..end)
            .map(|place| node(place, root, &mut flags[place]))
            .collect();
        trees.push(ForestTree {
            nodes: nodes.ok_or_else(|| malformed("nodes"))?,
            output,
        });
    }
    Ok(Forest::new(variables, trees, bases)?)
}

#[cfg(test)]
mod tests;
