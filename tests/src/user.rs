//! User of a model, and test pictures.

use crate::{Api, answered};
use blindscore_client::{ClientKey, Scores};
use blindscore_engine::model::Registry;
use blindscore_protocol::{descriptor::CheckedDescriptor, ids::KeyId};
use std::mem;

/// User of one model: secret key, public key blob and descriptor.
pub struct User {
    /// Secret key.
    pub key: ClientKey,
    /// Blob of the public key, for upload.
    pub public_key: Vec<u8>,
    /// Descriptor from the server.
    pub model: CheckedDescriptor,
}

impl User {
    /// Generates keys for a model, without uploading any.
    pub fn of(model: &CheckedDescriptor) -> Self {
        let params = model.parameters();
        let (key, public) = ClientKey::generate(params).expect("randomness");
        Self {
            key,
            public_key: public.to_blob().0,
            model: model.clone(),
        }
    }

    /// Fetches the descriptor of the default model and generates keys.
    pub fn new(api: &Api) -> Self {
        Self::of(&api.model("mnist-linear"))
    }

    /// Like [`Self::new`], and uploads the public key.
    pub fn enrolled(api: &Api) -> Self {
        let user = Self::new(api);
        api.put_key(user.id(), &user.public_key).expect_status(201);
        user
    }

    /// Takes the public key's blob, of which a network's is long, out of the user.
    pub fn take_public_key(&mut self) -> Vec<u8> {
        mem::take(&mut self.public_key)
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

    /// Decrypts a response and checks it against the model in the clear.
    #[track_caller]
    pub fn check(&self, shape: usize, response: &[u8]) -> Scores {
        let query = answered(&self.model, response).expect("a response of this model");
        let scores = self
            .key
            .decrypt(&self.model, query, response)
            .expect("a response for this key");
        let expected = plain_scores(shape);
        for (class, (score, expected)) in scores.scores.iter().zip(&expected).enumerate() {
            let error = (score - expected).abs();
            // Six standard deviations, with some margin.
            assert!(
                error <= 7.0 * self.model.score_error,
                "class {class} of shape {shape}: {score}, in the clear {expected}"
            );
        }
        let best = (0..expected.len()).max_by(|a, b| expected[*a].total_cmp(&expected[*b]));
        assert_eq!(scores.index(), best, "shape {shape}");
        let label = best.map(|best| self.model.outputs[best].label.as_str());
        assert_eq!(scores.label(), label);
        scores
    }

    /// Scores a picture over HTTP and checks the result.
    #[track_caller]
    pub fn assert_scores(&self, api: &Api, shape: usize) {
        let reply = api.score(self.id(), &self.query(shape)).expect_status(200);
        self.check(shape, &reply.body);
    }
}

/// Draws a picture of 28x28 pixels without a random generator: shape 0 is a bar like a one, the
/// others have more strokes.
pub fn digit(shape: usize) -> Vec<f64> {
    let pixel = |index: usize| {
        let (row, column) = (index / 28, index % 28);
        let upright = (4..24).contains(&row) && (13..16).contains(&column);
        let level = (6 + 4 * (shape % 4)..).take(3).any(|r| r == row) && (6..22).contains(&column);
        let corner = shape > 3 && (row + column) % (3 + shape) == 0 && (4..24).contains(&row);
        if upright || (shape > 0 && level) {
            1.0
        } else if corner {
            100.0 / 255.0
        } else {
            0.0
        }
    };
    (0..784).map(pixel).collect()
}

fn plain_scores(shape: usize) -> Vec<f64> {
    let registry = Registry::load(None).expect("the bundled model");
    registry.default_model().plain_scores(&digit(shape))
}
