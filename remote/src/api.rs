//! Calls of the HTTP API.

use crate::{
    Cancel, Connection, HttpError, Progress, RemoteError,
    http::{Call, Http},
    text::one_line,
};
use blindscore_protocol::{
    descriptor::{CheckedDescriptor, DESCRIPTOR_BYTES, ModelDescriptor, ModelPin},
    ids::KeyId,
    name::ModelAddress,
    problem::Recovery,
};
use serde::{Deserialize, de::DeserializeOwned};
use std::sync::Arc;
use ureq::http::Method;

/// Maximum size of a receipt, in bytes.
const RECEIPT_LIMIT: usize = 1 << 16;
/// Maximum number of model names in a message.
const SHOWN: usize = 20;

/// API of one server.
pub struct Api(Http);

/// Model as the server describes it.
pub struct ServedModel {
    /// Name that the user asked for; the server may call the model something else.
    name: ModelAddress,
    /// Its description, which was checked.
    pub descriptor: CheckedDescriptor,
}

/// Receipt for a key that the server stores.
#[derive(Deserialize)]
pub struct Receipt {
    /// Time when the server will delete the key (RFC 3339).
    pub expires_at: Option<String>,
}

#[derive(Deserialize)]
struct ModelList {
    models: Vec<ModelName>,
}

#[derive(Deserialize)]
struct ModelName {
    name: String,
}

impl ServedModel {
    /// Returns the name that the user asked for.
    pub fn name(&self) -> &ModelAddress {
        &self.name
    }
}

impl Api {
    /// Prepares requests to a server; nothing is sent.
    ///
    /// # Errors
    /// If a setting can't be used.
    pub fn new(connection: Connection, progress: Arc<dyn Progress>) -> Result<Self, RemoteError> {
        Http::new(connection, progress).map(Self)
    }

    /// Returns the settings of the connection.
    pub fn connection(&self) -> &Connection {
        self.0.connection()
    }

    /// Returns where notes and progress are shown.
    pub fn progress(&self) -> &dyn Progress {
        self.0.progress()
    }

    /// Fetches a model's descriptor, and checks it and its pin if one is given.
    ///
    /// # Errors
    /// If the server has no such model, it can't be used, or it is another one than the pinned.
    pub fn model(&self, name: &ModelAddress, pin: Option<&ModelPin>) -> Result<ServedModel, RemoteError> {
        let descriptor: ModelDescriptor = match self.get(&format!("/v1/models/{name}"), DESCRIPTOR_BYTES) {
            Err(cause) if cause.recovery == Recovery::RefreshModel => {
                let Ok(ModelList { models }) = self.get("/v1/models", DESCRIPTOR_BYTES) else {
                    return Err(cause.into());
                };
                let names = models.iter().take(SHOWN).map(|model| one_line(&model.name));
                let mut known = names.collect::<Vec<_>>().join(", ");
                if models.len() > SHOWN {
                    known += &format!(" and {} more", models.len() - SHOWN);
                }
                return Err(RemoteError::NoModel { cause, known });
            }
            answer => answer?,
        };
        let descriptor = CheckedDescriptor::try_from(descriptor).map_err(RemoteError::Descriptor)?;
        if let Some(refusal) = pin.and_then(|pin| pin.refusal(&descriptor)) {
            return Err(RemoteError::Pinned(refusal));
        }
        Ok(ServedModel {
            name: name.clone(),
            descriptor,
        })
    }

    /// Fetches the receipt of a key, if the server has the key.
    pub fn key(&self, id: KeyId) -> Result<Option<Receipt>, HttpError> {
        match self.get(&key_path(id), RECEIPT_LIMIT) {
            Err(error) if error.recovery == Recovery::UploadKey => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// Uploads a public key.
    pub fn put_key(&self, id: KeyId, blob: &[u8]) -> Result<Receipt, HttpError> {
        self.json(Call {
            method: Method::PUT,
            path: &key_path(id),
            key: None,
            body: blob,
            limit: RECEIPT_LIMIT,
            cancel: &Cancel::default(),
        })
    }

    /// Removes a key and returns whether it was there.
    pub fn delete_key(&self, id: KeyId) -> Result<bool, HttpError> {
        let call = Call {
            method: Method::DELETE,
            path: &key_path(id),
            key: None,
            body: &[],
            limit: RECEIPT_LIMIT,
            cancel: &Cancel::default(),
        };
        match self.0.send(&call) {
            Err(error) if error.recovery == Recovery::UploadKey => Ok(false),
            answer => answer.map(|_| true),
        }
    }

    /// Scores `count` concatenated queries for `key` and returns their responses.
    pub fn score(
        &self,
        model: &ServedModel,
        key: KeyId,
        queries: &[u8],
        count: usize,
        cancel: &Cancel,
    ) -> Result<Vec<Vec<u8>>, HttpError> {
        let path = format!("/v1/models/{}/score", model.name);
        let size = model.descriptor.blob_sizes().response;
        let body = self.0.send(&Call {
            method: Method::POST,
            path: &path,
            key: Some(key),
            body: queries,
            limit: count * size,
            cancel,
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
            cancel: &Cancel::default(),
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
