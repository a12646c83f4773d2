//! The text of `save_model`: lines of a name, `=` and a value, for the model and then for each
//! tree.

use super::{FORMAT, Header, MissingType, Model};
use crate::{
    ImportError,
    trees::{Decision, Ensemble, Part},
};
use serde_json::Value;
use std::{collections::HashMap, str::FromStr};

/// Lines of the model, or of a tree.
#[derive(Default)]
struct Lines<'t>(HashMap<&'t str, &'t str>);

impl<'t> Lines<'t> {
    fn get(&self, name: &str) -> Result<&'t str, ImportError> {
        self.0.get(name).copied().ok_or_else(|| FORMAT.malformed(name))
    }

    fn number<T: FromStr>(&self, name: &str) -> Result<T, ImportError> {
        let number = self.get(name)?.trim().parse();
        number.map_err(|_| FORMAT.malformed(name))
    }

    fn list<T: FromStr>(&self, name: &str) -> Result<Vec<T>, ImportError> {
        let numbers = self.get(name)?.split_ascii_whitespace().map(str::parse);
        numbers
            .collect::<Result<_, _>>()
            .map_err(|_| FORMAT.malformed(name))
    }
}

/// Reads a file.
pub(crate) fn read(bytes: &[u8]) -> Result<Ensemble, ImportError> {
    let text = std::str::from_utf8(bytes).map_err(|_| FORMAT.malformed("a text in UTF-8"))?;
    let mut head = Lines::default();
    let mut trees: Vec<Lines<'_>> = Vec::new();
    let mut lines = text.lines();
    let mut is_whole = false;
    for line in lines.by_ref() {
        match line.split_once('=') {
            Some(("Tree", _)) => trees.push(Lines::default()),
            Some((name, value)) => {
                trees.last_mut().unwrap_or(&mut head).0.insert(name, value);
            }
            None if line == "end of trees" => {
                is_whole = true;
                break;
            }
            None if trees.is_empty() => {
                head.0.insert(line, "");
            }
            None => {}
        }
    }
    if !is_whole {
        return Err(FORMAT.malformed("the end of its trees"));
    }
    let pandas = lines.find_map(|line| line.strip_prefix("pandas_categorical:"));
    let pandas = match pandas {
        None => Value::Null,
        Some(json) => serde_json::from_str(json).map_err(|_| FORMAT.malformed("pandas_categorical"))?,
    };
    let names: Vec<String> = head.list("feature_names")?;
    let infos: Vec<String> = head.list("feature_infos")?;
    if head.number::<usize>("max_feature_idx")?.checked_add(1) != Some(names.len())
        || infos.len() != names.len()
    {
        return FORMAT.refuse(
            "its number of columns is not that of their names: give it columns whose names have no blanks",
        );
    }
    let header = Header {
        objective: head.get("objective").ok(),
        outputs: head.number("num_tree_per_iteration")?,
        averaged: head.get("average_output").is_ok(),
        names,
        categories: infos
            .iter()
            .map(|info| !info.starts_with('[') && info != "none")
            .collect(),
        pandas,
    };
    let mut model = Model::new(&header, trees.len())?;
    for tree in &trees {
        let parts = parts(tree, &mut model)?;
        model.trees.push((parts, 0));
    }
    model.finish(header)
}

/// Returns a tree's nodes: its decisions, and then its leaves.
fn parts(tree: &Lines<'_>, model: &mut Model) -> Result<Vec<Option<Part>>, ImportError> {
    if tree.get("is_linear").is_ok_and(|is_linear| is_linear != "0") {
        return FORMAT.refuse("its leaves are linear models: fit it without linear_tree");
    }
    let leaves: Vec<f64> = tree.list("leaf_value")?;
    let decisions = leaves
        .len()
        .checked_sub(1)
        .ok_or_else(|| FORMAT.malformed("leaf_value"))?;
    let mut parts = Vec::new();
    if decisions > 0 {
        let columns: Vec<usize> = tree.list("split_feature")?;
        let thresholds: Vec<f64> = tree.list("threshold")?;
        let types: Vec<u8> = tree.list("decision_type")?;
        let (lefts, rights): (Vec<i64>, Vec<i64>) = (tree.list("left_child")?, tree.list("right_child")?);
        let lengths = [
            columns.len(),
            thresholds.len(),
            types.len(),
            lefts.len(),
            rights.len(),
        ];
        if lengths.iter().any(|length| *length != decisions) {
            return Err(FORMAT.malformed("a tree's list of decisions"));
        }
        let (ends, words): (Vec<usize>, Vec<u32>) = match tree.number::<usize>("num_cat")? {
            0 => Default::default(),
            _ => (tree.list("cat_boundaries")?, tree.list("cat_threshold")?),
        };
        // A leaf's number is the complement of its place.
        let place = |branch: i64| match usize::try_from(branch) {
            Ok(decision) => Some(decision),
            Err(_) => decisions.checked_add(usize::try_from(!branch).ok()?),
        };
        for node in 0..decisions {
            let branches = place(lefts[node]).zip(place(rights[node]));
            let (left, right) = branches.ok_or_else(|| FORMAT.malformed("a tree's branch"))?;
            let (kind, threshold) = (types[node], thresholds[node]);
            let is_left = kind & 2 != 0;
            let missing = match kind >> 2 {
                0 => MissingType::None,
                1 => MissingType::Zero,
                2 => MissingType::Nan,
                _ => return Err(FORMAT.malformed("decision_type")),
            };
            parts.push(Some(if kind & 1 != 0 {
                let set = set(threshold, &ends, &words).ok_or_else(|| FORMAT.malformed("cat_threshold"))?;
                Part::Split {
                    column: columns[node],
                    decision: Decision::Among(set),
                    branches: [left, right],
                }
            } else {
                model.split(columns[node], threshold, (missing, is_left), [left, right])?
            }));
        }
    }
    parts.extend(leaves.iter().map(|&value| Some(model.leaf(value))));
    Ok(parts)
}

/// Returns the categories of a set, which are the bits of some words.
fn set(threshold: f64, ends: &[usize], words: &[u32]) -> Option<Vec<f64>> {
    let place = threshold as usize;
    let (start, end) = (*ends.get(place)?, *ends.get(place.checked_add(1)?)?);
    let words = words.get(start..end)?;
    let bits = words.iter().enumerate().flat_map(|(place, word)| {
        let bits = (0..32).filter(move |bit| word >> bit & 1 != 0);
        bits.map(move |bit| (32 * place + bit) as f64)
    });
    Some(bits.collect())
}
