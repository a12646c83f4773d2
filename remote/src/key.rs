//! A user's key: the secret half in a file or in memory, the public half on the server.

use crate::{Api, KeyPlace, Progress, Receipt, RemoteError, ServedModel, Stage, keyfile};
use blindscore_client::{ClientError, ClientKey};
use blindscore_protocol::ids::KeyId;
use std::path::{Path, PathBuf};

/// Secret key, and the path of its file if it has one.
pub struct Key {
    secret: ClientKey,
    path: Option<PathBuf>,
}

impl Key {
    /// Generates a secret key that is kept only in memory.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn in_memory(model: &ServedModel) -> Result<Self, RemoteError> {
        Ok(Self {
            secret: ClientKey::generate_secret(model.descriptor.parameters())?,
            path: None,
        })
    }

    /// Keeps a given secret key in memory.
    ///
    /// # Errors
    /// If it is for another parameter set than the model's.
    pub fn given(secret: ClientKey, model: &ServedModel) -> Result<Self, RemoteError> {
        let set = model.descriptor.parameters();
        if secret.parameters().id() != set.id() {
            return Err(RemoteError::Client(ClientError::ParameterSet {
                model: set.name(),
                key: secret.parameters().name(),
            }));
        }
        Ok(Self { secret, path: None })
    }

    /// Generates a secret key in a new file, and returns its path and whether it was made: an
    /// existing file is not replaced, unless it has a key of an earlier version.
    ///
    /// # Errors
    /// If there is no place for it.
    pub fn create(api: &Api, place: &KeyPlace, model: &ServedModel) -> Result<(PathBuf, bool), RemoteError> {
        let set = model.descriptor.parameters();
        let path = place.path(api.connection(), &set)?;
        remove_outdated(&path, api.progress())?;
        let made = keyfile::create(&path, &ClientKey::generate_secret(set)?)?;
        Ok((path, made))
    }

    /// Opens the key for a model. If there is none, the error is the path where it was expected.
    ///
    /// # Errors
    /// If the file can't be read, is not a key, or is one for another parameter set.
    pub fn open(
        api: &Api,
        place: &KeyPlace,
        model: &ServedModel,
    ) -> Result<Result<Self, PathBuf>, RemoteError> {
        let set = model.descriptor.parameters();
        let path = place.path(api.connection(), &set)?;
        remove_outdated(&path, api.progress())?;
        let Some(secret) = keyfile::read(&path)? else {
            return Ok(Err(path));
        };
        if secret.parameters().id() != set.id() {
            return Err(RemoteError::OtherSet {
                path,
                key: secret.parameters().name(),
                model: set.name(),
            });
        }
        Ok(Ok(Self {
            secret,
            path: Some(path),
        }))
    }

    /// Opens the key for a model, or makes it.
    ///
    /// # Errors
    /// As [`Key::open`] and [`Key::create`].
    pub fn open_or_create(api: &Api, place: &KeyPlace, model: &ServedModel) -> Result<Self, RemoteError> {
        loop {
            match Self::open(api, place, model)? {
                Ok(key) => return Ok(key),
                // Another process may make it at the same time: whichever is there counts.
                Err(_) => Self::create(api, place, model)?,
            };
        }
    }

    /// Returns the secret key.
    pub fn secret(&self) -> &ClientKey {
        &self.secret
    }

    /// Generates and uploads an evaluation key, unless the server has one.
    ///
    /// # Errors
    /// If a request fails, or the key file can't be written.
    pub fn ensure_uploaded(&mut self, api: &Api) -> Result<Receipt, RemoteError> {
        let id = self.secret.key_id();
        if id != KeyId::NONE
            && let Some(receipt) = api.key(id)?
        {
            return Ok(receipt);
        }
        self.upload_new(api)
    }

    /// Generates a new evaluation key, uploads it, and stores its id with the secret key.
    ///
    /// # Errors
    /// If the upload fails, or the key file can't be written.
    pub fn upload_new(&mut self, api: &Api) -> Result<Receipt, RemoteError> {
        let mut generation = self.secret.start_evaluation_key()?;
        // A key that is done at once needs no bar.
        let mut share = generation.advance(10);
        let making = api.progress().begin(Stage::MakingKey);
        while share < 1.0 {
            making.set(share);
            share = generation.advance(10);
        }
        drop(making);
        let (_, blob) = self.secret.finish_evaluation_key(generation);
        let uploading = api.progress().begin(Stage::UploadingKey);
        let receipt = api.put_key(self.secret.key_id(), &blob);
        drop(uploading);
        let receipt = receipt.map_err(RemoteError::Upload)?;
        if let Some(path) = &self.path {
            keyfile::replace(path, &self.secret)?;
        }
        Ok(receipt)
    }

    /// Deletes the evaluation key on the server. Returns its id, if the server had it.
    ///
    /// # Errors
    /// If the request fails.
    pub fn delete_uploaded(&self, api: &Api) -> Result<Option<KeyId>, RemoteError> {
        let id = self.secret.key_id();
        let known = id != KeyId::NONE && api.delete_key(id)?;
        Ok(known.then_some(id))
    }

    /// Removes the file of the secret key, which stays in memory. Returns its path, if there was
    /// one.
    ///
    /// # Errors
    /// If it can't be removed.
    pub fn remove(&mut self) -> Result<Option<PathBuf>, RemoteError> {
        if let Some(path) = &self.path {
            keyfile::remove(path)?;
        }
        Ok(self.path.take())
    }
}

/// Removes keys of earlier versions and says so.
fn remove_outdated(path: &Path, progress: &dyn Progress) -> Result<(), RemoteError> {
    for removed in keyfile::remove_outdated(path)? {
        progress.note(&format!(
            "removed: {}, a key of an earlier version. It can't be used any more, and a network's key protected inputs less \
             well than intended: see SECURITY.md, BLINDSCORE-2026-001",
            removed.display()
        ));
    }
    Ok(())
}
