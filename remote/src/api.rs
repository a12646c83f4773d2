//! Calls of the HTTP API.

use crate::{
    Cancel, Connection, HttpError, Progress, RemoteError, Stage,
    cache::Cache,
    http::{Answer, Call, Http},
    text::one_line,
};
use blindscore_protocol::{
    descriptor::{CheckedDescriptor, DESCRIPTOR_BYTES, ModelDescriptor, ModelPin},
    ids::{KeyId, ModelId},
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
pub struct Api {
    http: Http,
}

/// Model as the server describes it.
pub struct ServedModel {
    /// Name that the user asked for; the server may call the model something else.
    name: ModelAddress,
    /// The only model that the user accepts.
    pin: Option<ModelPin>,
    /// Its description, which was checked.
    pub descriptor: CheckedDescriptor,
}

/// Receipt for a key that the server stores.
#[derive(Deserialize)]
pub struct Receipt {
    /// Time when the server will delete the key (RFC 3339).
    pub expires_at: Option<String>,
}

/// A model that an operator has published.
#[derive(Deserialize)]
pub struct PublishedModel {
    /// Version under which the server serves it.
    pub version: u32,
    /// Id, the first half of the one that clients pin.
    pub id: ModelId,
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
    /// Fetches the server's current model of the same name. If a model was pinned, it must be that.
    pub(crate) fn current(&self, api: &Api) -> Result<Self, RemoteError> {
        api.model(&self.name, self.pin.as_ref())
    }

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
        let http = Http::new(connection, progress)?;
        Ok(Self { http })
    }

    /// Returns the settings of the connection.
    pub fn connection(&self) -> &Connection {
        self.http.connection()
    }

    /// Returns where notes and progress are shown.
    pub fn progress(&self) -> &dyn Progress {
        self.http.progress()
    }

    /// Fetches a model's descriptor, and checks it and its pin if one is given.
    ///
    /// # Errors
    /// If the server has no such model, it can't be used, or it is another one than the pinned.
    pub fn model(&self, name: &ModelAddress, pin: Option<&ModelPin>) -> Result<ServedModel, RemoteError> {
        let descriptor: ModelDescriptor = match self.descriptor(name) {
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
            pin: pin.cloned(),
            descriptor,
        })
    }

    /// Fetches a model's descriptor, unless the server still has the one that was fetched before.
    fn descriptor(&self, name: &ModelAddress) -> Result<ModelDescriptor, HttpError> {
        let path = model_path(name);
        let parsed = |json: &[u8]| {
            serde_json::from_slice::<ModelDescriptor>(json).map_err(|error| HttpError::nonsense(&path, error))
        };
        let cache = Cache::of(&self.connection().url, name);
        let kept = cache.as_ref().and_then(Cache::read);
        // What can't be used is fetched again, whatever the server says of it.
        let kept = kept.and_then(|kept| {
            let descriptor = parsed(&kept.json).ok()?;
            let usable = CheckedDescriptor::try_from(descriptor.clone()).is_ok();
            usable.then_some((kept.tag, descriptor))
        });
        let call = Call {
            method: Method::GET,
            path: &path,
            key: None,
            body: &[],
            limit: DESCRIPTOR_BYTES,
            cancel: &Cancel::default(),
            known: kept.as_ref().map(|(tag, _)| tag.as_str()),
        };
        let (json, tag) = match (self.http.answer(&call)?, kept) {
            (Answer::NotModified, Some((_, descriptor))) => return Ok(descriptor),
            (Answer::NotModified, None) => return Err(HttpError::nonsense(&path, "no answer is known yet")),
            (Answer::Body(json, tag), _) => (json, tag),
        };
        let descriptor = parsed(&json)?;
        if let (Some(cache), Some(tag)) = (cache, tag) {
            cache.write(&tag, &json);
        }
        Ok(descriptor)
    }

    /// Removes what is kept of a model's descriptor on this machine.
    pub fn forget_model(&self, name: &ModelAddress) {
        if let Some(cache) = Cache::of(&self.connection().url, name) {
            cache.remove();
        }
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
        self.put(&key_path(id), blob)
    }

    /// Removes a key and returns whether it was there.
    pub fn delete_key(&self, id: KeyId) -> Result<bool, HttpError> {
        match self.delete(&key_path(id)) {
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
        let body = self.http.send(&Call {
            method: Method::POST,
            path: &path,
            key: Some(key),
            body: queries,
            limit: count * size,
            cancel,
            known: None,
        })?;
        if body.len() != count * size {
            let problem = format!("{} bytes are not {count} responses of {size}", body.len());
            return Err(HttpError::nonsense(&path, problem));
        }
        Ok(body.chunks_exact(size).map(<[u8]>::to_vec).collect())
    }

    /// Publishes a model file, as an operator: as the version in the address, or as the next one.
    /// Publishing the same file again changes nothing.
    ///
    /// # Errors
    /// If the server refuses the model or the token, or can't be reached.
    pub fn publish(&self, address: &ModelAddress, file: &[u8]) -> Result<PublishedModel, HttpError> {
        let _uploading = self.progress().begin(Stage::UploadingModel);
        let path = model_path(address);
        let published: PublishedModel = self.put(&path, file)?;
        if address
            .version
            .is_some_and(|version| version != published.version)
        {
            let problem = format!("it names version {}", published.version);
            return Err(HttpError::nonsense(&path, problem));
        }
        Ok(published)
    }

    /// Removes a version of a model, or all of them, as an operator. Returns whether there was one.
    ///
    /// # Errors
    /// If the server refuses the token, or can't be reached.
    pub fn unpublish(&self, address: &ModelAddress) -> Result<bool, HttpError> {
        let path = model_path(address);
        match self.delete(&path) {
            // If an earlier try had no answer, it may be the one that removed the model.
            Err(error) if error.recovery == Recovery::RefreshModel => Ok(error.may_be_done),
            Err(error) => Err(error),
            Ok(body) if body.is_empty() => Ok(true),
            Ok(_) => Err(HttpError::nonsense(&path, "it should be empty")),
        }
    }

    fn put<T: DeserializeOwned>(&self, path: &str, body: &[u8]) -> Result<T, HttpError> {
        self.json(Call {
            method: Method::PUT,
            path,
            key: None,
            body,
            limit: RECEIPT_LIMIT,
            cancel: &Cancel::default(),
            known: None,
        })
    }

    fn delete(&self, path: &str) -> Result<Vec<u8>, HttpError> {
        self.http.send(&Call {
            method: Method::DELETE,
            path,
            key: None,
            body: &[],
            limit: RECEIPT_LIMIT,
            cancel: &Cancel::default(),
            known: None,
        })
    }

    fn get<T: DeserializeOwned>(&self, path: &str, limit: usize) -> Result<T, HttpError> {
        self.json(Call {
            method: Method::GET,
            path,
            key: None,
            body: &[],
            limit,
            cancel: &Cancel::default(),
            known: None,
        })
    }

    fn json<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, HttpError> {
        let body = self.http.send(&call)?;
        serde_json::from_slice(&body).map_err(|error| HttpError::nonsense(call.path, error))
    }
}

fn model_path(address: &ModelAddress) -> String {
    format!("/v1/models/{address}")
}

fn key_path(id: KeyId) -> String {
    format!("/v1/keys/{id}")
}
