//! From a fitted model to one that is served: ONNX or safetensors in, a model file out.
//!
//! 1. [`onnx`] or [`tensors`] read the file as a [`Fitted`] linear model, in floating point, with the scaler folded into its weights;
//! 2. [`ranges`] finds the range of every feature, from the scaler, from calibration data, or from the caller;
//! 3. [`settle`] puts the caller's labels in the place of the file's;
//! 4. [`choice`] rounds inputs and weights as coarsely as the allowed error permits;
//! 5. [`compare`] holds that against the file itself, run in the clear by [`reference`], and [`expect`] against what the caller's own program says.
//!
//! Projection networks come trained and rounded; [`network`] names and checks them.

mod bounds;
mod calibration;
mod choice;
mod compare;
mod expect;
mod network;
pub mod onnx;
mod ranges;
mod reference;
mod settle;
mod table;
mod tensors;

pub use calibration::{Calibration, Wanted};
pub use choice::{BOUND, Choice, MOST_LEVELS, bound, choose, shared_or_own};
pub use compare::{Compared, MOST_ROWS, compare};
pub use expect::Expected;
pub use network::{Naming, Network};
pub use ranges::{RangeSource, Ranges};
pub use reference::NotRun;
pub use settle::{Settled, settle};
pub use table::{TableError, TableOptions};
pub use tensors::read as read_safetensors;

use crate::model::ModelError;
use blindscore_protocol::descriptor::{Link, Task};
use bounds::TooMuchWork;

/// A linear model as it was fitted, and what its file tells besides.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// Names of the features, if the file has them.
    pub features: Option<Vec<String>>,
    /// Names of columns that the file knows and doesn't use.
    pub unused: Vec<String>,
    /// The range of each feature that the file's scaler implies, or that it gives.
    pub ranges: Option<Vec<(f64, f64)>>,
    /// What is taken for granted about these ranges.
    pub assumed: Option<&'static str>,
    /// A name for each output, if the file has them.
    pub labels: Option<Vec<String>>,
    /// Share of a test set that it gets right, if the file says so.
    pub accuracy: Option<f64>,
    /// What the scores are for, if the file says so.
    pub task: Option<Task>,
    /// The two classes between which the only output decides, if it does.
    pub classes: Option<[String; 2]>,
    /// From scores to probabilities.
    pub link: Link,
    /// Whether that is only what is usual, as the file says nothing of it.
    pub assumed_link: bool,
    /// One row of weights for each output, for features as the caller has them: before any scaling.
    pub coef: Vec<Vec<f64>>,
    /// One intercept for each output.
    pub intercept: Vec<f64>,
    /// What each output of the file's graph is of this model, in the graph's order.
    pub answers: Vec<Answer>,
}

/// What an output of a graph is of the model that is made of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The class decided for.
    Label,
    /// For each of several labels, whether it holds.
    Held,
    /// Probabilities, by their places.
    Probabilities(Vec<usize>),
    /// Scores, by their places, each with a factor.
    Scores(Vec<(usize, f64)>),
}

impl Fitted {
    /// Scores through a link, and nothing else that is known.
    pub fn new(link: Link, coef: Vec<Vec<f64>>, intercept: Vec<f64>) -> Self {
        Self {
            features: None,
            unused: Vec::new(),
            ranges: None,
            assumed: None,
            labels: None,
            accuracy: None,
            task: None,
            classes: None,
            link,
            assumed_link: false,
            coef,
            intercept,
            answers: Vec::new(),
        }
    }

    /// Number of features.
    pub fn count(&self) -> usize {
        self.coef.first().map_or(0, Vec::len)
    }
}

/// Why a file can't be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Not a file of the kind that its name says.
    #[error("not an ONNX model: {0}")]
    NotOnnx(String),
    /// An operator that has no place in a linear model, or not there.
    #[error(
        "{operator}{in_node} is not supported{why}.{advice}\nSupported are linear models: {SUPPORTED}",
        in_node = if .node.is_empty() { String::new() } else { format!(" (node {})", quoted(.node)) },
        advice = .hint.map(|hint| format!(" {hint}.")).unwrap_or_default()
    )]
    Unsupported {
        /// `op_type`, with its domain.
        operator: String,
        /// The node's name.
        node: String,
        /// What is wrong with it, if it is more than that it's there.
        why: String,
        /// What its users call it, and what to do instead.
        hint: Option<&'static str>,
    },
    /// The graph isn't one that gives scores.
    #[error("{0}")]
    Graph(String),
    /// It takes too long.
    #[error(transparent)]
    Work(#[from] TooMuchWork),
    /// The ranges of the features are not known.
    #[error(
        "the ranges of the features are not known: the model has no scaler that tells them. Give examples with --calibrate data.csv, or \
         --input-min and --input-max if all features share a range"
    )]
    NoRanges,
    /// Numbers that contradict each other.
    #[error("{0}")]
    Options(String),
    /// A table can't be used.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Nothing that may be chosen is precise enough.
    #[error(
        "no rounding meets --max-error {max_error}: with {levels} levels the error would be {reached:.2e} of the range of output \
         {output:?}{hint}"
    )]
    TooCoarse {
        /// Allowed share of the score range.
        max_error: f64,
        /// The finest rounding tried.
        levels: u32,
        /// Its error.
        reached: f64,
        /// The worst output.
        output: String,
        /// What may help.
        hint: &'static str,
    },
    /// The model can't be served.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// The first of some names, as they are shown in messages.
pub(crate) fn listed(names: &[String]) -> String {
    const SHOWN: usize = 12;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| quoted(name)).collect();
    let more = match names.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    shown.join(", ") + &more
}

/// A name in quotes, or its beginning.
pub(crate) fn quoted(name: &str) -> String {
    const SHOWN: usize = 60;
    match name.char_indices().nth(SHOWN) {
        None => format!("{name:?}"),
        Some((end, _)) => format!("{:?}...", &name[..end]),
    }
}

/// What the readers understand, for error messages.
pub(crate) const SUPPORTED: &str = "scalers (Scaler, or Mul, Add, Sub and Div with constants) and Concat or FeatureVectorizer of columns, then one LinearClassifier, \
LinearRegressor, Gemm, or MatMul with Add, or several one after the other, then Softmax, Sigmoid or Normalizer (L1), and what makes labels of that \
(ArgMax, ArrayFeatureExtractor, ZipMap, and Cast and Reshape that change nothing)";
