//! The stages of the workload `ml-inference` of HomomorphicEncryption.org's FHE benchmark.
//!
//! Each run of the program is one stage. Stages exchange files only: the key, the queries and the
//! responses are the blobs that clients and servers exchange over HTTP.

mod client;
mod error;
mod files;
mod images;
mod model;
mod server;
#[cfg(test)]
mod tests;

use clap::{Args, Parser, Subcommand};
use error::Error;
use files::{Instance, Size};
use model::{Described, Name, Straighten};
use std::{path::PathBuf, process::ExitCode};

/// Run one stage of the FHE benchmark's workload ml-inference
///
/// Stages have the names and the last argument that the benchmark's harness calls them with.
#[derive(Parser)]
#[command(name = "blindscore-fhe-benchmark", version)]
struct Program {
    #[command(subcommand)]
    stage: Stage,
}

/// Stage of the workload, in the order in which they run.
#[derive(Subcommand)]
#[command(rename_all = "snake_case")]
enum Stage {
    /// Write what clients know of a model, as a server publishes it; the harness has no such stage
    PublishModel(Publication),
    /// Make a secret key and the evaluation key that the server needs
    ClientKeyGeneration(Client),
    /// Check that the model can be served
    ServerPreprocessModel {
        /// Bundled model
        #[arg(long)]
        model: Name,
    },
    /// Check the images, and straighten them
    ClientPreprocessInput {
        #[command(flatten)]
        client: Client,

        /// Whether to straighten images; by default, if the model was trained on such images
        #[arg(long, value_name = "WHETHER")]
        straighten: Option<Straighten>,
    },
    /// Encrypt every image into a query
    ClientEncodeEncryptInput(Client),
    /// Score every query
    ServerEncryptedCompute {
        /// Bundled model
        #[arg(long)]
        model: Name,

        #[command(flatten)]
        place: Place,
    },
    /// Decrypt every response into scores
    ClientDecryptDecode(Client),
    /// Choose the digit with the largest score
    ClientPostprocess(Client),
}

/// Model to publish, and where.
#[derive(Args)]
struct Publication {
    /// Bundled model
    #[arg(long)]
    model: Name,

    /// File of the descriptor; it is replaced
    file: PathBuf,
}

/// What every stage of the client needs.
#[derive(Args)]
struct Client {
    /// File of the model's descriptor, which `publish_model` wrote
    #[arg(long, value_name = "FILE")]
    descriptor: PathBuf,

    #[command(flatten)]
    place: Place,
}

/// Place of an instance's files.
#[derive(Args)]
struct Place {
    /// Folder that has `datasets` and `io`
    #[arg(long, default_value = ".", value_name = "DIR")]
    root: PathBuf,

    /// Size of the instance
    size: Size,
}

impl Place {
    fn instance(&self) -> Instance {
        Instance::new(&self.root, self.size)
    }
}

impl Client {
    fn open(&self) -> Result<client::Client, Error> {
        Ok(client::Client {
            model: Described::read(&self.descriptor)?,
            instance: self.place.instance(),
        })
    }
}

impl Stage {
    fn run(&self) -> Result<(), Error> {
        match self {
            Self::PublishModel(Publication { model, file }) => model::publish(*model, file),
            Self::ClientKeyGeneration(client) => client.open()?.generate_keys(),
            Self::ServerPreprocessModel { model } => server::check(*model),
            Self::ClientPreprocessInput { client, straighten } => client.open()?.prepare_images(*straighten),
            Self::ClientEncodeEncryptInput(client) => client.open()?.encrypt(),
            Self::ServerEncryptedCompute { model, place } => server::score(*model, &place.instance()),
            Self::ClientDecryptDecode(client) => client.open()?.decrypt(),
            Self::ClientPostprocess(client) => client.open()?.decide(),
        }
    }
}

fn main() -> ExitCode {
    match Program::parse().stage.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
