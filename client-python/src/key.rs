//! A secret key, step by step.

use crate::{
    errors,
    model::Model,
    rows::{Rows, Values},
};
use blindscore_client::{ClientKey, Encoder};
use blindscore_protocol::{
    descriptor::CheckedDescriptor,
    ids::KeyId,
    random::EntropyError,
    wire::{QueryId, Response},
};
use pyo3::{
    exceptions::{PyTypeError, PyValueError},
    prelude::*,
    types::{PyBytes, PyMapping},
};
use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Secret key of a user, for a model. Its memory is wiped when it is no longer used.
#[pyclass(frozen, module = "blindscore")]
pub(crate) struct SecretKey {
    model: CheckedDescriptor,
    inner: Mutex<Inner>,
}

struct Inner {
    key: ClientKey,
    /// Queries whose responses were not decrypted yet.
    sent: HashSet<QueryId>,
}

/// Decrypted response.
#[pyclass(frozen, get_all, module = "blindscore")]
pub(crate) struct Answer {
    /// Scores in the model's own units, one for each output.
    scores: Vec<f64>,
    /// Probabilities; empty if the model gives none.
    probabilities: Vec<f64>,
    /// Values of a regression, one for each target; else empty.
    values: Vec<f64>,
    /// Name of the class, if the model decides between classes.
    label: Option<String>,
    /// Place of the class.
    index: Option<usize>,
}

#[pymethods]
impl Answer {
    fn __repr__(&self) -> String {
        match (&self.label, self.values.as_slice()) {
            (Some(label), _) => format!("<blindscore.Answer {label:?}, scores {:?}>", self.scores),
            (None, []) => format!("<blindscore.Answer, scores {:?}>", self.scores),
            (None, values) => format!("<blindscore.Answer {values:?}>"),
        }
    }
}

#[pymethods]
impl SecretKey {
    /// Generates a key for a model, from the operating system's randomness.
    #[staticmethod]
    fn generate(model: &Model) -> PyResult<Self> {
        match ClientKey::generate_secret(model.0.parameters()) {
            Ok(key) => Ok(Self::of(key, model.0.clone())),
            Err(error) => Err(PyValueError::new_err(error.to_string())),
        }
    }

    /// Reads an exported key.
    #[staticmethod]
    fn from_bytes(py: Python<'_>, blob: &[u8], model: &Model) -> PyResult<Self> {
        let key = ClientKey::from_bytes(blob)
            .map_err(|error| errors::setting(py, format!("these bytes are not a secret key: {error}")))?;
        if key.parameters().id() != model.0.parameters().id() {
            let (key, model) = (key.parameters().name(), model.0.parameters().name());
            return Err(errors::mismatch(
                py,
                format!("the key is for parameter set {key}, but the model uses {model}"),
            ));
        }
        Ok(Self::of(key, model.0.clone()))
    }

    /// Exports the key, some hundred bytes. Whoever has them can read all that was encrypted with
    /// it.
    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.lock().key.to_bytes())
    }

    /// Makes a new evaluation key, the public key that the server needs to score: its bytes and its
    /// id. Queries that are encrypted from now on are for this one.
    fn public_key<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyBytes>, String)> {
        let made = py.detach(|| {
            let key = &mut self.lock().key;
            let generation = key.start_evaluation_key()?;
            let (_, blob) = key.finish_evaluation_key(generation);
            Ok::<_, EntropyError>((blob, key.key_id()))
        });
        let (blob, id) = made.map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok((PyBytes::new(py, &blob), id.to_string()))
    }

    /// Id of the last evaluation key made from this key.
    #[getter]
    fn key_id(&self) -> Option<String> {
        let id = self.lock().key.key_id();
        (id != KeyId::NONE).then(|| id.to_string())
    }

    /// Name of the parameter set.
    #[getter]
    fn parameter_set(&self) -> &'static str {
        self.lock().key.parameters().name()
    }

    /// Encrypts a row: a sequence with a value for each of the model's columns, or a record with
    /// their names.
    fn encrypt<'py>(&self, py: Python<'py>, row: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        if self.lock().key.key_id() == KeyId::NONE {
            return Err(errors::setting(
                py,
                "the key has no evaluation key yet: public_key() makes it, and client.upload(key) sends it"
                    .into(),
            ));
        }
        let encoder = Encoder::new(&self.model.inputs);
        let cells = self.cells(row)?;
        if cells.len() != encoder.columns().len() {
            let (found, expected) = (cells.len(), encoder.columns().len());
            let problem = format!("the row has {found} values, the model takes {expected}");
            return Err(errors::rows(py, vec![(0, None, problem)]));
        }
        let columns = cells.into_iter().map(|cell| Values::Objects(vec![cell]));
        let rows = Rows::read(None, columns.collect(), 1, encoder.columns().len())?;
        let features = rows
            .features(0, &encoder, &self.model)
            .map_err(|problems| errors::rows(py, problems))?;
        let query = py.detach(|| {
            let mut inner = self.lock();
            let query = inner.key.encrypt(&self.model, &features)?;
            inner.sent.insert(QueryId::of(&query)?);
            Ok(query)
        });
        let query = query.map_err(|error| errors::client(py, &error))?;
        Ok(PyBytes::new(py, &query))
    }

    /// Decrypts the response to a query that this object has encrypted. With `query`, it must be
    /// the response to that one, which another copy of the key may have encrypted.
    #[pyo3(signature = (response, *, query = None))]
    fn decrypt(&self, py: Python<'_>, response: &[u8], query: Option<&[u8]>) -> PyResult<Answer> {
        let decrypted = py.detach(|| {
            let mut inner = self.lock();
            let format = self.model.parameters().response_format();
            let answered = match query {
                Some(query) => QueryId::of(query)?,
                None => Response::from_blob(response, format, self.model.sent_scores())?.query,
            };
            if query.is_none() && !inner.sent.contains(&answered) {
                return Err(blindscore_client::ClientError::WrongQuery);
            }
            let scores = inner.key.decrypt(&self.model, answered, response)?;
            inner.sent.remove(&answered);
            Ok(scores)
        });
        let scores = decrypted.map_err(|error| errors::client(py, &error))?;
        Ok(Answer {
            label: scores.label().map(str::to_owned),
            index: scores.index(),
            scores: scores.scores,
            probabilities: scores.probabilities,
            values: scores.values,
        })
    }

    fn __repr__(&self) -> String {
        let key = &self.lock().key;
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
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a key to Python.
    pub(crate) fn of(key: ClientKey, model: CheckedDescriptor) -> Self {
        Self {
            model,
            inner: Mutex::new(Inner {
                key,
                sent: HashSet::new(),
            }),
        }
    }

    /// Returns a copy for a connection.
    pub(crate) fn copy(&self) -> PyResult<ClientKey> {
        ClientKey::from_bytes(&self.lock().key.to_bytes())
            .map_err(|error| PyValueError::new_err(error.to_string()))
    }

    /// Returns the cells of a row in the model's order.
    fn cells<'py>(&self, row: &Bound<'py, PyAny>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let py = row.py();
        let names = self.model.inputs.column_names();
        // A Series of pandas is a record if the model has names.
        let record = match row.getattr("to_dict") {
            Ok(to_dict) if names.is_some() => to_dict.call0()?,
            _ => row.clone(),
        };
        let Ok(record) = record.cast::<PyMapping>() else {
            return row.try_iter()?.collect();
        };
        let Some(names) = names else {
            return Err(errors::setting(
                py,
                "the model's columns have no names: give a list of values instead of a record".into(),
            ));
        };
        let keys: Vec<Bound<'py, PyAny>> = record.keys()?.iter().collect();
        let header: Vec<String> = keys
            .iter()
            .map(|key| key.str()?.extract())
            .collect::<PyResult<_>>()?;
        let header: Vec<&str> = header.iter().map(String::as_str).collect();
        let places = blindscore_protocol::columns::find_columns(&names, &header)
            .map_err(|error| errors::setting(py, error.to_string()))?;
        places
            .into_iter()
            .map(|place| record.get_item(&keys[place]))
            .collect()
    }
}
