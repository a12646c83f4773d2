//! Scoring with one model and one key.

use crate::{Api, Cancel, HttpError, Key, RemoteError, ServedModel};
use blindscore_client::{ClientError, ClientKey, Scores, check_features};
use blindscore_protocol::{
    descriptor::Inputs, ids::KeyId, policy::BATCH_QUERIES, problem::Recovery, wire::QueryId,
};
use std::sync::{Arc, PoisonError, RwLock};

/// Why rows were not scored.
#[derive(Debug, thiserror::Error)]
pub enum ScoreError {
    /// The server's model is not the one that the session was opened with.
    #[error("{0}")]
    ModelChanged(HttpError),
    /// Anything else.
    #[error("{0}")]
    Other(RemoteError),
}

impl<E: Into<RemoteError>> From<E> for ScoreError {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

/// Queries sent, and the responses to them.
struct Exchange {
    /// Key of the queries.
    key: KeyId,
    queries: Vec<Vec<u8>>,
    responses: Result<Vec<Vec<u8>>, HttpError>,
}

/// A model and a key, with which threads score rows at the same time.
pub struct Session {
    model: ServedModel,
    key: Arc<RwLock<Key>>,
    /// Features sent in place of rows that the model can't take.
    blank: Vec<f64>,
}

impl Session {
    /// Opens a session; nothing is sent.
    ///
    /// # Errors
    /// If the model's ranges leave no room for a blank row.
    pub fn new(model: ServedModel, key: Key) -> Result<Self, RemoteError> {
        Ok(Self {
            blank: blank(&model.descriptor.inputs)?,
            model,
            key: Arc::new(RwLock::new(key)),
        })
    }

    /// Returns the model.
    pub fn model(&self) -> &ServedModel {
        &self.model
    }

    /// Returns the id of the key; [`KeyId::NONE`] before its first upload.
    pub fn key_id(&self) -> KeyId {
        self.key
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .secret()
            .key_id()
    }

    /// Generates and uploads an evaluation key, unless the server has one.
    ///
    /// # Errors
    /// If a request fails, or the key file can't be written.
    pub fn ensure_uploaded(&self, api: &Api) -> Result<(), RemoteError> {
        let mut key = self.key.write().unwrap_or_else(PoisonError::into_inner);
        key.ensure_uploaded(api).map(drop)
    }

    /// Returns a copy of the secret key.
    ///
    /// # Errors
    /// If the key can't be read back, which is a defect.
    pub fn secret_key(&self) -> Result<ClientKey, ClientError> {
        let key = self.key.read().unwrap_or_else(PoisonError::into_inner);
        ClientKey::from_bytes(&key.secret().to_bytes())
    }

    /// Deletes the evaluation key on the server, and then the file of the secret key, which stays
    /// in memory. Returns the id of what the server has deleted.
    ///
    /// # Errors
    /// If the request fails, or the file can't be removed.
    pub fn forget(&self, api: &Api) -> Result<Option<KeyId>, RemoteError> {
        let mut key = self.key.write().unwrap_or_else(PoisonError::into_inner);
        let deleted = key.delete_uploaded(api)?;
        key.remove()?;
        Ok(deleted)
    }

    /// Returns a session with the same key and the server's current model, if nothing that was
    /// agreed to differs. Whether rows are sent again must not depend on ranges that the server has
    /// chosen since.
    ///
    /// # Errors
    /// If something differs, which names `again` as what accepts it, or the model can't be used.
    pub fn renewed(&self, api: &Api, cause: HttpError, again: &'static str) -> Result<Self, RemoteError> {
        let model = self.model.current(api)?;
        if let Some(difference) = model.descriptor.difference(&self.model.descriptor) {
            return Err(RemoteError::Changed {
                cause,
                difference,
                again,
            });
        }
        Ok(Self {
            blank: blank(&model.descriptor.inputs)?,
            model,
            key: Arc::clone(&self.key),
        })
    }

    /// Returns the number of rows that are sent in one request: as many as clients usually send, or
    /// fewer if the model allows fewer.
    pub fn batch_rows(&self) -> usize {
        BATCH_QUERIES.min(self.model.descriptor.queries_per_request())
    }

    /// Scores up to [`Session::batch_rows`] rows of features. If the server has lost the key,
    /// uploads a new one and tries again.
    ///
    /// `None` stands for a row that the model can't take. A blank row is sent in its place, and its
    /// scores say nothing: so the server can't tell how many rows are in the ranges that it states.
    ///
    /// # Errors
    /// If the request fails or is cancelled, the model has changed, or a response belongs to
    /// something else.
    pub fn score(
        &self,
        api: &Api,
        rows: &[Option<&[f64]>],
        cancel: &Cancel,
    ) -> Result<Vec<Scores>, ScoreError> {
        let mut exchange = self.ask(api, rows, cancel)?;
        if let Err(error) = &exchange.responses
            && error.recovery == Recovery::UploadKey
        {
            let mut key = self.key.write().unwrap_or_else(PoisonError::into_inner);
            // Another thread may have uploaded one since.
            if key.secret().key_id() == exchange.key {
                api.progress().note(&format!("{error}; making a new one"));
                key.upload_new(api)?;
            }
            drop(key);
            exchange = self.ask(api, rows, cancel)?;
        }
        let Exchange {
            queries, responses, ..
        } = exchange;
        let responses = responses.map_err(|error| match error.recovery {
            Recovery::RefreshModel => ScoreError::ModelChanged(error),
            _ => error.into(),
        })?;
        let key = self.key.read().unwrap_or_else(PoisonError::into_inner);
        let pairs = queries.iter().zip(&responses);
        let scores: Result<_, ClientError> = pairs
            .map(|(query, response)| {
                key.secret()
                    .decrypt(&self.model.descriptor, QueryId::of(query)?, response)
            })
            .collect();
        Ok(scores?)
    }

    /// Encrypts rows and has them scored.
    fn ask(&self, api: &Api, rows: &[Option<&[f64]>], cancel: &Cancel) -> Result<Exchange, ClientError> {
        let (key, queries) = {
            let key = self.key.read().unwrap_or_else(PoisonError::into_inner);
            let secret = key.secret();
            let encrypt = |row: &Option<&[f64]>| {
                let features = row.unwrap_or(&self.blank);
                secret.encrypt(&self.model.descriptor, features)
            };
            let queries: Vec<Vec<u8>> = rows.iter().map(encrypt).collect::<Result<_, _>>()?;
            (secret.key_id(), queries)
        };
        let responses = api.score(&self.model, key, &queries.concat(), rows.len(), cancel);
        Ok(Exchange {
            key,
            queries,
            responses,
        })
    }
}

/// Returns features that every model with these inputs takes: each at its minimum, or at the centre
/// of the ball.
fn blank(inputs: &Inputs) -> Result<Vec<f64>, RemoteError> {
    let centre = inputs.norm.map_or(0.0, |norm| norm.centre);
    let feature = |index| {
        let (min, max) = inputs.range(index);
        (min + centre * (max - min)).clamp(min, max)
    };
    let blank: Vec<f64> = (0..inputs.count).map(feature).collect();
    check_features(inputs, &blank).map_err(RemoteError::NoBlank)?;
    Ok(blank)
}

#[cfg(test)]
mod tests {
    use super::*;
    use blindscore_protocol::descriptor::{Feature, NormBound};

    #[test]
    fn every_model_takes_a_blank_row() {
        let ranges = [(0.0, 9.0), (-1e300, -9e299), (0.1, 0.3), (-5.0, 1e-300)];
        let features = ranges.map(|(min, max)| Feature { name: None, min, max });
        for centre in [0.0, 0.1, 0.5, 1.0] {
            for norm in [None, Some(NormBound { centre, max: 1e-9 })] {
                let inputs = Inputs {
                    features: Some(features.to_vec()),
                    norm,
                    ..Inputs::uniform(features.len(), -1e300, 9.0, 11)
                };
                assert!(blank(&inputs).is_ok(), "{norm:?}");
            }
        }
    }
}
