//! Boosted trees and forests, read from the files of their libraries.

mod additive;
mod bits;
mod catboost;
mod check;
mod choices;
mod decoys;
mod ensemble;
pub(crate) mod format;
mod grow;
mod leaves;
mod library;
mod lightgbm;
mod ubjson;
mod xgboost;

pub(crate) use bits::Bits;
pub use choices::{Grid, Structure};
pub use ensemble::{Ensemble, Missing, Test, Tree, TreeNode, Variable, VariableKind};
pub(crate) use format::Format;
pub(crate) use grow::{Decision, Grower, Part, Source};
pub(crate) use library::Library;

use crate::{ImportError, json::MOST_JSON};
use serde_json::Value;

/// Most trees of an ensemble.
pub(crate) const MOST_TREES: usize = 20_000;
/// Most nodes of an ensemble.
pub(crate) const MOST_NODES: usize = 2_000_000;
/// Words about an ensemble with more of them.
const TOO_LARGE: &str =
    "it has more than 20,000 trees, or more than 2,000,000 nodes: fit fewer or smaller trees";

/// Reads a file of boosted trees or a forest; `None` if no library is known that writes such files.
pub fn read(bytes: &[u8]) -> Option<Result<Ensemble, ImportError>> {
    let library = Library::of(bytes)?;
    Some(read_as(library, bytes))
}

fn read_as(library: Library, bytes: &[u8]) -> Result<Ensemble, ImportError> {
    if bytes.len() > MOST_JSON {
        return Err(ImportError::Options(format!(
            "it has {} bytes; at most {MOST_JSON} are allowed: fit fewer or smaller trees",
            bytes.len()
        )));
    }
    let ensemble = match library {
        Library::XgboostJson => xgboost::read(&json(bytes)?),
        Library::XgboostUbj => xgboost::read(&ubjson::parse(bytes)?),
        Library::LightgbmText => lightgbm::read_text(bytes),
        Library::LightgbmJson => lightgbm::read_json(&json(bytes)?),
        Library::CatboostJson => catboost::read(&json(bytes)?),
        Library::XgboostBinary => Err(unread(
            "a model of XGBoost in the binary format before version 2",
            "load it with that version, and save it as JSON: booster.save_model(\"model.json\")",
        )),
        Library::CatboostBinary => Err(unread(
            "a model of CatBoost in its binary format (.cbm)",
            "save it as JSON: model.save_model(\"model.json\", format=\"json\")",
        )),
    }?;
    ensemble.check()?;
    Ok(ensemble)
}

fn unread(name: &'static str, advice: &'static str) -> ImportError {
    ImportError::Kind {
        name,
        advice,
        found: String::new(),
    }
}

fn json(bytes: &[u8]) -> Result<Value, ImportError> {
    serde_json::from_slice(bytes).map_err(|error| ImportError::Options(format!("it is not JSON: {error}")))
}

#[cfg(test)]
mod tests;
