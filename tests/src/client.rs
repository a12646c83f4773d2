use crate::{Api, digit};
use blindscore_client::{ClientError, ClientKey, Scores};
use blindscore_protocol::{
    descriptor::ModelDescriptor,
    ids::KeyId,
    wire::{QueryId, Response},
};
use blindscore_server::model::Registry;

/// The query that a response of a model says it answers.
///
/// # Errors
/// If it is no response of this model.
pub fn answered(model: &ModelDescriptor, response: &[u8]) -> Result<QueryId, ClientError> {
    let format = model.parse()?.response_format();
    Ok(Response::from_blob(response, format, model.outputs.len())?.query)
}

/// Someone with a key for one model, and what the model gives in the clear.
pub struct ModelUser {
    /// The secret key.
    pub key: ClientKey,
    /// What the server says of the model.
    pub model: ModelDescriptor,
}

impl ModelUser {
    /// Makes a key for a model that the server has; gives the public blob as well, which is long for a network.
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

    /// Id of the public key.
    pub fn id(&self) -> KeyId {
        self.key.key_id()
    }

    /// A query for a picture of `shape`, see [`digit`].
    pub fn query(&self, shape: usize) -> Vec<u8> {
        self.key
            .encrypt(&self.model, &digit(shape))
            .expect("a valid picture")
    }

    /// Decrypts a response.
    pub fn decrypt(&self, response: &[u8]) -> Option<Scores> {
        let query = answered(&self.model, response).ok()?;
        self.key.decrypt(&self.model, query, response).ok()
    }
}

/// Checks scores against a model in the clear.
pub struct Oracle {
    /// For each picture the scores, and the largest errors that are accepted: seven standard deviations.
    pictures: Vec<Vec<(f64, f64)>>,
}

impl Oracle {
    /// For a bundled model and the first `shapes` pictures.
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

    /// Whether a response holds the scores of a picture.
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
