//! Trees of CatBoost, from its JSON (`model.save_model("model.json", format="json")`).

use super::{Decision, Ensemble, Format, Grower, Missing, Part, Source, format::finite};
use crate::{ImportError, quoted};
use blindscore_protocol::descriptor::{FEATURES, Link, OUTPUTS, Task};
use serde_json::Value;

const FORMAT: Format = Format("CatBoost");
/// Most decisions of a tree that asks the same at each level.
const MOST_LEVELS: usize = 16;
/// What to do about categories.
const CATEGORIES: &str = "encode them as numbers before it is fitted, with OneHotEncoder or OrdinalEncoder for instance, and leave cat_features out";

/// What becomes of margins.
struct Objective {
    link: Link,
    task: Task,
}

/// Where columns stand, and what becomes of their missing numbers.
struct Columns {
    /// Column of each number.
    places: Vec<usize>,
    /// Whether a missing number of it is less than all borders.
    missing_is_low: Vec<bool>,
}

/// Reads a file.
pub(super) fn read(json: &Value) -> Result<Ensemble, ImportError> {
    let about = FORMAT.field(json, "model_info")?;
    let (columns, sources) = columns(FORMAT.field(json, "features_info")?)?;
    let (scale, base) = scale_and_bias(json)?;
    let outputs = base.len();
    let objective = objective(about, outputs)?;
    let output = (outputs == 1).then_some(0);
    let mut grower = Grower::default();
    let is_symmetric = json.get("oblivious_trees").is_some();
    let trees = FORMAT.list(json, if is_symmetric { "oblivious_trees" } else { "trees" })?;
    for tree in trees {
        let mut parts = Vec::new();
        if is_symmetric {
            symmetric(tree, &columns, outputs, scale, &mut parts)?;
        } else {
            add(tree, &columns, outputs, scale, &mut parts)?;
        }
        let root = parts.len().saturating_sub(1);
        let added = grower.add(parts, root, output);
        added.or_else(|why| FORMAT.refuse(why))?;
    }
    let mut ensemble = grower
        .finish(sources, base, objective.link, objective.task)
        .or_else(|why| FORMAT.refuse(why))?;
    if ensemble.task == Task::Classification {
        let names = classes(about)?;
        let expected = if outputs == 1 { 2 } else { outputs };
        if names.len() != expected {
            return Err(FORMAT.malformed("class_names"));
        }
        match outputs {
            1 => ensemble.classes = Some(names),
            _ => ensemble.labels = Some(names),
        }
    }
    Ok(ensemble)
}

fn columns(features: &Value) -> Result<(Columns, Vec<Source>), ImportError> {
    let floats = FORMAT.list(features, "float_features")?;
    let mut places = Vec::with_capacity(floats.len());
    let mut missing_is_low = Vec::with_capacity(floats.len());
    let mut named: Vec<(usize, String)> = Vec::new();
    let name = |feature: &Value, place: usize| match feature.get("feature_id").and_then(Value::as_str) {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => place.to_string(),
    };
    for (number, feature) in floats.iter().enumerate() {
        if FORMAT.place(feature, "feature_index")? != number {
            return Err(FORMAT.malformed("feature_index"));
        }
        let place = FORMAT.place(feature, "flat_feature_index")?;
        missing_is_low.push(match FORMAT.text(feature, "nan_value_treatment")? {
            "AsIs" | "AsFalse" => true,
            "AsTrue" => false,
            _ => return Err(FORMAT.malformed("nan_value_treatment")),
        });
        places.push(place);
        named.push((place, name(feature, place)));
    }
    // Features of other kinds keep their places, and no tree that is served asks for them.
    for kind in ["categorical_features", "text_features", "embedding_features"] {
        for feature in features.get(kind).and_then(Value::as_array).into_iter().flatten() {
            let place = FORMAT.place(feature, "flat_feature_index")?;
            named.push((place, name(feature, place)));
        }
    }
    named.sort();
    if !FEATURES.contains(&named.len()) || !named.iter().map(|(place, _)| *place).eq(0..named.len()) {
        return FORMAT.refuse(format!(
            "it has {} columns, or some that the file leaves out; {} to {} are allowed",
            named.len(),
            FEATURES.start(),
            FEATURES.end()
        ));
    }
    // CatBoost counts columns that have no names.
    let unnamed = named.iter().all(|(place, name)| *name == place.to_string());
    let source = |(_, name): (usize, String)| Source {
        name: (!unnamed).then_some(name),
        single: true,
        missing: Missing::Own,
        recoded: None,
    };
    let columns = Columns {
        places,
        missing_is_low,
    };
    Ok((columns, named.into_iter().map(source).collect()))
}

/// Returns the factor of the leaves, and what is added to each sum.
fn scale_and_bias(json: &Value) -> Result<(f64, Vec<f64>), ImportError> {
    const NAME: &str = "scale_and_bias";
    let [scale, bias] = FORMAT.list(json, NAME)? else {
        return Err(FORMAT.malformed(NAME));
    };
    let bias: Option<Vec<f64>> = match bias {
        Value::Array(bias) => bias.iter().map(finite).collect(),
        single => finite(single).map(|bias| vec![bias]),
    };
    let both = finite(scale).zip(bias);
    let (scale, bias) = both.ok_or_else(|| FORMAT.malformed(NAME))?;
    if !OUTPUTS.contains(&bias.len()) {
        return FORMAT.refuse(format!(
            "it has {} outputs; at most {} are allowed",
            bias.len(),
            OUTPUTS.end()
        ));
    }
    Ok((scale, bias))
}

fn objective(about: &Value, outputs: usize) -> Result<Objective, ImportError> {
    let objective = |link, task| Ok(Objective { link, task });
    let loss = about
        .get("params")
        .and_then(|parameters| parameters.get("loss_function")?.get("type")?.as_str());
    let loss = loss.ok_or_else(|| FORMAT.malformed("loss_function"))?;
    let found = match loss {
        "Logloss" | "CrossEntropy" => objective(Link::Sigmoid, Task::Classification),
        "MultiClass" => objective(Link::Softmax, Task::Classification),
        "RMSE" | "MAE" | "Quantile" | "Expectile" | "Huber" | "MAPE" | "Lq" | "LogCosh" | "MultiRMSE" => {
            objective(Link::Identity, Task::Regression)
        }
        "Poisson" | "Tweedie" => objective(Link::Exp, Task::Regression),
        "MultiClassOneVsAll" => {
            return FORMAT.refuse(
                "its loss_function is MultiClassOneVsAll, whose probabilities don't add up to one: use MultiClass",
            );
        }
        other => {
            return FORMAT.refuse(format!(
                "its loss_function is {}. Served are Logloss, CrossEntropy, MultiClass, RMSE, MAE, Quantile, Expectile, Huber, MAPE, Lq, LogCosh, \
                 MultiRMSE, Poisson and Tweedie",
                quoted(other)
            ));
        }
    };
    match (loss, outputs) {
        ("MultiClass", 2..) | ("MultiRMSE", _) => found,
        (name, 1) if name != "MultiClass" => found,
        _ => Err(FORMAT.malformed("scale_and_bias")),
    }
}

/// Returns the names of the classes, as CatBoost predicts them; it counts them if the file has
/// none.
fn classes(about: &Value) -> Result<Vec<String>, ImportError> {
    let counted = || ["0", "1"].map(str::to_owned).to_vec();
    let Some(classes) = about.get("class_params") else {
        return Ok(counted());
    };
    let name = |name: &Value| match name {
        Value::String(name) => Some(name.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(if *truth { "True" } else { "False" }.to_owned()),
        _ => None,
    };
    let names = FORMAT.list(classes, "class_names")?;
    if names.is_empty() {
        return Ok(counted());
    }
    let names = names.iter().map(name);
    names
        .collect::<Option<_>>()
        .ok_or_else(|| FORMAT.malformed("class_names"))
}

/// Returns a decision: whether a number is not above a border.
fn split(split: &Value, columns: &Columns, branches: [usize; 2]) -> Result<Part, ImportError> {
    match FORMAT.text(split, "split_type")? {
        "FloatFeature" => {}
        "OneHotFeature" | "OnlineCtr" => {
            return FORMAT.refuse(format!("it has categorical features: {CATEGORIES}"));
        }
        other => {
            return FORMAT.refuse(format!(
                "it decides by a {}: fit it with columns of numbers only",
                quoted(other)
            ));
        }
    }
    let number = FORMAT.place(split, "float_feature_index")?;
    let known = columns.places.get(number).zip(columns.missing_is_low.get(number));
    let (&column, &missing) = known.ok_or_else(|| FORMAT.malformed("float_feature_index"))?;
    // Borders are in single precision.
    let threshold = f64::from(FORMAT.number(split, "border")? as f32);
    Ok(Part::Split {
        column,
        decision: Decision::AtMost { threshold, missing },
        branches,
    })
}

fn leaf(numbers: &[f64], outputs: usize, scale: f64) -> Result<Part, ImportError> {
    if numbers.len() != outputs {
        return Err(FORMAT.malformed("a leaf"));
    }
    Ok(Part::Leaf(numbers.iter().map(|number| number * scale).collect()))
}

/// Adds a tree that asks the same at each level, the root last. The first decision is the lowest
/// bit of a leaf's number.
fn symmetric(
    tree: &Value,
    columns: &Columns,
    outputs: usize,
    scale: f64,
    parts: &mut Vec<Option<Part>>,
) -> Result<(), ImportError> {
    let splits = match tree.get("splits") {
        Some(Value::Null) | None => &[],
        Some(_) => FORMAT.list(tree, "splits")?,
    };
    let numbers = FORMAT.numbers(tree, "leaf_values")?;
    if splits.len() > MOST_LEVELS || numbers.len() != outputs << splits.len() {
        return Err(FORMAT.malformed("leaf_values"));
    }
    for numbers in numbers.chunks_exact(outputs) {
        parts.push(Some(leaf(numbers, outputs, scale)?));
    }
    let mut level = 0..parts.len();
    for decision in splits {
        let start = parts.len();
        for pair in level.step_by(2) {
            parts.push(Some(split(decision, columns, [pair, pair + 1])?));
        }
        level = start..parts.len();
    }
    Ok(())
}

/// Adds a node of another tree after its branches, and returns its place. JSON is not nested
/// deeply.
fn add(
    node: &Value,
    columns: &Columns,
    outputs: usize,
    scale: f64,
    parts: &mut Vec<Option<Part>>,
) -> Result<usize, ImportError> {
    let part = match node.get("split") {
        Some(decision) => {
            let low = add(FORMAT.field(node, "left")?, columns, outputs, scale, parts)?;
            let high = add(FORMAT.field(node, "right")?, columns, outputs, scale, parts)?;
            split(decision, columns, [low, high])?
        }
        None => match FORMAT.field(node, "value")? {
            Value::Array(_) => leaf(&FORMAT.numbers(node, "value")?, outputs, scale)?,
            _ => leaf(&[FORMAT.number(node, "value")?], outputs, scale)?,
        },
    };
    parts.push(Some(part));
    Ok(parts.len() - 1)
}
