//! Example descriptor for tests.

use super::ModelDescriptor;
use serde_json::{Value, json};

/// Returns the JSON of a descriptor with one of everything.
pub(super) fn json() -> Value {
    json!({
        "name": "m", "id": "0".repeat(32), "title": "", "formats": [3], "parameter_set": "linear-n2048",
        "inputs": {
            "count": 2, "min": 0, "max": 120, "levels": 100, "norm": { "centre": 0.5, "max": 0.4 },
            "image": { "width": 2, "height": 1 },
            "features": [{ "name": "age", "min": 0, "max": 120 }, { "min": -1, "max": 1 }],
        },
        "input_step": 4096, "fine_features": 32,
        "outputs": [{ "label": "no", "offset": 0.5, "half_range": 3 }, { "label": "yes", "offset": 0, "half_range": 1 }],
        "fine": 16, "answer": "label", "link": "softmax", "task": "classification", "classes": ["a", "b"],
        "sizes": { "public_key": 1, "query": 1, "response": 1 }, "score_error": 0.1, "accuracy": 0.5, "batch": 3, "version": 1,
    })
}

/// Parses a descriptor from JSON.
pub(super) fn read(json: Value) -> ModelDescriptor {
    serde_json::from_value(json).unwrap()
}

/// Returns the example with one value replaced.
pub(super) fn with(pointer: &str, value: Value) -> ModelDescriptor {
    let mut json = json();
    *json.pointer_mut(pointer).unwrap() = value;
    read(json)
}
