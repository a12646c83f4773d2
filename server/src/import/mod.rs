//! Conversion of a fitted model to a served one: ONNX or safetensors in, a model file out.
//!
//! 1. [`onnx`] or [`tensors`] reads the file as a [`Fitted`] linear model, in floating point, with
//!    the scaler folded into its weights;
//! 2. [`ranges`] finds the range of every feature, from the caller, from calibration data, or from
//!    the scaler;
//! 3. [`settle`] replaces the file's labels by the caller's;
//! 4. [`choice`] rounds inputs and weights as coarsely as the allowed error permits;
//! 5. [`compare`] checks the result against the file itself, run in the clear by [`reference`], and
//!    [`expect`] against predictions of the caller's own program.
//!
//! Projection networks are imported trained and rounded; [`network`] names and checks them.

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

/// A fitted linear model and the other content of its file.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// Names of the features, if the file has them.
    pub features: Option<Vec<String>>,
    /// Names of columns that the file knows but does not use.
    pub unused: Vec<String>,
    /// Range of each feature, given in the file or implied by its scaler.
    pub ranges: Option<Vec<(f64, f64)>>,
    /// Assumption behind these ranges.
    pub assumed: Option<&'static str>,
    /// One label per output, if the file has them.
    pub labels: Option<Vec<String>>,
    /// Accuracy on a test set, as a share, if the file states it.
    pub accuracy: Option<f64>,
    /// Purpose of the scores, if the file states it.
    pub task: Option<Task>,
    /// Classes between which a single output decides, if it does.
    pub classes: Option<[String; 2]>,
    /// Link function from scores to probabilities.
    pub link: Link,
    /// Whether the link is only the usual one, because the file does not state it.
    pub assumed_link: bool,
    /// One row of weights per output, for features before any scaling.
    pub coef: Vec<Vec<f64>>,
    /// One intercept per output.
    pub intercept: Vec<f64>,
    /// Meaning of each output of the file's graph, in the graph's order.
    pub answers: Vec<Answer>,
}

/// Meaning of a graph's output for the model made from it.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Class decided for.
    Label,
    /// For each of several labels, whether it holds.
    Held,
    /// Probabilities, by index.
    Probabilities(Vec<usize>),
    /// Scores, by index, each with a factor.
    Scores(Vec<(usize, f64)>),
}

impl Fitted {
    /// Creates a model of scores and a link, with nothing else known.
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

    /// Returns the number of features.
    pub fn count(&self) -> usize {
        self.coef.first().map_or(0, Vec::len)
    }
}

/// Reason why a file can't be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file is not an ONNX model.
    #[error("not an ONNX model: {0}")]
    NotOnnx(String),
    /// A linear model has no such operator, or not at this place.
    #[error(
        "{operator}{in_node} is not supported{why}.{advice}\nSupported are linear models: {SUPPORTED}",
        in_node = if .node.is_empty() { String::new() } else { format!(" (node {})", quoted(.node)) },
        advice = .hint.map(|hint| format!(" {hint}.")).unwrap_or_default()
    )]
    Unsupported {
        /// `op_type`, with its domain.
        operator: String,
        /// Name of the node.
        node: String,
        /// Problem with the operator, unless its mere presence is the problem.
        why: String,
        /// Users' name for it, and an alternative.
        hint: Option<&'static str>,
    },
    /// The graph does not give scores.
    #[error("{0}")]
    Graph(String),
    /// The graph takes too much work.
    #[error(transparent)]
    Work(#[from] TooMuchWork),
    /// The ranges of the features are unknown.
    #[error(
        "the ranges of the features are not known: the model has no scaler that tells them. Give examples with --calibrate data.csv, or \
         --input-min and --input-max if all features share a range"
    )]
    NoRanges,
    /// Options or numbers contradict each other.
    #[error("{0}")]
    Options(String),
    /// A table can't be used.
    #[error(transparent)]
    Table(#[from] TableError),
    /// No possible choice is precise enough.
    #[error(
        "no rounding meets --max-error {max_error}: with {levels} levels the error would be {reached:.2e} of the range of output \
         {output:?}{hint}"
    )]
    TooCoarse {
        /// Allowed share of the score range.
        max_error: f64,
        /// Levels of the finest rounding tried.
        levels: u32,
        /// Error of that rounding.
        reached: f64,
        /// Output with the largest error.
        output: String,
        /// Possible remedy.
        hint: &'static str,
    },
    /// The model can't be served.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// Lists the first of some names for a message.
pub(crate) fn listed(names: &[String]) -> String {
    const SHOWN: usize = 12;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| quoted(name)).collect();
    let more = match names.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    shown.join(", ") + &more
}

/// Quotes a name, or its beginning.
pub(crate) fn quoted(name: &str) -> String {
    const SHOWN: usize = 60;
    match name.char_indices().nth(SHOWN) {
        None => format!("{name:?}"),
        Some((end, _)) => format!("{:?}...", &name[..end]),
    }
}

/// Operators that the readers support, for error messages.
pub(crate) const SUPPORTED: &str = "scalers (Scaler, or Mul, Add, Sub and Div with constants) and Concat or FeatureVectorizer of columns, then one LinearClassifier, \
LinearRegressor, Gemm, or MatMul with Add, or several one after the other, then Softmax, Sigmoid or Normalizer (L1), and what makes labels of that \
(ArgMax, ArrayFeatureExtractor, ZipMap, and Cast and Reshape that change nothing)";
