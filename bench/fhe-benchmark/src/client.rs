//! The client's stages: keys, images, queries, scores, digits.

use crate::{
    error::Error,
    files::{self, Instance},
    images,
    model::{Described, Straighten},
};
use blindscore_client::{ClientKey, Scores};
use blindscore_protocol::wire::{QueryId, SecretKeyBits};
use rayon::prelude::*;
use std::path::Path;
use zeroize::Zeroizing;

/// What a digit's line says if a model's answer is none of them.
const UNDECIDED: &str = "none";

/// Client of a model, at an instance.
pub(crate) struct Client {
    /// What the client knows of the model.
    pub(crate) model: Described,
    /// Places of the files.
    pub(crate) instance: Instance,
}

impl Client {
    /// Makes a secret key and its evaluation key.
    pub(crate) fn generate_keys(&self) -> Result<(), Error> {
        let mut key = ClientKey::generate_secret(self.model.descriptor.parameters())?;
        let generation = key.start_evaluation_key()?;
        let (_, blob) = key.finish_evaluation_key(generation);
        files::write(&self.instance.evaluation_key(), &blob)?;
        files::write_secret(&self.instance.secret_key(), &key.to_bytes())
    }

    /// Checks the images, and straightens them if asked to.
    pub(crate) fn prepare_images(&self, straighten: Option<Straighten>) -> Result<(), Error> {
        let stage = "the harness, as its input generation,";
        let images = images::read(&self.instance.pixels(), stage, self.instance.size)?;
        let straight = |image: &Vec<f64>| images::straightened(image);
        let prepared = match straighten.unwrap_or(self.model.trained_on) {
            Straighten::Yes => images.par_iter().map(straight).collect(),
            Straighten::No => images,
        };
        let text = images::to_text(&prepared);
        files::write(&self.instance.prepared_pixels(), text.as_bytes())
    }

    /// Encrypts every image into a query.
    pub(crate) fn encrypt(&self) -> Result<(), Error> {
        let key = self.secret_key()?;
        let path = self.instance.prepared_pixels();
        let images = images::read(&path, "client_preprocess_input", self.instance.size)?;
        let encrypted = images
            .par_iter()
            .map(|image| key.encrypt(&self.model.descriptor, image));
        let queries = encrypted
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| Error::Client { path, source })?;
        self.instance.queries().write(&queries)
    }

    /// Decrypts every response into scores.
    pub(crate) fn decrypt(&self) -> Result<(), Error> {
        let key = self.secret_key()?;
        let queries = self.instance.queries().files(self.instance.size)?;
        let responses = self.instance.responses();
        let files = responses.files(self.instance.size)?;
        if files.len() != queries.len() {
            return Err(Error::Count {
                path: responses.folder().to_owned(),
                what: "responses",
                found: files.len(),
                allowed: format!("there are {} queries", queries.len()),
            });
        }
        let pairs = queries.par_iter().zip(&files);
        let scores = pairs
            .map(|(query, response)| self.opened(&key, query, response))
            .collect::<Result<Vec<_>, _>>()?;
        files::write(&self.instance.scores(), images::to_text(&scores).as_bytes())
    }

    /// Decrypts one response.
    fn opened(&self, key: &ClientKey, query: &Path, response: &Path) -> Result<Vec<f64>, Error> {
        let descriptor = &self.model.descriptor;
        let sizes = descriptor.blob_sizes();
        let of = |what: &str| format!("{what} of {}", descriptor.name);
        let stage = self.instance.queries().stage;
        let sent = files::read_blob(query, stage, &of("a query"), sizes.query)?;
        let id = QueryId::of(&sent).map_err(|source| Error::Blob {
            path: query.to_owned(),
            source,
        })?;
        let stage = self.instance.responses().stage;
        let blob = files::read_blob(response, stage, &of("a response"), sizes.response)?;
        let decrypted = key.decrypt(descriptor, id, &blob);
        let scores = decrypted.map_err(|source| Error::Client {
            path: response.to_owned(),
            source,
        })?;
        Ok(scores.scores)
    }

    /// Writes the digit that each image's scores decide for.
    pub(crate) fn decide(&self) -> Result<(), Error> {
        let descriptor = &self.model.descriptor;
        let outputs = descriptor.outputs.len();
        let rows = images::rows(&self.instance.scores(), "client_decrypt_decode", outputs)?;
        let digit = |scores: Vec<f64>| match Scores::new(descriptor, scores).decision {
            Some(decision) => decision.label + "\n",
            None => format!("{UNDECIDED}\n"),
        };
        let digits: String = rows.into_iter().map(digit).collect();
        files::write(&self.instance.predictions(), digits.as_bytes())
    }

    fn secret_key(&self) -> Result<ClientKey, Error> {
        let path = self.instance.secret_key();
        let descriptor = &self.model.descriptor;
        let length = SecretKeyBits::blob_len(&descriptor.parameters());
        let what = format!("a secret key for {}", descriptor.name);
        let blob = Zeroizing::new(files::read_blob(&path, "client_key_generation", &what, length)?);
        ClientKey::from_bytes(&blob).map_err(|source| Error::Client { path, source })
    }
}
