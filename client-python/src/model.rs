//! A model as its server describes it.

use blindscore_client::{Encoder, Scores};
use blindscore_protocol::{
    descriptor::{CheckedDescriptor, Link, ModelDescriptor},
    encoding::Column,
};
use pyo3::{exceptions::PyValueError, prelude::*};

/// Descriptor of a model, checked.
#[pyclass(frozen, module = "blindscore._blindscore")]
pub(crate) struct Model(pub(crate) CheckedDescriptor);

#[pymethods]
impl Model {
    /// Reads a descriptor, the JSON of `GET /v1/models/{name}`.
    #[staticmethod]
    fn from_json(json: &str) -> PyResult<Self> {
        let model: ModelDescriptor =
            serde_json::from_str(json).map_err(|error| PyValueError::new_err(error.to_string()))?;
        match CheckedDescriptor::try_from(model) {
            Ok(model) => Ok(Self(model)),
            Err(error) => Err(PyValueError::new_err(error.to_string())),
        }
    }

    /// Returns the descriptor as JSON.
    fn to_json(&self) -> PyResult<String> {
        serde_json::to_string(&self.0).map_err(|error| PyValueError::new_err(error.to_string()))
    }

    #[getter]
    fn name(&self) -> &str {
        &self.0.name
    }

    #[getter]
    fn title(&self) -> &str {
        &self.0.title
    }

    /// Id with the fingerprint of all that a user agrees to.
    #[getter]
    fn pin(&self) -> String {
        self.0.pin().to_string()
    }

    #[getter]
    fn task(&self) -> &'static str {
        self.0.task.name()
    }

    /// Number of columns of a record.
    #[getter]
    fn n_columns(&self) -> usize {
        self.0.inputs.columns()
    }

    /// Names of the columns, if the model has names.
    #[getter]
    fn column_names(&self) -> Option<Vec<String>> {
        let names = self.0.inputs.column_names()?;
        Some(names.into_iter().map(str::to_owned).collect())
    }

    /// Kind of each column: number, integer, flag, category or text.
    #[getter]
    fn column_kinds(&self) -> Vec<&'static str> {
        let encoder = Encoder::new(&self.0.inputs);
        let kind = |column: &Column| column.kind.name();
        encoder.columns().iter().map(kind).collect()
    }

    /// Names of the scores.
    #[getter]
    fn outputs(&self) -> Vec<&str> {
        self.0
            .outputs
            .iter()
            .map(|output| output.label.as_str())
            .collect()
    }

    /// Names of the classes, if the model decides between classes.
    #[getter]
    fn classes(&self) -> Option<Vec<&str>> {
        match &self.0.classes {
            Some(classes) => Some(classes.iter().map(String::as_str).collect()),
            None => (self.task() == "classification").then(|| self.outputs()),
        }
    }

    /// What of the answer leaves the server: `"scores"`, or only the `"label"`.
    #[getter]
    fn answer(&self) -> &'static str {
        self.0.answer.name()
    }

    /// Number of probabilities of a row; 0 if the model gives none.
    #[getter]
    fn n_probabilities(&self) -> usize {
        let scores = vec![0.0; self.0.outputs.len()];
        Scores::new(&self.0, scores).probabilities.len()
    }

    /// Whether each score belongs to a class, or one score to two, and they aren't probabilities:
    /// then they are the decision function.
    #[getter]
    fn scores_decide(&self) -> bool {
        let sent = self.0.answer.is_scores();
        sent && !matches!(
            self.0.link,
            Link::Mean | Link::OneVsOne | Link::Votes | Link::Probability
        )
    }

    /// Sizes of the blobs in bytes: evaluation key, query, response.
    #[getter]
    fn sizes(&self) -> (usize, usize, usize) {
        let sizes = self.0.blob_sizes();
        (sizes.public_key, sizes.query, sizes.response)
    }

    /// Largest error of a score that rounding and noise make, six standard deviations.
    #[getter]
    fn score_error(&self) -> f64 {
        self.0.score_error
    }

    #[getter]
    fn parameter_set(&self) -> &'static str {
        self.0.parameters().name()
    }

    fn __repr__(&self) -> String {
        let (name, task, columns) = (&self.0.name, self.task(), self.n_columns());
        format!(
            "<blindscore.Model {name:?}: {task}, {columns} columns, id {}>",
            self.0.pin()
        )
    }

    /// Returns the place of each of the model's columns in a header, as every client finds them.
    fn find_columns(&self, header: Vec<String>) -> PyResult<Vec<usize>> {
        let Some(names) = self.0.inputs.column_names() else {
            return Err(PyValueError::new_err("the model's columns have no names"));
        };
        let header: Vec<&str> = header.iter().map(String::as_str).collect();
        blindscore_protocol::columns::find_columns(&names, &header)
            .map_err(|error| PyValueError::new_err(error.to_string()))
    }
}
