//! Reference interpreter: runs ONNX graphs in the clear, number by number, following the ONNX
//! specification.
//!
//! It checks the models that [`super::onnx`] makes of graphs, so the two share no code except for
//! decoding the file: a mistake in one is not a mistake in the other. All numbers are in double
//! precision; text stays text.

mod activations;
mod learning;
mod machines;
mod standard;
mod tensor;
mod text;
mod transformers;
mod trees;

use super::{
    bounds::{MOST_HELD, Work, megabytes},
    onnx::{Graph, OWN, Uses, axes_in_words, type_name},
};
use crate::onnx::proto::{NodeProto, tensor_proto::DataType, tensor_shape_proto::dimension, type_proto};
use blindscore_client::{Cell, Encoder};
use blindscore_protocol::encoding::MISSING_CATEGORY;
use std::collections::{HashMap, HashSet};
use tensor::Tensor;

pub(super) use tensor::Elements;

/// Rows per run of a graph that takes any number: more than one, to notice an operator that mixes
/// rows.
const ROWS: usize = 7;
/// Most elements of all inputs of a graph that takes a fixed number of rows: a hundred times the
/// most features.
const MOST_INPUT: usize = 1_638_400;

/// Reason why a graph can't be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotRun(String);

impl NotRun {
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

fn not_run<T>(why: impl Into<String>) -> Result<T, NotRun> {
    Err(NotRun(why.into()))
}

/// Outputs of a graph for one row, in the graph's order.
pub(super) type Answers = Vec<Elements>;

/// A graph that is ready to run on rows of its model's features.
pub(super) struct Reference<'a> {
    graph: &'a Graph,
    /// Nodes that outputs depend on.
    nodes: Vec<&'a NodeProto>,
    uses: Uses<'a>,
    constants: HashMap<&'a str, Tensor>,
    inputs: Vec<Input>,
    rows: usize,
    work: Work,
}

/// An input of the graph and the source of its columns.
struct Input {
    name: String,
    kind: DataType,
    /// Index in a record of each column; `None` for a column that the model doesn't use.
    columns: Vec<Option<usize>>,
    /// Sizes of the axes after that of the rows.
    axes: Vec<usize>,
    /// Whether the numbers of each column are rounded to single precision: where an encoding
    /// compares them, each difference counts.
    single: Vec<bool>,
}

impl<'a> Reference<'a> {
    /// Matches the inputs of a graph with the records of the model made from it. `names` are those
    /// of their columns.
    ///
    /// # Errors
    /// If its inputs can't be made of records.
    pub(super) fn new(graph: &'a Graph, encoder: &Encoder, names: Option<&[String]>) -> Result<Self, NotRun> {
        let expected = encoder.columns().len();
        let proto = graph.proto();
        let uses = graph.uses().map_err(|error| NotRun(error.to_string()))?;
        let constants: HashSet<&str> = proto
            .initializer
            .iter()
            .map(|tensor| tensor.name.as_str())
            .collect();
        let places: Option<HashMap<&str, usize>> =
            names.map(|names| names.iter().map(String::as_str).zip(0..).collect());
        let (mut inputs, mut count, mut fixed) = (Vec::new(), 0, None);
        for info in proto
            .input
            .iter()
            .filter(|info| !constants.contains(&info.name.as_str()))
        {
            let Some(type_proto::Value::TensorType(tensor)) =
                info.r#type.as_ref().and_then(|kind| kind.value.as_ref())
            else {
                return not_run(format!("input {:?} is not a tensor", info.name));
            };
            let dims: Vec<Option<usize>> = tensor
                .shape
                .iter()
                .flat_map(|shape| &shape.dim)
                .map(|dim| match dim.value {
                    Some(dimension::Value::DimValue(size)) => {
                        usize::try_from(size).ok().filter(|size| *size > 0)
                    }
                    _ => None,
                })
                .collect();
            let axes: Vec<usize> = dims.iter().skip(1).map(|size| size.unwrap_or(1)).collect();
            let width = axes
                .iter()
                .fold(1usize, |width, size| width.saturating_mul(*size));
            fixed = fixed.or(dims.first().copied().flatten());
            // The number of columns is known from the import.
            if width > expected {
                return not_run(format!("input {:?} has {width} columns", info.name));
            }
            let columns = match &places {
                // Inputs of one column each are matched by name, others by order.
                Some(places) => vec![places.get(info.name.as_str()).copied()],
                None => (count..count + width).map(Some).collect(),
            };
            count += columns.iter().flatten().count();
            let is_single = |column: &Option<usize>| {
                let column = column.and_then(|column| encoder.columns().get(column));
                let known = column.is_some_and(|column| column.single);
                !encoder.is_plain() && (known || tensor.elem_type == DataType::Float as i32)
            };
            inputs.push(Input {
                name: info.name.clone(),
                kind: DataType::try_from(tensor.elem_type).unwrap_or(DataType::Undefined),
                single: columns.iter().map(is_single).collect(),
                columns,
                axes,
            });
        }
        if count != expected {
            return not_run(format!("the graph takes {count} columns, the model {expected}"));
        }
        let rows = fixed.unwrap_or(ROWS);
        if rows.saturating_mul(inputs.len().max(count)) > MOST_INPUT {
            return not_run(format!("the graph takes {rows} rows at once, which are too many"));
        }
        // Unused initializers may have any type.
        let constants = proto
            .initializer
            .iter()
            .filter(|tensor| uses.contains_key(tensor.name.as_str()))
            .filter_map(|tensor| Some((tensor.name.as_str(), Tensor::of(tensor).ok()?)))
            .collect();
        Ok(Self {
            graph,
            nodes: graph.used_nodes(&uses).collect(),
            uses,
            constants,
            inputs,
            rows,
            work: Work::new(),
        })
    }

    /// Returns, for each column of a record, whether its input takes whole numbers.
    pub(super) fn whole_columns(&self) -> Vec<bool> {
        let mut whole: Vec<(usize, bool)> = Vec::new();
        for input in &self.inputs {
            let integer = !matches!(input.kind, DataType::Float | DataType::Double);
            whole.extend(input.columns.iter().flatten().map(|&column| (column, integer)));
        }
        whole.sort_unstable();
        whole.into_iter().map(|(_, integer)| integer).collect()
    }

    /// Returns the graph's outputs for each of some records.
    ///
    /// # Errors
    /// If it has an unknown operator, or a row does not fit its inputs.
    pub(super) fn run(&self, rows: &[Vec<Cell<'_>>]) -> Result<Vec<Answers>, NotRun> {
        let mut answers = Vec::with_capacity(rows.len());
        for block in rows.chunks(self.rows) {
            let outputs = self.run_block(block)?;
            for row in 0..block.len() {
                answers.push(outputs.iter().map(|output| output.row(row)).collect());
            }
        }
        Ok(answers)
    }

    /// Runs the graph once, with copies of the last row in place of missing rows.
    fn run_block(&self, block: &[Vec<Cell<'_>>]) -> Result<Vec<Tensor>, NotRun> {
        let mut tensors: HashMap<&str, Tensor> = HashMap::new();
        let mut left = self.uses.clone();
        let mut held = 0u64;
        let last = block.len().saturating_sub(1);
        for input in &self.inputs {
            let rows = (0..self.rows).map(|row| block[row.min(last)].as_slice());
            tensors.insert(&input.name, input.tensor(rows, self.rows)?);
        }
        for node in &self.nodes {
            let operands = self.operands(node, &tensors);
            let missing = node.input.iter().zip(&operands);
            let mut missing = missing.filter(|(name, found)| !name.is_empty() && found.is_none());
            if let Some((name, _)) = missing.next() {
                return not_run(format!("{name:?} is given by no node"));
            }
            let results = self
                .run_node(node, &operands)
                .map_err(|NotRun(why)| NotRun(format!("{} (node {:?}): {why}", node.op_type, node.name)))?;
            for (name, tensor) in node.output.iter().zip(results) {
                held += tensor.size();
                tensors.insert(name, tensor);
            }
            if held > MOST_HELD {
                return not_run(format!(
                    "its tensors take more than {} at once",
                    megabytes(MOST_HELD)
                ));
            }
            for name in &node.input {
                if let Some(left) = left.get_mut(name.as_str()) {
                    *left = left.saturating_sub(1);
                    if *left == 0
                        && let Some(tensor) = tensors.remove(name.as_str())
                    {
                        held = held.saturating_sub(tensor.size());
                    }
                }
            }
        }
        let outputs = self.graph.proto().output.iter().map(|output| {
            let name = output.name.as_str();
            let Some(tensor) = tensors.get(name).or_else(|| self.constants.get(name)) else {
                return not_run(format!("{name:?} is given by no node"));
            };
            match tensor.rows() {
                Some(rows) if rows == self.rows => Ok(tensor.clone()),
                _ => not_run(format!(
                    "output {name:?} has shape {:?} for {} rows",
                    tensor.shape(),
                    self.rows
                )),
            }
        });
        outputs.collect()
    }

    fn run_node(&self, node: &NodeProto, operands: &[Option<&Tensor>]) -> Result<Vec<Tensor>, NotRun> {
        let work = |factors: &[usize]| self.work.take(factors).map_err(|error| NotRun(error.to_string()));
        work(&[multiplications(node, operands)])?;
        let results = match node.domain.as_str() {
            "ai.onnx.ml" => learning::run(node, operands)?,
            "com.microsoft" => vec![text::tokenizer(node, operands)?],
            OWN if node.op_type == "HashingVectorizer" => vec![text::hashing_vectorizer(node, operands)?],
            OWN => vec![transformers::run(node, operands)?],
            "" | "ai.onnx" => vec![standard::run(node, operands, self.graph.version())?],
            domain => return not_run(format!("its domain is {domain:?}")),
        };
        for tensor in &results {
            work(&[tensor.count()])?;
        }
        Ok(results)
    }

    fn operands<'t>(
        &'t self,
        node: &NodeProto,
        tensors: &'t HashMap<&str, Tensor>,
    ) -> Vec<Option<&'t Tensor>> {
        let find = |name: &String| {
            tensors
                .get(name.as_str())
                .or_else(|| self.constants.get(name.as_str()))
        };
        node.input.iter().map(find).collect()
    }
}

impl Input {
    fn tensor<'r>(&self, rows: impl Iterator<Item = &'r [Cell<'r>]>, count: usize) -> Result<Tensor, NotRun> {
        let shape = [&[count], &self.axes[..]].concat();
        let cell = |row: &'r [Cell<'r>], column: &Option<usize>| column.and_then(|column| row.get(column));
        if self.kind == DataType::String {
            let text = |cell: Option<&Cell<'_>>| match cell {
                Some(Cell::Text(text)) => text.to_string(),
                Some(Cell::Missing) => MISSING_CATEGORY.to_owned(),
                Some(Cell::Number(_)) | None => String::new(),
            };
            let texts = rows.flat_map(|row| self.columns.iter().map(move |column| text(cell(row, column))));
            return Ok(Tensor::texts(shape, texts.collect()));
        }
        let number = |cell: Option<&Cell<'_>>, single: bool| match cell {
            Some(Cell::Number(number)) if single => f64::from(*number as f32),
            Some(Cell::Number(number)) => *number,
            Some(Cell::Text(_) | Cell::Missing) => f64::NAN,
            None => 0.0,
        };
        let columns = || self.columns.iter().zip(&self.single);
        let numbers: Vec<f64> = rows
            .flat_map(|row| columns().map(move |(column, single)| number(cell(row, column), *single)))
            .collect();
        let tensor = Tensor::numbers(shape, numbers, self.kind);
        if tensor.is_integer() && !tensor.is_whole() {
            return not_run(format!(
                "input {:?} is of whole numbers, and the rows have others",
                self.name
            ));
        }
        Ok(tensor)
    }
}

/// Returns the number of multiplications of a node.
fn multiplications(node: &NodeProto, operands: &[Option<&Tensor>]) -> usize {
    let rows = |tensor: &Tensor| tensor.shape().first().copied().unwrap_or(1);
    let first = operands.first().copied().flatten();
    let count = match (node.op_type.as_str(), operands) {
        ("MatMul" | "Gemm", [_, Some(second), ..]) => second.count(),
        ("LinearClassifier" | "LinearRegressor" | "SVMClassifier" | "SVMRegressor", _) => node
            .attribute
            .iter()
            .map(|attribute| attribute.floats.len())
            .sum(),
        _ => 0,
    };
    first.map_or(0, rows).saturating_mul(count)
}
