//! A secret key, step by step.

use crate::{errors, model::Model};
use blindscore_client::{ClientKey, Encoder};
use blindscore_protocol::{ids::KeyId, wire::QueryId};
use pyo3::{
    exceptions::{PyTypeError, PyValueError},
    prelude::*,
    types::PyBytes,
};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Scores, probabilities, values, and the place of the class.
type Decrypted = (Vec<f64>, Vec<f64>, Vec<f64>, Option<usize>);

/// Secret key of a user. Its memory is wiped when it is no longer used.
#[pyclass(frozen, module = "blindscore._blindscore")]
pub(crate) struct SecretKey(Mutex<ClientKey>);

#[pymethods]
impl SecretKey {
    /// Generates a key for a model, from the operating system's randomness.
    #[staticmethod]
    fn generate(model: &Model) -> PyResult<Self> {
        match ClientKey::generate_secret(model.0.parameters()) {
            Ok(key) => Ok(Self(Mutex::new(key))),
            Err(error) => Err(PyValueError::new_err(error.to_string())),
        }
    }

    /// Reads an exported key.
    #[staticmethod]
    fn from_bytes(py: Python<'_>, blob: &[u8]) -> PyResult<Self> {
        match ClientKey::from_bytes(blob) {
            Ok(key) => Ok(Self(Mutex::new(key))),
            Err(error) => Err(errors::client(py, &error)),
        }
    }

    /// Exports the key, some hundred bytes. Whoever has them can read all that was encrypted with it.
    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.lock().to_bytes())
    }

    /// Makes an evaluation key, which the server needs to score: its bytes, and its id.
    fn evaluation_key<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyBytes>, String)> {
        let made = py.detach(|| {
            let mut key = self.lock();
            let generation = key.start_evaluation_key()?;
            let (_, blob) = key.finish_evaluation_key(generation);
            Ok::<_, blindscore_protocol::random::EntropyError>((blob, key.key_id()))
        });
        let (blob, id) = made.map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok((PyBytes::new(py, &blob), id.to_string()))
    }

    /// Id of the last evaluation key made from this key.
    #[getter]
    fn key_id(&self) -> Option<String> {
        let id = self.lock().key_id();
        (id != KeyId::NONE).then(|| id.to_string())
    }

    /// Name of the parameter set.
    #[getter]
    fn parameter_set(&self) -> &'static str {
        self.lock().parameters().name()
    }

    /// Encrypts a record, one object for each of the model's columns.
    fn encrypt<'py>(
        &self,
        py: Python<'py>,
        model: &Model,
        record: Vec<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let encoder = Encoder::new(&model.0.inputs);
        if record.len() != encoder.columns().len() {
            let problem = format!(
                "the record has {} values, the model takes {}",
                record.len(),
                encoder.columns().len()
            );
            return Err(errors::rows(py, vec![(0, None, problem)]));
        }
        let columns = record
            .into_iter()
            .map(|cell| crate::rows::Values::Objects(vec![cell]));
        let rows = crate::rows::Rows::read(None, columns.collect(), 1, encoder.columns().len())?;
        let features = rows
            .features(0, &encoder, &model.0)
            .map_err(|problems| errors::rows(py, problems))?;
        let query = py.detach(|| self.lock().encrypt(&model.0, &features));
        let query = query.map_err(|error| errors::client(py, &error))?;
        Ok(PyBytes::new(py, &query))
    }

    /// Decrypts the response to a query.
    fn decrypt(&self, py: Python<'_>, model: &Model, query: &[u8], response: &[u8]) -> PyResult<Decrypted> {
        let scores = py.detach(|| {
            let id = QueryId::of(query)?;
            self.lock().decrypt(&model.0, id, response)
        });
        let scores = scores.map_err(|error| errors::client(py, &error))?;
        let index = scores.index();
        Ok((scores.scores, scores.probabilities, scores.values, index))
    }

    fn __repr__(&self) -> String {
        let key = self.lock();
        let id = match key.key_id() {
            KeyId::NONE => "no evaluation key yet".into(),
            id => format!("evaluation key {id}"),
        };
        format!("<blindscore.SecretKey for {}, {id}>", key.parameters().name())
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "a secret key is not pickled, because pickles end up in files and on other machines; where that is meant, pickle \
             key.to_bytes() and use SecretKey.from_bytes",
        ))
    }
}

impl SecretKey {
    fn lock(&self) -> MutexGuard<'_, ClientKey> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a key to Python.
    pub(crate) fn of(key: ClientKey) -> Self {
        Self(Mutex::new(key))
    }

    /// Returns a copy for a connection.
    pub(crate) fn copy(&self) -> PyResult<ClientKey> {
        ClientKey::from_bytes(&self.lock().to_bytes())
            .map_err(|error| PyValueError::new_err(error.to_string()))
    }
}
