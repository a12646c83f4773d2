//! Trees of XGBoost, from its JSON, plain or universal binary (`booster.save_model("model.json")`).

use super::{
    Decision, Ensemble, Grower, Missing, Part, Source,
    format::{finite, place},
    grow::Recoded,
};
use crate::{
    ImportError, quoted,
    xgboost::{FORMAT, Learner, count},
};
use blindscore_protocol::{
    descriptor::{Link, Task},
    encoding::Categories,
};
use serde_json::Value;

/// Reads a file.
pub(super) fn read(json: &Value) -> Result<Ensemble, ImportError> {
    let learner = FORMAT.field(json, "learner")?;
    let booster = FORMAT.field(learner, "gradient_booster")?;
    let (trees, weights) = match FORMAT.text(booster, "name")? {
        "gbtree" => (booster, None),
        "dart" => (
            FORMAT.field(booster, "gbtree")?,
            Some(FORMAT.numbers(booster, "weight_drop")?),
        ),
        other => {
            return FORMAT.refuse(format!(
                "its booster is {}; gbtree and dart are served",
                quoted(other)
            ));
        }
    };
    let model = FORMAT.field(trees, "model")?;
    let about = Learner::read(learner)?;
    let all = FORMAT.list(model, "trees")?;
    let groups = FORMAT.list(model, "tree_info")?;
    if groups.len() != all.len() || weights.as_ref().is_some_and(|weights| weights.len() != all.len()) {
        return Err(FORMAT.malformed("tree_info or weight_drop"));
    }
    let kept = kept(learner, model, about.outputs, all.len())?;
    let mut grower = Grower::default();
    for (index, tree) in all[..kept].iter().enumerate() {
        let weight = weights.as_ref().map_or(1.0, |weights| weights[index]);
        let (parts, is_vector) = self::tree(tree, weight as f32, about.outputs)?;
        let output = if is_vector {
            None
        } else {
            Some(place(&groups[index]).ok_or_else(|| FORMAT.malformed("tree_info"))?)
        };
        let added = grower.add(parts, 0, output);
        added.or_else(|why| FORMAT.refuse(why))?;
    }
    let recoded = recoded(model, about.features)?;
    let source = |(column, recoded): (usize, Option<Recoded>)| Source {
        name: about.names.as_ref().map(|names| names[column].clone()),
        single: recoded.is_none(),
        missing: Missing::Own,
        recoded,
    };
    let sources = recoded.into_iter().enumerate().map(source).collect();
    let objective = about.objective;
    // One margin for each of several labels.
    let task = match (objective.link, about.outputs) {
        (Link::Sigmoid, 2..) => Task::Multilabel,
        (Link::Identity, 2..) if objective.task == Task::Classification => {
            return FORMAT.refuse("it has several targets: use the objective binary:logistic");
        }
        _ => objective.task,
    };
    let mut ensemble = grower
        .finish(sources, about.base, objective.link, task)
        .or_else(|why| FORMAT.refuse(why))?;
    (ensemble.classes, ensemble.labels) = objective.classes(about.outputs);
    Ok(ensemble)
}

/// Returns the number of trees that predictions use: after early stopping, those up to the best
/// iteration, as in XGBoost's scikit-learn interface.
fn kept(learner: &Value, model: &Value, outputs: usize, all: usize) -> Result<usize, ImportError> {
    let best = learner
        .get("attributes")
        .and_then(|attributes| attributes.get("best_iteration"));
    let Some(best) = best else {
        return Ok(all);
    };
    const NAME: &str = "best_iteration";
    let best: usize = best
        .as_str()
        .and_then(|best| best.parse().ok())
        .ok_or_else(|| FORMAT.malformed(NAME))?;
    let ends = model.get("iteration_indptr").and_then(Value::as_array);
    let end = match ends {
        Some(ends) => ends.get(best.saturating_add(1)).and_then(place),
        // Files before version 2 have a tree for each output, or several.
        None => {
            let parallel = FORMAT.field(model, "gbtree_model_param")?;
            let each = count(parallel, "num_parallel_tree")?.max(1).checked_mul(outputs);
            each.and_then(|each| each.checked_mul(best.checked_add(1)?))
        }
    };
    end.filter(|end| *end <= all)
        .ok_or_else(|| FORMAT.malformed(NAME))
}

/// Returns a tree's nodes, and whether its leaves have a number for each output.
fn tree(tree: &Value, weight: f32, outputs: usize) -> Result<(Vec<Option<Part>>, bool), ImportError> {
    let list = |name: &str| FORMAT.list(tree, name);
    let (lefts, rights) = (list("left_children")?, list("right_children")?);
    let (columns, conditions) = (list("split_indices")?, list("split_conditions")?);
    let defaults = list("default_left")?;
    let nodes = lefts.len();
    let kinds = match tree.get("split_type") {
        Some(_) => list("split_type")?,
        None => &[],
    };
    let lists = [rights, columns, conditions, defaults];
    if lists.iter().any(|list| list.len() != nodes) || !kinds.is_empty() && kinds.len() != nodes {
        return Err(FORMAT.malformed("a tree's list of nodes"));
    }
    let size = FORMAT.field(tree, "tree_param")?;
    let is_vector = size.get("size_leaf_vector").is_some() && count(size, "size_leaf_vector")? > 1;
    let vectors = if is_vector {
        if tree.get("leaf_weights").is_none() {
            return FORMAT.refuse(
                "it has multi-output trees of an XGBoost before version 3.2: load and save it with a newer one, or fit it with \
                 multi_strategy=\"one_output_per_tree\"",
            );
        }
        FORMAT.numbers(tree, "leaf_weights")?
    } else {
        Vec::new()
    };
    let mut sets = sets(tree, nodes)?;
    let malformed = || FORMAT.malformed("a tree's node");
    let mut parts = Vec::with_capacity(nodes);
    for node in 0..nodes {
        let condition = single(&conditions[node]).ok_or_else(malformed);
        // XGBoost computes in single precision.
        let leaf = |value: f32| f64::from(value * weight);
        let Some(left) = place(&lefts[node]) else {
            parts.push(Some(Part::Leaf(if is_vector {
                let start = place(&rights[node]).and_then(|leaf| leaf.checked_mul(outputs));
                let numbers = start.and_then(|start| vectors.get(start..start.checked_add(outputs)?));
                let numbers = numbers.ok_or_else(malformed)?;
                numbers.iter().map(|&number| leaf(number as f32)).collect()
            } else {
                vec![leaf(condition?)]
            })));
            continue;
        };
        let right = place(&rights[node]).ok_or_else(malformed)?;
        let column = place(&columns[node]).ok_or_else(malformed)?;
        let is_left = match &defaults[node] {
            Value::Bool(is_left) => *is_left,
            number => place(number).ok_or_else(malformed)? != 0,
        };
        let is_category = match kinds.get(node) {
            None => false,
            Some(kind) => place(kind).ok_or_else(malformed)? == 1,
        };
        // A category in the set goes right, and so does what is not less than a number.
        let (decision, branches) = if is_category {
            let mut set = std::mem::take(&mut sets[node]);
            if !is_left {
                set.push(f64::NAN);
            }
            (Decision::Among(set), [right, left])
        } else {
            let decision = Decision::AtMost {
                threshold: f64::from(condition?.next_down()),
                missing: is_left,
            };
            (decision, [left, right])
        };
        parts.push(Some(Part::Split {
            column,
            decision,
            branches,
        }));
    }
    Ok((parts, is_vector))
}

/// Returns a finite number in single precision.
fn single(json: &Value) -> Option<f32> {
    Some(finite(json)? as f32).filter(|number| number.is_finite())
}

/// Returns the set of categories of each node.
fn sets(tree: &Value, nodes: usize) -> Result<Vec<Vec<f64>>, ImportError> {
    let mut sets = vec![Vec::new(); nodes];
    if tree.get("categories_nodes").is_none() {
        return Ok(sets);
    }
    let places = |name: &str| -> Result<Vec<usize>, ImportError> {
        let places = FORMAT.list(tree, name)?.iter().map(place).collect::<Option<_>>();
        places.ok_or_else(|| FORMAT.malformed(name))
    };
    let categories = places("categories")?;
    let (starts, sizes) = (places("categories_segments")?, places("categories_sizes")?);
    for ((node, start), size) in places("categories_nodes")?.into_iter().zip(starts).zip(sizes) {
        let end = start.checked_add(size);
        let set = end.and_then(|end| categories.get(start..end));
        let (Some(set), Some(place)) = (set, sets.get_mut(node)) else {
            return Err(FORMAT.malformed("a tree's list of categories"));
        };
        *place = set.iter().map(|&category| category as f64).collect();
    }
    Ok(sets)
}

/// Returns the categories by which cells are replaced, which files since version 3.1 have for those
/// of data frames.
fn recoded(model: &Value, features: usize) -> Result<Vec<Option<Recoded>>, ImportError> {
    const NAME: &str = "cats";
    let lists = match model.get(NAME).and_then(|cats| cats.get("enc")) {
        None => return Ok(vec![None; features]),
        Some(lists) => lists.as_array().ok_or_else(|| FORMAT.malformed(NAME))?,
    };
    if lists.is_empty() {
        return Ok(vec![None; features]);
    }
    if lists.len() != features {
        return Err(FORMAT.malformed(NAME));
    }
    lists.iter().map(categories).collect()
}

/// Returns the categories of a column: texts one after the other with their ends, or numbers.
fn categories(list: &Value) -> Result<Option<Recoded>, ImportError> {
    let malformed = || FORMAT.malformed("cats");
    let values = FORMAT.list(list, "values")?;
    if values.is_empty() {
        return Ok(None);
    }
    let categories = if list.get("offsets").is_some() {
        // Texts are lists of signed bytes.
        let bytes: Option<Vec<u8>> = values.iter().map(|byte| Some(byte.as_i64()? as u8)).collect();
        let bytes = bytes.ok_or_else(malformed)?;
        if !bytes.is_ascii() {
            return FORMAT.refuse(
                "it has categories with letters other than those of ASCII, which XGBoost cuts in the file: encode them as numbers before it is fitted",
            );
        }
        let ends: Option<Vec<usize>> = FORMAT.list(list, "offsets")?.iter().map(place).collect();
        let text = |ends: &[usize]| {
            let text = bytes.get(ends[0]..ends[1])?.to_vec();
            String::from_utf8(text).ok()
        };
        let texts: Option<Vec<String>> = ends.ok_or_else(malformed)?.windows(2).map(text).collect();
        Categories::Texts(texts.ok_or_else(malformed)?)
    } else {
        let numbers: Option<Vec<f64>> = values.iter().map(finite).collect();
        Categories::Numbers(numbers.ok_or_else(malformed)?)
    };
    // A missing cell has a number of its own, which takes the branch of missing ones.
    let other = categories.len() as f64;
    Ok(Some(Recoded { categories, other }))
}
