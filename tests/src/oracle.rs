//! Checks of scores against models in the clear.

use crate::{User, digit};
use blindscore_client::ClientError;
use blindscore_engine::model::Registry;
use blindscore_protocol::{
    descriptor::CheckedDescriptor,
    wire::{QueryId, Response},
};

/// Returns the id of the query that a response answers.
///
/// # Errors
/// Fails if it isn't a response of this model.
pub fn answered(model: &CheckedDescriptor, response: &[u8]) -> Result<QueryId, ClientError> {
    let format = model.parameters().response_format();
    Ok(Response::from_blob(response, format, model.outputs.len())?.query)
}

/// Checks decrypted scores against a model in the clear.
pub struct Oracle {
    /// Score and accepted error for each output of each picture; the error is seven standard
    /// deviations.
    pictures: Vec<Vec<(f64, f64)>>,
}

impl Oracle {
    /// Computes the scores of a bundled model for the first `shapes` pictures.
    pub fn new(model: &str, shapes: usize) -> Self {
        let registry = Registry::load(None).expect("the bundled models");
        let model = registry.find(model).expect("a bundled model");
        let picture = |shape| {
            let features = digit(shape);
            let scores = model.plain_scores(&features);
            let errors = model
                .deviations(&features)
                .into_iter()
                .map(|deviation| 7.0 * deviation);
            scores.into_iter().zip(errors).collect()
        };
        Self {
            pictures: (0..shapes).map(picture).collect(),
        }
    }

    /// Checks whether a response holds the scores of a picture.
    pub fn accepts(&self, user: &User, shape: usize, response: &[u8]) -> bool {
        let Some(scores) = user.decrypt(response) else {
            return false;
        };
        let expected = &self.pictures[shape];
        scores.scores.len() == expected.len()
            && scores
                .scores
                .iter()
                .zip(expected)
                .all(|(score, (plain, error))| (score - plain).abs() <= *error)
    }
}
