//! Calls of the HTTP API.

use crate::{
    args::ModelArgs,
    http::{Call, Http},
    screen::Screen,
    text::one_line,
    trouble::HttpError,
};
use anyhow::{Context, bail};
use blindscore_protocol::{
    descriptor::{self, DESCRIPTOR_BYTES, ModelDescriptor},
    ids::KeyId,
    name::ModelAddress,
    problem::Recovery,
};
use serde::{Deserialize, de::DeserializeOwned};
use ureq::http::Method;

/// Maximum size of a receipt, in bytes.
const RECEIPT_LIMIT: usize = 1 << 16;
/// Maximum number of model names in a message.
const SHOWN: usize = 20;

/// API of one server.
pub(crate) struct Api(Http);

/// Model as the server describes it.
pub(crate) struct ServedModel {
    /// Name that the user asked for; the server may call the model something else.
    name: ModelAddress,
    pub(crate) descriptor: descriptor::CheckedDescriptor,
}

/// Receipt for a key that the server stores.
#[derive(Deserialize)]
pub(crate) struct Receipt {
    /// Time when the server will delete the key (RFC 3339).
    pub(crate) expires_at: Option<String>,
}

#[derive(Deserialize)]
struct ModelList {
    models: Vec<ModelName>,
}

#[derive(Deserialize)]
struct ModelName {
    name: String,
}

impl Api {
    pub(crate) fn new(args: &ModelArgs, screen: Screen) -> anyhow::Result<Self> {
        Http::new(args, screen).map(Self)
    }

    /// Fetches the model and checks its descriptor, and its pin if one is given.
    pub(crate) fn model(&self, args: &ModelArgs) -> anyhow::Result<ServedModel> {
        let name = &args.model;
        let descriptor: ModelDescriptor = match self.get(&format!("/v1/models/{name}"), DESCRIPTOR_BYTES) {
            Err(error) if error.recovery == Recovery::RefreshModel => {
                let Ok(ModelList { models }) = self.get("/v1/models", DESCRIPTOR_BYTES) else {
                    bail!("{error}");
                };
                let names = models.iter().take(SHOWN).map(|model| one_line(&model.name));
                let names = names.collect::<Vec<_>>().join(", ");
                match models.len() {
                    count if count > SHOWN => {
                        bail!("{error}; the server has {names} and {} more", count - SHOWN)
                    }
                    _ => bail!("{error}; the server has {names}"),
                }
            }
            answer => answer?,
        };
        let descriptor =
            descriptor::CheckedDescriptor::try_from(descriptor).context("the model can't be used")?;
        if let Some(pin) = &args.model_id
            && let Some(refusal) = pin.refusal(&descriptor)
        {
            bail!("model_changed: {refusal}; nothing was sent to it");
        }
        Ok(ServedModel {
            name: name.clone(),
            descriptor,
        })
    }

    /// Fetches the receipt of a key, if the server has the key.
    pub(crate) fn key(&self, id: KeyId) -> Result<Option<Receipt>, HttpError> {
        match self.get(&key_path(id), RECEIPT_LIMIT) {
            Err(error) if error.recovery == Recovery::UploadKey => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// Uploads a public key.
    pub(crate) fn put_key(&self, id: KeyId, blob: &[u8]) -> Result<Receipt, HttpError> {
        self.json(Call {
            method: Method::PUT,
            path: &key_path(id),
            key: None,
            body: blob,
            limit: RECEIPT_LIMIT,
        })
    }

    /// Removes a key and returns whether it was there.
    pub(crate) fn delete_key(&self, id: KeyId) -> Result<bool, HttpError> {
        let call = Call {
            method: Method::DELETE,
            path: &key_path(id),
            key: None,
            body: &[],
            limit: RECEIPT_LIMIT,
        };
        match self.0.send(&call) {
            Err(error) if error.recovery == Recovery::UploadKey => Ok(false),
            answer => answer.map(|_| true),
        }
    }

    /// Scores `count` concatenated queries for `key` and returns their responses.
    pub(crate) fn score(
        &self,
        model: &ServedModel,
        key: KeyId,
        queries: &[u8],
        count: usize,
    ) -> Result<Vec<Vec<u8>>, HttpError> {
        let path = format!("/v1/models/{}/score", model.name);
        let size = model.descriptor.blob_sizes().response;
        let body = self.0.send(&Call {
            method: Method::POST,
            path: &path,
            key: Some(key),
            body: queries,
            limit: count * size,
        })?;
        if body.len() != count * size {
            let problem = format!("{} bytes are not {count} responses of {size}", body.len());
            return Err(HttpError::nonsense(&path, problem));
        }
        Ok(body.chunks_exact(size).map(<[u8]>::to_vec).collect())
    }

    fn get<T: DeserializeOwned>(&self, path: &str, limit: usize) -> Result<T, HttpError> {
        self.json(Call {
            method: Method::GET,
            path,
            key: None,
            body: &[],
            limit,
        })
    }

    fn json<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, HttpError> {
        let body = self.0.send(&call)?;
        serde_json::from_slice(&body).map_err(|error| HttpError::nonsense(call.path, error))
    }
}

fn key_path(id: KeyId) -> String {
    format!("/v1/keys/{id}")
}
