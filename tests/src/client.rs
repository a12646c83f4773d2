//! Clients of any model, and checks of their scores.

use crate::{Api, digit};
use blindscore_client::{ClientError, ClientKey, Scores};
use blindscore_protocol::{
    descriptor::ModelDescriptor,
    ids::KeyId,
    wire::{QueryId, Response},
};
use blindscore_server::model::Registry;

/// Returns the id of the query that a response answers.
///
/// # Errors
/// Fails if it isn't a response of this model.
pub fn answered(model: &ModelDescriptor, response: &[u8]) -> Result<QueryId, ClientError> {
    let format = model.parse()?.response_format();
    Ok(Response::from_blob(response, format, model.outputs.len())?.query)
}

/// User with a key for one model.
pub struct ModelUser {
    /// Secret key.
    pub key: ClientKey,
    /// Descriptor from the server.
    pub model: ModelDescriptor,
}

impl ModelUser {
    /// Generates a key for a model of the server. Also returns the public key's blob, which is long
    /// for a network.
    pub fn new(model: &ModelDescriptor) -> (Self, Vec<u8>) {
        let (key, public) =
            ClientKey::generate(model.parse().expect("a usable descriptor")).expect("randomness");
        let user = Self {
            key,
            model: model.clone(),
        };
        (user, public.to_blob().0)
    }

    /// Fetches the descriptor of a model.
    pub fn descriptor(api: &Api, model: &str) -> ModelDescriptor {
        api.get(&format!("/v1/models/{model}")).expect_status(200).json()
    }

    /// Returns the id of the public key.
    pub fn id(&self) -> KeyId {
        self.key.key_id()
    }

    /// Encrypts the picture `shape`, see [`digit`].
    pub fn query(&self, shape: usize) -> Vec<u8> {
        self.key
            .encrypt(&self.model, &digit(shape))
            .expect("a valid picture")
    }

    /// Decrypts a response, or returns `None` if that fails.
    pub fn decrypt(&self, response: &[u8]) -> Option<Scores> {
        let query = answered(&self.model, response).ok()?;
        self.key.decrypt(&self.model, query, response).ok()
    }
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
    pub fn accepts(&self, user: &ModelUser, shape: usize, response: &[u8]) -> bool {
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
