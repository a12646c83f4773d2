//! An ensemble of trees as it will be served.

use super::{
    Request,
    label::check_label,
    layers::{LEAST_VALUE, UNDECIDED_LABELS},
};
use crate::{
    BOUND, Calibration, ImportError, Settled,
    layers::{
        choose::{FIT_ROWS, undecided_pairs},
        forest::{ASIDE, ForestLabel},
    },
};
use blindscore_engine::{
    forest::{Cover, Forest},
    model::{ForestModel, LAYERS, LayersModel, Model, ModelError, Plain, Salt},
};
use blindscore_protocol::{
    descriptor::{Answer, Inputs, Link, ModelDescriptor},
    encoding::Encoding,
};

/// A model as it will be served, and what clients would get if scores were sent.
pub(super) struct Served {
    /// The model file.
    pub(super) content: Vec<u8>,
    /// The model, read back from it.
    pub(super) model: Model,
    /// Descriptor of the scores.
    pub(super) reference: ModelDescriptor,
    /// Errors of the differences of scores, six standard deviations, if only the label is sent.
    pub(super) errors: Vec<f64>,
    /// The trees over bits and their units, if only the label is sent.
    trees: Option<(Forest, Cover)>,
}

impl Served {
    /// Makes a model whose scores are sent.
    pub(super) fn scores(
        request: &Request,
        encoding: Encoding,
        forest: Forest,
        settled: &Settled,
    ) -> Result<Self, ImportError> {
        let file = ForestModel {
            salt: Salt::fresh()?,
            name: request.name.clone(),
            title: request.title(),
            encoding,
            labels: settled.labels.clone(),
            task: settled.task,
            classes: settled.fitted.classes.clone(),
            link: settled.fitted.link,
            forest,
        };
        Self::of(file.to_safetensors()?)
    }

    /// Makes a model of which only the label is sent.
    pub(super) fn label(
        request: &Request,
        encoding: Encoding,
        forest: Forest,
        settled: &Settled,
        data: Option<&Calibration>,
    ) -> Result<Self, ImportError> {
        check_label(settled)?;
        let data = data.ok_or_else(|| {
            ImportError::Options(
                "--answer label compares scores, as precisely as rows need it: give some with --calibrate, best those that it was trained with"
                    .into(),
            )
        })?;
        let cover = Cover::of(&LAYERS, &forest).map_err(ModelError::from)?;
        let bits = forest.bits();
        let scores: Vec<Vec<f64>> = data
            .sample(FIT_ROWS)
            .map(|row| forest.scores(&whole(&data.rows()[row])))
            .collect();
        // Nothing but decisions depends on the scores.
        let wanted = undecided_pairs(&scores, UNDECIDED_LABELS, LEAST_VALUE / BOUND);
        let ForestLabel {
            network,
            scales,
            errors,
        } = ForestLabel::of(&cover, bits, &wanted);
        let file = LayersModel {
            salt: Salt::fresh()?,
            name: request.name.clone(),
            title: request.title(),
            inputs: Inputs {
                encoding: Some(encoding),
                ..Inputs::uniform(bits, 0.0, 1.0, 2)
            },
            labels: settled.labels.clone(),
            task: settled.task,
            classes: settled.fitted.classes.clone(),
            // Bits have no probabilities.
            link: Link::Identity,
            accuracy: None,
            bases: vec![0.0; scales.len()],
            scales,
            network,
            fine_features: None,
            fine: None,
            answer: Answer::Label,
            score_error: 0.0,
        };
        let mut served = Self::of(file.to_safetensors()?)?;
        (served.reference.answer, served.reference.link) = (Answer::Scores, settled.fitted.link);
        Ok(Self {
            trees: Some((forest, cover)),
            errors: errors.into_iter().map(|error| BOUND * error).collect(),
            ..served
        })
    }

    /// Reads a model file back: it is what will be served.
    fn of(content: Vec<u8>) -> Result<Self, ImportError> {
        let model = Model::from_safetensors(&content)?;
        Ok(Self {
            reference: model.descriptor().clone().into(),
            content,
            model,
            trees: None,
            errors: Vec::new(),
        })
    }

    /// Returns the scores of a row of bits, in the clear.
    pub(super) fn plain_scores(&self, row: &[f64]) -> Vec<f64> {
        match &self.trees {
            Some((forest, _)) => forest.scores(&whole(row)),
            None => self.model.plain_scores(row),
        }
    }

    /// Returns the smallest distance of a decision from its noise, in standard deviations, and a
    /// bound on the chance of a wrong leaf in a row.
    pub(super) fn decisions(&self) -> (f64, f64) {
        match (self.model.plain(), &self.trees) {
            (Plain::Forest { margin, wrong, .. }, _) => (*margin, *wrong),
            (_, Some((_, cover))) => (
                cover.least_margin(&LAYERS, ASIDE),
                cover.chance_of_a_wrong_leaf(&LAYERS, ASIDE),
            ),
            _ => (0.0, 1.0),
        }
    }
}

/// Returns bits as whole numbers.
fn whole(row: &[f64]) -> Vec<i64> {
    row.iter().map(|bit| *bit as i64).collect()
}
