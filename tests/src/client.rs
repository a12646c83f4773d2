use crate::{Api, digit};
use blindscore_client::{ClientKey, Scores};
use blindscore_protocol::{
    descriptor::ModelDescriptor, ids::KeyId, noise::NetworkNoise, params::ParameterSet,
};
use blindscore_server::model::{Model, Plain, Registry};

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
        self.key.decrypt(&self.model, response).ok()
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
            let deviations = match model.plain() {
                Plain::Network { .. } => deviations(model, &features),
                Plain::Linear { .. } => vec![model.descriptor().score_error; scores.len()],
            };
            let errors = deviations.into_iter().map(|deviation| 7.0 * deviation);
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

/// The deviation of each score of a network: each projection is moved by one deviation of its predicted noise, to either side, to see what its ramps make
/// of it.
pub fn deviations(model: &Model, features: &[f64]) -> Vec<f64> {
    let (Plain::Network { network, logit_scale }, ParameterSet::Network(params)) =
        (model.plain(), model.set())
    else {
        panic!("not a network");
    };
    let levels = model.descriptor().inputs.levels_of(features);
    let levels: Vec<i64> = levels.into_iter().map(i64::from).collect();
    let mut variances = vec![model.descriptor().score_error.powi(2); network.biases.len()];
    for (h, projection) in network.projections.iter().enumerate() {
        let squared_norm = projection.weights.iter().map(|w| (w * w) as f64).sum();
        // The torus is four wide, and `range` to one.
        let step =
            (NetworkNoise::projection(&params, squared_norm).sqrt() * 4.0 * network.range).ceil() as i64;
        let moved = |by: i64| {
            let mut moved = network.clone();
            moved.projections[h].bias += by;
            moved.logits(&levels)
        };
        for ((variance, up), down) in variances.iter_mut().zip(moved(step)).zip(moved(-step)) {
            *variance += ((up - down) / 2.0 * logit_scale).powi(2);
        }
    }
    variances.iter().map(|variance| variance.sqrt()).collect()
}
