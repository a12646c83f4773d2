//! Models: files, quantisation, and the registry of a server.

mod file_name;
mod forest;
mod layers;
mod linear;
mod listing;
mod metadata;
mod network;
mod quantise;
mod registry;
mod rotations;
mod salt;

pub use file_name::FileName;
pub use forest::ForestModel;
pub use layers::{LAYERS, LayersModel};
pub use linear::LinearModel;
pub use listing::{Listing, ModelFile};
pub use metadata::{MOST_HEADER, Metadata, numbers, tensors};
pub use quantise::{PredictedError, PredictedOutput, bounds, predict};
pub use registry::{NoModel, Registry};
pub use rotations::MOST_ROTATIONS;
pub use salt::Salt;

use crate::{
    Engine, IntegerNetwork, files,
    forest::{Forest, ForestError},
    layers::{IntegerLayers, PlainLayers},
};
use blindscore_protocol::{descriptor, params::ParameterSet};
use safetensors::SafeTensors;
use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

/// Largest model file, in bytes: the largest weight matrix in double precision, and half as much
/// again.
pub const MOST_FILE: u64 = 200_000_000;

/// A loaded model: its description for clients, its engine, and the plain model.
pub struct Model {
    described: descriptor::CheckedDescriptor,
    /// Shared by all addresses of one model.
    scoring: Arc<Scoring>,
}

/// Parts of a model that do not depend on its address.
struct Scoring {
    engine: Engine,
    plain: Plain,
}

fn read(path: &Path) -> Result<Vec<u8>, ModelError> {
    files::read(path, MOST_FILE).map_err(|cause| ModelError::Io {
        path: path.to_owned(),
        cause,
    })
}

/// Returns whether a model file holds a projection network.
pub fn is_network(tensors: &SafeTensors<'_>) -> bool {
    tensors.tensor("threshold").is_ok()
}

/// The model in the clear, the reference for encrypted scores.
pub enum Plain {
    /// A linear model as fitted, in floating point.
    Linear {
        /// The fitted model.
        model: Box<LinearModel>,
        /// Predicted error of each decrypted score.
        predicted: Vec<PredictedError>,
    },
    /// A projection network in integers.
    Network {
        /// The integer network.
        network: IntegerNetwork,
        /// Score of a logit of 1.
        logit_scale: f64,
        /// What of the answer leaves the server.
        answer: descriptor::Answer,
    },
    /// A network of several layers in integers.
    Layers {
        /// The integer network.
        network: Box<IntegerLayers>,
        /// The network with tables of what rotations read on average, once it was asked for:
        /// servers don't.
        averaged: OnceLock<Box<IntegerLayers>>,
        /// Summand of each score.
        bases: Vec<f64>,
        /// Factor of each score's phase, in parts of the torus.
        scales: Vec<f64>,
        /// How many times finer the second half of the network's scores are, if they are sent
        /// twice.
        fine: Option<u32>,
        /// What of the answer leaves the server.
        answer: descriptor::Answer,
    },
    /// An ensemble of trees.
    Forest {
        /// The trees.
        forest: Box<Forest>,
        /// Smallest distance of a level from the next decision, in standard deviations of its
        /// noise.
        margin: f64,
        /// Chance that noise makes any tree take a wrong leaf for a row, at most.
        wrong: f64,
    },
}

impl Model {
    /// Parses, checks and prepares a model of any kind.
    pub fn from_safetensors(bytes: &[u8]) -> Result<Self, ModelError> {
        let tensors = tensors(bytes)?;
        if forest::is_forest(&tensors) {
            return forest::prepare(bytes);
        }
        if layers::is_layers(&tensors) {
            return layers::prepare(bytes);
        }
        if is_network(&tensors) {
            return network::prepare(&tensors, bytes);
        }
        quantise::prepare(LinearModel::from_safetensors(bytes)?)
    }

    /// Checks and prepares a linear model.
    pub fn from_linear(linear: LinearModel) -> Result<Self, ModelError> {
        quantise::prepare(linear)
    }

    /// Reads, checks and prepares a model file.
    pub fn load(path: &Path) -> Result<Self, ModelError> {
        Self::from_safetensors(&read(path)?)
    }

    fn new(described: descriptor::CheckedDescriptor, engine: Engine, plain: Plain) -> Self {
        Self {
            described,
            scoring: Arc::new(Scoring { engine, plain }),
        }
    }

    /// Returns the model as a version of its name. The id stays, because it depends on the content
    /// only.
    pub fn with_version(mut self, version: u32) -> Self {
        self.described = self.described.with_version(version);
        self
    }

    /// Returns the same model at the address `name@version`, which stays when a newer version
    /// comes.
    fn as_version(&self, version: u32) -> Result<Self, ModelError> {
        let address = format!("{}@{version}", self.described.name);
        Ok(Self {
            described: self.described.clone().with_name(address)?,
            scoring: self.scoring.clone(),
        })
    }

    /// Returns the model's description for clients.
    pub fn descriptor(&self) -> &descriptor::CheckedDescriptor {
        &self.described
    }

    /// Returns the scoring engine.
    pub fn engine(&self) -> &Engine {
        &self.scoring.engine
    }

    /// Returns the parameter set of the model's keys.
    pub fn parameters(&self) -> ParameterSet {
        self.described.parameters()
    }

    /// Returns the model in the clear.
    pub fn plain(&self) -> &Plain {
        &self.scoring.plain
    }

    /// Returns the predicted standard deviation of each decrypted score from
    /// [`Self::plain_scores`].
    pub fn deviations(&self, features: &[f64]) -> Vec<f64> {
        match &self.scoring.plain {
            Plain::Linear { predicted, .. } => predicted.iter().map(PredictedError::std_dev).collect(),
            Plain::Forest { forest, .. } => vec![self.described.score_error; forest.bases().len()],
            _ if !self.described.answer.is_scores() => vec![0.0; self.described.outputs.len()],
            Plain::Layers {
                network,
                scales,
                fine,
                ..
            } => {
                let fine = f64::from(fine.unwrap_or(1));
                let variances = PlainLayers::new(network).spread(&LAYERS, &self.levels(features));
                let finer = variances[variances.len() - scales.len()..].iter().zip(scales);
                finer
                    .map(|(variance, scale)| scale / fine * (variance + layers::rest()).sqrt())
                    .collect()
            }
            Plain::Network {
                network, logit_scale, ..
            } => {
                let rest = self.described.score_error;
                let variances = network.spread(&self.levels(features), |projection| {
                    network::projection_noise(&network::PARAMS, projection)
                });
                variances
                    .iter()
                    .map(|variance| rest.hypot(variance.sqrt() * logit_scale))
                    .collect()
            }
        }
    }

    /// Returns the predicted standard deviation of a comparison, in units of a logit, of a
    /// projection network of which only the label is sent; `None` for all other models.
    pub fn comparison_deviation(&self) -> Option<f64> {
        match &self.scoring.plain {
            Plain::Network {
                network,
                answer: descriptor::Answer::Label,
                ..
            } => Some(network::comparison_noise(network)),
            _ => None,
        }
    }

    fn levels(&self, features: &[f64]) -> Vec<i64> {
        let levels = self.described.inputs.levels_of(features);
        descriptor::sent_levels(&levels, self.described.fine_features)
    }

    /// Returns scores in the clear, the reference for encrypted scores. Of a network of several
    /// layers they are those that encrypted ones have on average.
    pub fn plain_scores(&self, features: &[f64]) -> Vec<f64> {
        match &self.scoring.plain {
            Plain::Linear { model, .. } => model.float_scores(features),
            Plain::Forest { forest, .. } => forest.scores(&self.levels(features)),
            Plain::Layers {
                network,
                averaged,
                bases,
                scales,
                fine,
                answer,
            } => {
                let scored = match answer {
                    descriptor::Answer::Scores => {
                        averaged.get_or_init(|| Box::new(network.averaged(&LAYERS)))
                    }
                    // An average of signs is none.
                    descriptor::Answer::Label => network,
                };
                let phases = PlainLayers::new(scored).scores(&self.levels(features));
                let (coarse, finer) = phases.split_at(bases.len());
                let score = |(place, (base, scale)): (usize, (&f64, &f64))| {
                    let phase = match fine {
                        Some(fine) => descriptor::finer_phase(coarse[place], finer[place], f64::from(*fine)),
                        None => coarse[place],
                    };
                    match answer {
                        descriptor::Answer::Scores => base + scale * phase,
                        descriptor::Answer::Label => (base + scale * phase).signum(),
                    }
                };
                bases.iter().zip(scales).enumerate().map(score).collect()
            }
            Plain::Network {
                network,
                logit_scale,
                answer,
            } => {
                let logits = network.logits(&self.levels(features));
                match answer {
                    descriptor::Answer::Scores => logits.iter().map(|logit| logit * logit_scale).collect(),
                    descriptor::Answer::Label => signs(&logits),
                }
            }
        }
    }
}

/// Returns the scores of a model of which only the label is sent: 1 for the class that it is, and
/// -1 for the others. The only score, if there is one, is compared with zero.
fn signs(logits: &[f64]) -> Vec<f64> {
    if let [only] = logits {
        return vec![only.signum()];
    }
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let label = logits.iter().position(|logit| *logit == largest);
    let sign = |place| if Some(place) == label { 1.0 } else { -1.0 };
    (0..logits.len()).map(sign).collect()
}

/// Reason why a model can't be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The file or folder can't be read.
    #[error("can't read {path}: {cause}")]
    Io {
        /// File or folder.
        path: PathBuf,
        /// Error of the read.
        cause: std::io::Error,
    },
    /// A file of a folder can't be served.
    #[error("{path}: {cause}")]
    InFile {
        /// Path of the file.
        path: PathBuf,
        /// Problem with the model in it.
        cause: Box<ModelError>,
    },
    /// The file is not a safetensors file.
    #[error("not a safetensors file: {0}")]
    Safetensors(String),
    /// A tensor or metadata entry is missing or malformed.
    #[error("{name}: {problem}")]
    Field {
        /// Tensor or metadata entry.
        name: &'static str,
        /// Problem with the entry.
        problem: String,
    },
    /// The model exceeds the limits of a descriptor.
    #[error(transparent)]
    Descriptor(#[from] blindscore_protocol::descriptor::DescriptorError),
    /// Trees can't be scored.
    #[error("the trees can't be served: {0}")]
    Forest(#[from] ForestError),
    /// The parameter set is not precise enough.
    #[error("{place}: {problem}")]
    Precision {
        /// Output or layer.
        place: String,
        /// Unmet requirement, with its numbers.
        problem: String,
    },
    /// Two models have the same name.
    #[error("there are two models named {0:?}")]
    Duplicate(String),
}

// The message already has all details; as a source it would be printed twice.
impl From<safetensors::SafeTensorError> for ModelError {
    fn from(error: safetensors::SafeTensorError) -> Self {
        Self::Safetensors(error.to_string())
    }
}

impl ModelError {
    /// Refuses a model called `found` where one called `expected` was to be.
    pub fn other_name(found: &str, expected: &str) -> Self {
        Self::field(
            "name",
            format!("is {found:?} in the file, and {expected:?} is needed"),
        )
    }

    /// Refuses a versioned file that would hide the unversioned file at `path`, which holds another
    /// model.
    pub fn hidden(path: &Path, model: &str) -> Self {
        let problem = format!(
            "would hide {}, which has no version and holds the model {model:?}: rename that file first",
            path.display()
        );
        Self::field("name", problem)
    }

    fn field(name: &'static str, problem: impl Into<String>) -> Self {
        Self::Field {
            name,
            problem: problem.into(),
        }
    }
}
