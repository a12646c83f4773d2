//! JSON files of models, told apart by their content.

use crate::{Fitted, ImportError, ebm, xgboost};
use serde_json::Value;

/// Largest JSON file, in bytes: parsed, it takes many times as much memory.
pub(crate) const MOST_JSON: usize = 20_000_000;

/// Reads a model that isn't made of trees from JSON: an explainable boosting machine of the library
/// `interpret`, or a linear booster of XGBoost.
///
/// # Errors
/// If it is too long, malformed or none of these, or can't be served.
pub fn read_json(bytes: &[u8]) -> Result<Fitted, ImportError> {
    if bytes.len() > MOST_JSON {
        return Err(ImportError::Options(format!(
            "it has {} bytes; at most {MOST_JSON} are allowed",
            bytes.len()
        )));
    }
    let json: Value = serde_json::from_slice(bytes)
        .map_err(|error| ImportError::Options(format!("it is not JSON: {error}")))?;
    if let Some(ebm) = json.get("ebm") {
        return ebm::read(ebm);
    }
    if let Some(learner) = json.get("learner") {
        return xgboost::linear(learner);
    }
    Err(ImportError::Options(
        "it is neither a model of XGBoost, LightGBM or CatBoost nor one of the library interpret (EBM), the only JSON that is read".into(),
    ))
}
