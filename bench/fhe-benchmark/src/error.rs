//! Reasons why a stage fails.

use blindscore_client::ClientError;
use blindscore_engine::{ScoreError, model::ModelError};
use blindscore_protocol::{
    descriptor::DescriptorError,
    ids::{KeyId, ModelId},
    random::EntropyError,
    wire::WireError,
};
use std::{io, path::PathBuf};

/// Why a stage failed. Messages name files, and nothing secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A stage that should have written a file has not run.
    #[error("there is no {}: {stage} makes it, and has to run first", path.display())]
    Missing {
        /// Missing file or folder.
        path: PathBuf,
        /// What makes it.
        stage: &'static str,
    },
    /// A file can't be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// File or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A blob is too short, too long, or of something else.
    #[error(
        "{} has {found} bytes, and {what} has {expected}: it is cut off, or was made for another model",
        path.display()
    )]
    Length {
        /// File.
        path: PathBuf,
        /// What it should hold, and for which model.
        what: String,
        /// Length in bytes that follows from the model.
        expected: usize,
        /// Length of the file in bytes.
        found: u64,
    },
    /// A blob is damaged, or of another kind.
    #[error("{}: {source}", path.display())]
    Blob {
        /// File.
        path: PathBuf,
        /// What is wrong with it.
        source: WireError,
    },
    /// The client refuses a file's content.
    #[error("{}: {source}", path.display())]
    Client {
        /// File.
        path: PathBuf,
        /// What is wrong with it.
        source: ClientError,
    },
    /// A query was encrypted for another model.
    #[error(
        "{} was encrypted for model {found}, and {expected} is served: encrypt it with the other descriptor",
        path.display()
    )]
    OtherModel {
        /// File.
        path: PathBuf,
        /// Model in the query.
        found: ModelId,
        /// Model that scores.
        expected: ModelId,
    },
    /// A query was encrypted with another key.
    #[error(
        "{} was encrypted with the secret of key {found}, not of {expected}: encrypt it again",
        path.display()
    )]
    OtherKey {
        /// File.
        path: PathBuf,
        /// Key in the query.
        found: KeyId,
        /// Key that the server has.
        expected: KeyId,
    },
    /// A line of a text file is not what it should be.
    #[error("line {line} of {}: {problem}", path.display())]
    Line {
        /// File.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// The number of images or ciphertexts is not one that the instance may have.
    #[error("{} has {found} {what}, and {allowed}", path.display())]
    Count {
        /// File or folder.
        path: PathBuf,
        /// What is counted.
        what: &'static str,
        /// Number of them.
        found: usize,
        /// Number that there may be, in words.
        allowed: String,
    },
    /// A folder of ciphertexts has something else in it.
    #[error("{} is not one of the numbered ciphertexts: remove it", path.display())]
    Stray {
        /// File or folder.
        path: PathBuf,
    },
    /// A bundled model can't be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A bundled model's descriptor can't be used.
    #[error(transparent)]
    Descriptor(#[from] DescriptorError),
    /// The platform provides no randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The engine refuses a query.
    #[error(transparent)]
    Score(#[from] ScoreError),
}
