//! Cells of records, from Python's objects.

use blindscore_client::Cell;
use pyo3::{
    prelude::*,
    types::{PyBool, PyFloat, PyInt, PyString},
};

/// Largest magnitude of a whole number that a float holds exactly, as are all smaller ones.
const EXACT: i64 = 1 << 53;

/// Reads a cell. `None`, NaN, `pandas.NA` and `NaT` are missing values. The error describes the
/// problem, to be put after the column's name.
pub(crate) fn read(object: &Bound<'_, PyAny>) -> Result<Cell<'static>, String> {
    if let Some(cell) = plain(object) {
        return cell;
    }
    // Scalars of numpy give the Python object of the same value.
    let item = object
        .getattr("item")
        .and_then(|item| item.call0())
        .ok()
        .filter(|item| !item.is(object));
    match item.as_ref().and_then(plain) {
        Some(cell) => cell,
        None => Err(format!("is of type {}, neither a number nor text", kind(object))),
    }
}

/// Reads a cell of one of Python's own types.
fn plain(object: &Bound<'_, PyAny>) -> Option<Result<Cell<'static>, String>> {
    if object.is_none() {
        return Some(Ok(Cell::Missing));
    }
    if let Ok(text) = object.cast::<PyString>() {
        return Some(match text.to_str() {
            Ok(text) => Ok(Cell::Text(text.to_owned().into())),
            Err(_) => Err("is text with characters that Unicode doesn't have (lone surrogates)".into()),
        });
    }
    if let Ok(flag) = object.cast::<PyBool>() {
        return Some(Ok(Cell::Number(f64::from(u8::from(flag.is_true())))));
    }
    if let Ok(number) = object.cast::<PyFloat>() {
        let number = number.value();
        return Some(Ok(if number.is_nan() {
            Cell::Missing
        } else {
            Cell::Number(number)
        }));
    }
    if let Ok(number) = object.cast::<PyInt>() {
        return Some(match number.extract::<i64>() {
            Ok(number) if (-EXACT..=EXACT).contains(&number) => Ok(Cell::Number(number as f64)),
            _ => Err("is a whole number beyond 2**53, which a float can't hold exactly".into()),
        });
    }
    matches!(kind(object).as_str(), "NAType" | "NaTType").then_some(Ok(Cell::Missing))
}

/// Returns the name of an object's type.
fn kind(object: &Bound<'_, PyAny>) -> String {
    object
        .get_type()
        .name()
        .map_or_else(|_| "unknown".into(), |name| name.to_string())
}
