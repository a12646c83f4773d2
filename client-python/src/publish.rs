//! Import of fitted models.

use crate::errors;
use blindscore_import::{Grid, Imported, Report, Request, Structure, TableOptions, import};
use blindscore_protocol::{
    columns::{Delimiter, HeaderChoice},
    descriptor::{Answer, Task},
    name::ModelName,
};
use blindscore_remote::text::plain;
use pyo3::{exceptions::PyValueError, prelude::*};
use std::path::PathBuf;

/// Imports a fitted model from a file, as the command `blindscore import` does. Returns the path of
/// the model file, and the report as lines and as JSON.
#[pyfunction]
#[pyo3(signature = (file, name, models_dir, *, title, calibrate, expect, has_header, labels, task, ranges, max_error, check_rows, structure, grid, max_seconds, answer))]
#[expect(
    clippy::too_many_arguments,
    reason = "keyword arguments, of which Python gives each"
)]
pub(crate) fn import_model(
    py: Python<'_>,
    file: PathBuf,
    name: &str,
    models_dir: PathBuf,
    title: Option<String>,
    calibrate: Option<PathBuf>,
    expect: Option<PathBuf>,
    has_header: bool,
    labels: Option<Vec<String>>,
    task: Option<&str>,
    ranges: Option<(f64, f64)>,
    max_error: Option<f64>,
    check_rows: Option<usize>,
    structure: Option<&str>,
    grid: Option<&str>,
    max_seconds: Option<f64>,
    answer: &str,
) -> PyResult<(PathBuf, Vec<String>, String)> {
    let name: ModelName = name
        .parse()
        .map_err(|error| errors::setting(py, format!("name: {error}")))?;
    let task = match task {
        None => None,
        Some(text) => {
            let all = [Task::Classification, Task::Multilabel, Task::Regression];
            let found = all.into_iter().find(|task| task.name() == text);
            let problem = || errors::setting(py, format!("task: there is no task {text:?}"));
            Some(found.ok_or_else(problem)?)
        }
    };
    let structure: Option<Structure> = structure
        .map(str::parse)
        .transpose()
        .map_err(|why| errors::setting(py, format!("structure: it is {why}")))?;
    let grid: Option<Grid> = grid
        .map(str::parse)
        .transpose()
        .map_err(|why| errors::setting(py, format!("grid: it is {why}")))?;
    let answer: Answer = answer
        .parse()
        .map_err(|why| errors::setting(py, format!("answer: it is {why}")))?;
    let request = Request {
        file,
        answer,
        name,
        title,
        models_dir,
        calibrate,
        expect,
        table: TableOptions {
            header: if has_header {
                HeaderChoice::Yes
            } else {
                HeaderChoice::No
            },
            delimiter: Some(Delimiter::Comma),
            ignore: Vec::new(),
        },
        widen: None,
        range: ranges,
        labels,
        task,
        link: None,
        max_error,
        check_rows,
        structure,
        grid,
        max_seconds,
    };
    let imported = py.detach(|| import(&request));
    let imported = imported.map_err(|error| errors::import(py, &error))?;
    report(&imported)
}

/// Returns the report on a finished import.
fn report(imported: &Imported) -> PyResult<(PathBuf, Vec<String>, String)> {
    let report = Report::new(imported);
    let lines = report.lines().iter().map(|line| plain(line)).collect();
    let json = serde_json::to_string(&report.as_json());
    let json = json.map_err(|error| PyValueError::new_err(error.to_string()))?;
    Ok((imported.path.clone(), lines, json))
}
