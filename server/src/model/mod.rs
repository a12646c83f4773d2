//! Models: files, quantisation, and the registry that a server answers from.

mod file;
mod quantise;
mod registry;

pub use file::{LinearModel, load_file};
pub use quantise::{Model, PredictedError};
pub use registry::Registry;

use std::path::PathBuf;

/// Why a model can't be served.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file or folder can't be read.
    #[error("can't read {path}: {source}")]
    Io {
        /// What was read.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// Not a safetensors file.
    #[error("not a safetensors file: {0}")]
    Safetensors(#[from] safetensors::SafeTensorError),
    /// A tensor or metadata entry is missing or has another form.
    #[error("{name}: {problem}")]
    Field {
        /// The tensor or metadata entry.
        name: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The numbers are beyond what the format allows.
    #[error(transparent)]
    Descriptor(#[from] blindscore_protocol::descriptor::DescriptorError),
    /// No parameter set is precise enough.
    #[error("output {label:?}: {problem}")]
    Precision {
        /// The output.
        label: String,
        /// What can't be met, with the numbers.
        problem: String,
    },
    /// Two models of one name.
    #[error("there are two models named {0:?}")]
    Duplicate(String),
}

impl ModelError {
    fn field(name: &'static str, problem: impl Into<String>) -> Self {
        Self::Field {
            name,
            problem: problem.into(),
        }
    }
}
