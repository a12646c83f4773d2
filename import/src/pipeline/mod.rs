//! The whole import: from a fitted model's file to a model file that a server loads.

mod label;
mod layers;
mod linear;
mod network;
mod prepared;
mod served;
mod trees;

pub use label::Label;
pub use layers::LayersImport;
pub use linear::LinearImport;
pub use trees::TreesImport;

use crate::{Agreement, Calibration, Grid, ImportError, Network, Structure, TableOptions, onnx::Graph};
use blindscore_engine::{
    files,
    model::{MOST_FILE, Model, Registry},
};
use blindscore_protocol::{
    descriptor::{Answer, Link, Task},
    name::ModelName,
};
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    time::Duration,
};

/// Choices where a [`Request`] leaves them open.
pub mod defaults {
    pub use super::{
        linear::{CHECK_ROWS, MAX_ERROR, WIDEN},
        network::CHECK_ROWS as NETWORK_CHECK_ROWS,
    };
    pub use crate::choice::PROBABILITY as MAX_PROBABILITY_ERROR;

    /// Number of rows of trees and of networks with hidden layers to score encrypted; each takes a
    /// tenth of a second or more.
    pub const ROTATED_CHECK_ROWS: usize = 50;
    /// Limit on the time that such a row takes, in seconds.
    pub const MAX_SECONDS: f64 = 10.0;
}

/// Input of an import, and the caller's choices.
#[derive(Clone, Debug)]
pub struct Request {
    /// Fitted model: `.onnx`, `.safetensors`, `.json` or `.csv`.
    pub file: PathBuf,
    /// What of the answer leaves the server.
    pub answer: Answer,
    /// Name in addresses.
    pub name: ModelName,
    /// Human-readable title, one line; by default the name.
    pub title: Option<String>,
    /// Folder for the model file, which is created if it doesn't exist.
    pub models_dir: PathBuf,
    /// CSV file with rows of features.
    pub calibrate: Option<PathBuf>,
    /// CSV file with the predictions of another program for these rows.
    pub expect: Option<PathBuf>,
    /// Format of the calibration table.
    pub table: TableOptions,
    /// Share of its width by which a range from calibration rows is widened on both sides.
    pub widen: Option<f64>,
    /// Range of every feature.
    pub range: Option<(f64, f64)>,
    /// Names of the outputs, or of the two classes that a single output decides between.
    pub labels: Option<Vec<String>>,
    /// Purpose of the scores.
    pub task: Option<Task>,
    /// Link function of a table of coefficients, which doesn't state it.
    pub link: Option<Link>,
    /// Largest allowed error of a score, as a share of its range.
    pub max_error: Option<f64>,
    /// Number of calibration rows to score encrypted.
    pub check_rows: Option<usize>,
    /// Where the structure of trees is.
    pub structure: Option<Structure>,
    /// Grid of trees whose structure is private.
    pub grid: Option<Grid>,
    /// Longest time that a row may take here, in seconds.
    pub max_seconds: Option<f64>,
}

/// A finished import.
pub struct Imported {
    /// Path of the model file.
    pub path: PathBuf,
    /// Measured agreement of the encrypted model with the plain one.
    pub agreement: Agreement,
    /// Calibration data, if any.
    pub calibration: Option<Calibration>,
    /// What else is known, by kind of model.
    pub kind: Kind,
}

/// Results that only one kind of model has.
pub enum Kind {
    /// A linear model.
    Linear(Box<LinearImport>),
    /// A network with hidden layers.
    Layers(Box<LayersImport>),
    /// An ensemble of trees whose structure stays on the server.
    Trees(Box<TreesImport>),
    /// A projection network.
    Network {
        /// Model as a server loads it.
        model: Box<Model>,
        /// Largest predicted error of a score of the measured rows, six standard deviations; 0 if
        /// only the label is sent.
        stated_error: f64,
        /// How close decisions are, if only the label is sent.
        label: Option<Label>,
    },
}

impl Imported {
    /// Returns the model as a server loads it.
    pub fn model(&self) -> &Model {
        match &self.kind {
            Kind::Linear(linear) => &linear.choice.model,
            Kind::Layers(layers) => &layers.model,
            Kind::Trees(trees) => &trees.model,
            Kind::Network { model, .. } => model,
        }
    }
}

/// Imports a model: reads and checks it, measures it on encrypted rows, and writes the model file.
///
/// # Errors
/// If the file or a table can't be used, an option doesn't fit the model, the model can't be
/// served, or it disagrees with the file or with the expected predictions. Nothing is written then.
pub fn import(request: &Request) -> Result<Imported, ImportError> {
    if Registry::is_bundled(&request.name) {
        return Err(ImportError::Options(format!(
            "--name {} is reserved for a bundled model",
            request.name
        )));
    }
    request.check_labels()?;
    let in_file = ImportError::in_file(&request.file);
    let bytes = files::read(&request.file, MOST_FILE).map_err(|error| in_file(error.into()))?;
    let is_safetensors = request
        .file
        .extension()
        .is_some_and(|found| found == "safetensors");
    if is_safetensors && Network::is_in(&bytes) {
        request.refuse_others_options()?;
        return network::import(request, &bytes).map_err(in_file);
    }
    if request.file.extension().is_some_and(|found| found == "onnx") {
        let folder = request.file.parent().unwrap_or(Path::new(""));
        let graph = Graph::decode(&bytes, folder).map_err(&in_file)?;
        if let Some(network) = graph.network().map_err(&in_file)? {
            return layers::import(request, &network, Some(&graph));
        }
        return match graph.ensemble().map_err(&in_file)? {
            Some(ensemble) => trees::import(request, ensemble, Some(&graph)),
            None => linear::import(request, bytes),
        };
    }
    match crate::trees::read(&bytes).filter(|_| !is_safetensors) {
        Some(ensemble) => trees::import(request, ensemble.map_err(in_file)?, None),
        None => linear::import(request, bytes),
    }
}

impl Request {
    /// Refuses options that linear models don't have.
    fn refuse_others_options(&self) -> Result<(), ImportError> {
        let options = [
            ("--structure", self.structure.is_some(), "trees"),
            ("--grid", self.grid.is_some(), "trees"),
            (
                "--max-seconds",
                self.max_seconds.is_some() && self.answer.is_scores(),
                "trees, networks with hidden layers and --answer label",
            ),
        ];
        options.into_iter().try_for_each(|(option, given, kinds)| {
            ensure(!given, || {
                format!("{option} is for {kinds}, and the file holds none")
            })
        })
    }

    /// Returns the title, or the name if none is given.
    fn title(&self) -> String {
        self.title.clone().unwrap_or_else(|| self.name.to_string())
    }

    /// Returns how many rows to score encrypted, of a model that is scored by blind rotations.
    fn rows_to_check(&self) -> Result<usize, ImportError> {
        let rows = self.check_rows.unwrap_or(defaults::ROTATED_CHECK_ROWS);
        ensure(rows > 0, || {
            "--check-rows is 0: what is scored by blind rotations is measured".into()
        })?;
        Ok(rows)
    }

    /// Returns the longest time that a row may take, of a model that is scored by blind rotations.
    fn longest(&self) -> Result<Duration, ImportError> {
        let limit = self.max_seconds.unwrap_or(defaults::MAX_SECONDS);
        ensure(limit > 0.0 && limit.is_finite(), || {
            format!("--max-seconds is {limit}, not a time above 0")
        })?;
        Ok(Duration::try_from_secs_f64(limit).unwrap_or(Duration::MAX))
    }

    fn check_labels(&self) -> Result<(), ImportError> {
        let mut seen = HashSet::new();
        match self
            .labels
            .iter()
            .flatten()
            .find(|name| !seen.insert(name.as_str()))
        {
            Some(name) => Err(ImportError::Options(format!(
                "--labels has the name {name:?} twice"
            ))),
            None => Ok(()),
        }
    }

    fn calibration(&self) -> Option<&Path> {
        self.calibrate.as_deref()
    }
}

/// Returns an error if an option doesn't hold what it must.
fn ensure(holds: bool, problem: impl FnOnce() -> String) -> Result<(), ImportError> {
    if holds {
        Ok(())
    } else {
        Err(ImportError::Options(problem()))
    }
}
