//! The calls of the HTTP API.

use crate::{
    args::ModelArgs,
    http::{Call, Http},
    screen::Screen,
    text::one_line,
    trouble::HttpError,
};
use anyhow::{Context, bail};
use blindscore_protocol::{
    descriptor::{DESCRIPTOR_BYTES, ModelDescriptor, Sizes},
    ids::KeyId,
    params::ParameterSet,
    problem::Recovery,
};
use serde::{Deserialize, de::DeserializeOwned};
use ureq::http::Method;

/// What a server tells of a key is shorter.
const RECEIPT_LIMIT: usize = 1 << 16;
/// Names of models that a message shows.
const SHOWN: usize = 20;

/// One server.
pub(crate) struct Api(Http);

/// A model as the server describes it, and what its numbers mean.
pub(crate) struct Model {
    /// What it is asked for by: the server's word for it may be another.
    name: String,
    pub(crate) descriptor: ModelDescriptor,
    pub(crate) set: ParameterSet,
}

/// What a server tells of a stored key.
#[derive(Deserialize)]
pub(crate) struct Receipt {
    /// When the server will delete it (RFC 3339).
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

    /// What the server tells about the model, checked; if one is pinned, it is that one.
    pub(crate) fn model(&self, args: &ModelArgs) -> anyhow::Result<Model> {
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
        let set = descriptor.parse().context("the model can't be used")?;
        if let Some(pin) = &args.model_id
            && let Some(refusal) = pin.refusal(&descriptor)
        {
            bail!("model_changed: {refusal}; nothing was sent to it");
        }
        Ok(Model {
            name: name.clone(),
            descriptor,
            set,
        })
    }

    /// What the server tells of a key, if it has it.
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

    /// Removes a key; gives whether it was there.
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

    /// Scores `count` queries for `key` that stand one after the other; gives their responses.
    pub(crate) fn score(
        &self,
        model: &Model,
        key: KeyId,
        queries: &[u8],
        count: usize,
    ) -> Result<Vec<Vec<u8>>, HttpError> {
        let Model {
            name,
            descriptor,
            set,
        } = model;
        let path = format!("/v1/models/{name}/score");
        let size = Sizes::of(set, descriptor.inputs.count, descriptor.outputs.len()).response;
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
