//! Exceptions. The classes are defined in `blindscore._errors`, where Python users can read them.

use crate::rows::RowProblem;
use blindscore_client::ClientError;
use blindscore_import::ImportError;
use blindscore_protocol::problem::Recovery;
use blindscore_remote::{HttpError, RemoteError};
use pyo3::{IntoPyObjectExt, prelude::*};
use std::error::Error;

/// Creates an exception of this class of `blindscore._errors`.
fn exception<'py>(py: Python<'py>, class: &str, arguments: impl IntoPyObjectExt<'py>) -> PyErr {
    let made = || -> PyResult<Bound<'py, PyAny>> {
        let class = py.import("blindscore._errors")?.getattr(class)?;
        class.call1((arguments.into_bound_py_any(py)?,))
    };
    made().map_or_else(|error| error, PyErr::from_value)
}

/// Creates the exception for a failed request.
fn http(py: Python<'_>, error: &HttpError) -> PyErr {
    let class = match (error.status, error.recovery) {
        (None, _) => "ConnectionError",
        (Some(401 | 403), _) => "AccessError",
        (Some(_), Recovery::Retry) => "BusyError",
        (Some(_), _) => "ServerError",
    };
    exception(py, class, error.to_string())
}

/// Creates the exception for an error of the connection or the key.
pub(crate) fn remote(py: Python<'_>, error: &RemoteError) -> PyErr {
    match error {
        RemoteError::Http(error) | RemoteError::Upload(error) => http(py, error),
        RemoteError::NoModel { .. } => exception(py, "NoModelError", error.to_string()),
        RemoteError::Pinned(_) | RemoteError::Changed { .. } => {
            exception(py, "ModelChangedError", error.to_string())
        }
        RemoteError::Client(error) => client(py, error),
        RemoteError::Setting(problem) => exception(py, "SettingError", problem.clone()),
        RemoteError::File { .. }
        | RemoteError::NotAKey { .. }
        | RemoteError::OpenToOthers { .. }
        | RemoteError::OtherSet { .. } => exception(py, "KeyFileError", error.to_string()),
        _ => exception(py, "ServerError", error.to_string()),
    }
}

/// Creates the exception for an error of the client itself.
pub(crate) fn client(py: Python<'_>, error: &ClientError) -> PyErr {
    let class = match error {
        ClientError::FeatureCount { .. }
        | ClientError::FeatureRange { .. }
        | ClientError::FeatureNorm { .. }
        | ClientError::Record(_) => "SettingError",
        ClientError::ParameterSet { .. } => "KeyMismatchError",
        _ => "ResponseError",
    };
    exception(py, class, error.to_string())
}

/// Creates the exception for a setting that can't be used.
pub(crate) fn setting(py: Python<'_>, problem: String) -> PyErr {
    exception(py, "SettingError", problem)
}

/// Creates the exception for a key of another parameter set.
pub(crate) fn mismatch(py: Python<'_>, problem: String) -> PyErr {
    exception(py, "KeyMismatchError", problem)
}

/// Creates the exception for an import that was refused.
pub(crate) fn import(py: Python<'_>, error: &ImportError) -> PyErr {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += ": ";
        text += &error.to_string();
        cause = error.source();
    }
    exception(py, "ImportRefused", text)
}

/// Creates the exception for rows that can't be scored.
pub(crate) fn rows(py: Python<'_>, problems: Vec<RowProblem>) -> PyErr {
    exception(py, "RowError", problems)
}
