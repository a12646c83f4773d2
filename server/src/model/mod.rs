//! Models: files, quantisation, and the registry that a server answers from.

mod folder;
mod linear;
mod metadata;
mod network;
mod quantise;
mod registry;
mod salt;
mod version;

pub use folder::{Folder, ModelFile};
pub use linear::LinearModel;
pub(crate) use metadata::{Metadata, numbers, tensors};
pub use quantise::{PredictedError, PredictedOutput, predict};
pub use registry::{NoModel, Registry};
pub use salt::Salt;
pub use version::{NotAVersion, VersionedName, is_name};

use crate::{
    engine::{Engine, IntegerNetwork},
    files,
};
use blindscore_protocol::{descriptor::ModelDescriptor, params::ParameterSet};
use safetensors::SafeTensors;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// Bytes of a model's file: the largest weight matrix in double precision, and half as much.
pub(crate) const MOST_FILE: u64 = 200_000_000;

/// A loaded model: what clients are told, what scores queries, and the plain model.
pub struct Model {
    descriptor: ModelDescriptor,
    set: ParameterSet,
    /// Shared by the addresses of one model.
    scoring: Arc<Scoring>,
}

/// What does not depend on the address.
struct Scoring {
    engine: Engine,
    plain: Plain,
}

/// Whether a model file has a projection network in it.
pub(crate) fn is_network(tensors: &SafeTensors<'_>) -> bool {
    tensors.tensor("threshold").is_ok()
}

/// The model in the clear, which encrypted scores are compared with.
pub enum Plain {
    /// As it was fitted, in floating point.
    Linear {
        /// The model.
        model: Box<LinearModel>,
        /// The error to expect of each decrypted score.
        predicted: Vec<PredictedError>,
    },
    /// In integers.
    Network {
        /// The network.
        network: IntegerNetwork,
        /// Logits are multiplied by it to give scores.
        logit_scale: f64,
    },
}

impl Model {
    /// Reads, checks and prepares a model of any kind.
    pub fn from_safetensors(bytes: &[u8]) -> Result<Self, ModelError> {
        let tensors = tensors(bytes)?;
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
        let bytes = files::read(path, MOST_FILE).map_err(|cause| ModelError::Io {
            path: path.to_owned(),
            cause,
        })?;
        Self::from_safetensors(&bytes)
    }

    fn new(descriptor: ModelDescriptor, set: ParameterSet, engine: Engine, plain: Plain) -> Self {
        Self {
            descriptor,
            set,
            scoring: Arc::new(Scoring { engine, plain }),
        }
    }

    /// Says which version of its name it is. Its id stays: it is the content's.
    fn set_version(&mut self, version: u32) {
        self.descriptor.version = Some(version);
    }

    /// The same at the address `name@version`, which stays when a newer version comes.
    fn as_version(&self, version: u32) -> Self {
        let mut descriptor = self.descriptor.clone();
        descriptor.name = VersionedName::new(&descriptor.name, version).to_string();
        Self {
            descriptor,
            set: self.set,
            scoring: self.scoring.clone(),
        }
    }

    /// What clients are told.
    pub fn descriptor(&self) -> &ModelDescriptor {
        &self.descriptor
    }

    /// What scores queries.
    pub fn engine(&self) -> &Engine {
        &self.scoring.engine
    }

    /// The parameter set of its keys.
    pub fn set(&self) -> ParameterSet {
        self.set
    }

    /// The model in the clear.
    pub fn plain(&self) -> &Plain {
        &self.scoring.plain
    }

    /// Predicted standard deviation of each decrypted score from [`Self::plain_scores`].
    pub fn deviations(&self, features: &[f64]) -> Vec<f64> {
        match &self.scoring.plain {
            Plain::Linear { predicted, .. } => predicted.iter().map(PredictedError::std_dev).collect(),
            Plain::Network { network, logit_scale } => {
                let rest = self.descriptor.score_error;
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

    fn levels(&self, features: &[f64]) -> Vec<i64> {
        let levels = self.descriptor.inputs.levels_of(features);
        levels.into_iter().map(i64::from).collect()
    }

    /// Scores in the clear: what encrypted scores are compared with.
    pub fn plain_scores(&self, features: &[f64]) -> Vec<f64> {
        match &self.scoring.plain {
            Plain::Linear { model, .. } => model.float_scores(features),
            Plain::Network { network, logit_scale } => network
                .logits(&self.levels(features))
                .iter()
                .map(|logit| logit * logit_scale)
                .collect(),
        }
    }
}

/// Why a model can't be served.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file or folder can't be read.
    #[error("can't read {path}: {cause}")]
    Io {
        /// What was read.
        path: PathBuf,
        /// Why it failed.
        cause: std::io::Error,
    },
    /// One of a folder's files.
    #[error("{path}: {cause}")]
    InFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: Box<ModelError>,
    },
    /// Not a safetensors file.
    #[error("not a safetensors file: {0}")]
    Safetensors(String),
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
    #[error("{place}: {problem}")]
    Precision {
        /// The output or the layer.
        place: String,
        /// What can't be met, with the numbers.
        problem: String,
    },
    /// Two models of one name.
    #[error("there are two models named {0:?}")]
    Duplicate(String),
}

// Its message has all that is known; as a source it would be told twice.
impl From<safetensors::SafeTensorError> for ModelError {
    fn from(error: safetensors::SafeTensorError) -> Self {
        Self::Safetensors(error.to_string())
    }
}

impl ModelError {
    fn field(name: &'static str, problem: impl Into<String>) -> Self {
        Self::Field {
            name,
            problem: problem.into(),
        }
    }
}
