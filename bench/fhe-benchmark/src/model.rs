//! The bundled models that classify MNIST's images.

use crate::{error::Error, files};
use blindscore_engine::model::Model;
use blindscore_models::{MNIST_LINEAR, MNIST_NET, MNIST_NET_LABEL, MNIST_NET_SMALL};
use blindscore_protocol::descriptor::{CheckedDescriptor, DESCRIPTOR_BYTES, ModelDescriptor};
use clap::ValueEnum;
use std::path::Path;

/// Bundled model.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Name {
    /// Logistic regression.
    #[value(name = "mnist-linear")]
    Linear,
    /// Projection network.
    #[value(name = "mnist-net")]
    Net,
    /// The same network, of which only the label leaves the server.
    #[value(name = "mnist-net-label")]
    NetLabel,
    /// Projection network with fewer projections.
    #[value(name = "mnist-net-small")]
    NetSmall,
}

/// Whether the client straightens images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Straighten {
    /// Images are sheared upright and centred.
    Yes,
    /// Images are encrypted as they are.
    No,
}

impl Name {
    /// Loads the model, as a server does.
    pub(crate) fn load(self) -> Result<Model, Error> {
        let file = match self {
            Self::Linear => MNIST_LINEAR,
            Self::Net => MNIST_NET,
            Self::NetLabel => MNIST_NET_LABEL,
            Self::NetSmall => MNIST_NET_SMALL,
        };
        Ok(Model::from_safetensors(file)?)
    }
}

/// Writes a model's descriptor, as a server answers it to `GET /v1/models/NAME`.
pub(crate) fn publish(name: Name, path: &Path) -> Result<(), Error> {
    let json = files::to_json(path, name.load()?.descriptor())?;
    files::write(path, &json)
}

/// What clients know of a model.
pub(crate) struct Described {
    /// The descriptor without deskewing, which has a stage of its own.
    pub(crate) descriptor: CheckedDescriptor,
    /// Whether the model was trained on straightened images.
    pub(crate) trained_on: Straighten,
}

impl Described {
    /// Reads a descriptor of a model for MNIST's images.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let text = files::read_text(path, "publish_model", DESCRIPTOR_BYTES as u64)?;
        let mut descriptor: ModelDescriptor = serde_json::from_str(&text).map_err(|source| Error::File {
            path: path.to_owned(),
            source: source.into(),
        })?;
        let mut trained_on = Straighten::No;
        if let Some(image) = &mut descriptor.inputs.image
            && image.deskew
        {
            image.deskew = false;
            trained_on = Straighten::Yes;
        }
        let descriptor = descriptor.try_into()?;
        Ok(Self {
            descriptor,
            trained_on,
        })
    }
}
