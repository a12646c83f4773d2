//! The JSON of `dump_model`.

use super::{FORMAT, Header, MissingType, Model};
use crate::{
    ImportError,
    trees::{Decision, Ensemble, Part},
};
use serde_json::Value;

/// Reads a file.
pub(crate) fn read(json: &Value) -> Result<Ensemble, ImportError> {
    let names = FORMAT.texts(json, "feature_names")?;
    let infos = json.get("feature_infos");
    let is_category = |name: &String| {
        let values = infos.and_then(|infos| infos.get(name)?.get("values")?.as_array());
        values.is_some_and(|values| !values.is_empty())
    };
    let trees = FORMAT.list(json, "tree_info")?;
    let header = Header {
        objective: json.get("objective").and_then(Value::as_str),
        outputs: FORMAT.place(json, "num_tree_per_iteration")?,
        averaged: json
            .get("average_output")
            .and_then(Value::as_bool)
            .unwrap_or(false),
        categories: names.iter().map(is_category).collect(),
        names,
        pandas: json.get("pandas_categorical").cloned().unwrap_or(Value::Null),
    };
    let mut model = Model::new(&header, trees.len())?;
    for tree in trees {
        let mut parts = Vec::new();
        add(FORMAT.field(tree, "tree_structure")?, &mut parts, &mut model)?;
        let root = parts.len().saturating_sub(1);
        model.trees.push((parts, root));
    }
    model.finish(header)
}

/// Adds a node after its branches, and returns its place. JSON is not nested deeply.
fn add(node: &Value, parts: &mut Vec<Option<Part>>, model: &mut Model) -> Result<usize, ImportError> {
    if node.get("leaf_const").is_some() {
        return FORMAT.refuse("its leaves are linear models: fit it without linear_tree");
    }
    let part = if node.get("split_feature").is_none() {
        model.leaf(FORMAT.number(node, "leaf_value")?)
    } else {
        let left = add(FORMAT.field(node, "left_child")?, parts, model)?;
        let right = add(FORMAT.field(node, "right_child")?, parts, model)?;
        let column = FORMAT.place(node, "split_feature")?;
        let branches = [left, right];
        match FORMAT.text(node, "decision_type")? {
            "<=" => {
                let missing = match FORMAT.text(node, "missing_type")? {
                    "None" => MissingType::None,
                    "Zero" => MissingType::Zero,
                    "NaN" => MissingType::Nan,
                    _ => return Err(FORMAT.malformed("missing_type")),
                };
                let is_left = FORMAT.field(node, "default_left")?.as_bool();
                let is_left = is_left.ok_or_else(|| FORMAT.malformed("default_left"))?;
                let threshold = FORMAT.number(node, "threshold")?;
                model.split(column, threshold, (missing, is_left), branches)?
            }
            "==" => {
                let set = FORMAT.text(node, "threshold")?.split("||").map(category);
                let set: Option<Vec<f64>> = set.collect();
                Part::Split {
                    column,
                    decision: Decision::Among(set.ok_or_else(|| FORMAT.malformed("threshold"))?),
                    branches,
                }
            }
            _ => return Err(FORMAT.malformed("decision_type")),
        }
    };
    parts.push(Some(part));
    Ok(parts.len() - 1)
}

fn category(text: &str) -> Option<f64> {
    text.parse::<u32>().ok().map(f64::from)
}
