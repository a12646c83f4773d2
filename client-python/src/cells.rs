//! Cells of records, from Python's objects.

use blindscore_client::Cell;
use pyo3::{
    prelude::*,
    types::{PyBool, PyFloat, PyInt, PyString},
};

/// Largest magnitude of a whole number that a float holds exactly, as are all smaller ones.
const EXACT: i64 = 1 << 53;

/// Reads a cell. `None`, NaN, `pandas.NA`, `NaT` and masked cells are missing values. The error
/// describes the problem, to be put after the column's name.
pub(crate) fn read(object: &Bound<'_, PyAny>) -> Result<Cell<'static>, String> {
    if let Some(cell) = plain(object) {
        return cell;
    }
    match number(object) {
        Some(number) => plain(&number).unwrap_or_else(|| Err(neither(object))),
        None => Err(neither(object)),
    }
}

/// Returns Python's own number for a scalar of numpy, a decimal or a fraction.
fn number<'py>(object: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    let module = object.get_type().module().ok()?.to_string();
    let method = match (module.split('.').next()?, kind(object).as_str()) {
        ("numpy", "longdouble") | ("decimal" | "fractions", _) => "__float__",
        // Arrays have the method, too.
        ("numpy", name) if name != "ndarray" => "item",
        _ => return None,
    };
    object.call_method0(method).ok()
}

fn neither(object: &Bound<'_, PyAny>) -> String {
    format!("is of type {}, neither a number nor text", kind(object))
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
    matches!(kind(object).as_str(), "NAType" | "NaTType" | "MaskedConstant").then_some(Ok(Cell::Missing))
}

/// Returns the name of an object's type.
fn kind(object: &Bound<'_, PyAny>) -> String {
    object
        .get_type()
        .name()
        .map_or_else(|_| "unknown".into(), |name| name.to_string())
}
