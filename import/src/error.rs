//! Reasons why a file can't be imported.

use crate::{TableError, bounds::TooMuchWork};
use blindscore_client::ClientError;
use blindscore_engine::{ScoreError, model::ModelError};
use blindscore_protocol::{random::EntropyError, wire::WireError};
use std::{
    io,
    path::{Path, PathBuf},
};

/// Reason why a file can't be imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file is not an ONNX model.
    #[error("not an ONNX model: {0}")]
    NotOnnx(String),
    /// A linear model has no such operator, or not at this place.
    #[error(
        "{operator}{in_node} is not supported{why}.{advice}\nSupported are networks of fully connected layers, trees, and linear models: {SUPPORTED}",
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
    /// The file is of a kind of model that isn't served.
    #[error("{name} is not served{found}: {advice}")]
    Kind {
        /// Name of the kind in scikit-learn.
        name: &'static str,
        /// Why, and the nearest thing that is served.
        advice: &'static str,
        /// `op_type` of the node that isn't served, with its domain, in brackets after a blank.
        found: String,
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
    /// The model's file can't be imported.
    #[error("importing {}", .path.display())]
    InFile {
        /// Path of the file.
        path: PathBuf,
        /// Problem with it.
        #[source]
        cause: Box<ImportError>,
    },
    /// A table beside the model can't be used.
    #[error("{}", .path.display())]
    InTable {
        /// Path of the table.
        path: PathBuf,
        /// Problem with it.
        #[source]
        cause: Box<ImportError>,
    },
    /// A file can't be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// The model file can't be written.
    #[error("can't write {}", .path.display())]
    Write {
        /// File or folder.
        path: PathBuf,
        /// Error of the write.
        #[source]
        cause: io::Error,
    },
    /// The client refuses the finished model or its answers, which is a defect.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A query of the client can't be read by the engine, which is a defect.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The engine scored no row.
    #[error(transparent)]
    Score(#[from] ScoreError),
    /// The platform provides no randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

impl ImportError {
    /// Returns whether the error is about an operator, or about the graph as a whole.
    pub(crate) const fn is_of_graph(&self) -> bool {
        matches!(self, Self::Unsupported { .. } | Self::Graph(_))
    }

    /// Names the model's file in an error.
    pub(crate) fn in_file(path: &Path) -> impl Fn(Self) -> Self {
        move |cause| Self::InFile {
            path: path.to_owned(),
            cause: Box::new(cause),
        }
    }

    /// Names a table in an error.
    pub(crate) fn in_table<E: Into<Self>>(path: &Path) -> impl Fn(E) -> Self {
        move |cause| Self::InTable {
            path: path.to_owned(),
            cause: Box::new(cause.into()),
        }
    }
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
