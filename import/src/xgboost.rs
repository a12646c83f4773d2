//! Linear boosters of XGBoost, from the JSON that it writes (`booster.save_model("model.json")` with
//! `booster="gblinear"`).
//!
//! Such a model adds a bias, the weighted features and the margin of its base score. A missing value
//! adds nothing, as if it were 0.

use crate::{Fitted, ImportError, boosted, quoted};
use blindscore_protocol::{
    descriptor::{FEATURES, Link, OUTPUTS, Task},
    encoding::{Column, ColumnKind, Encoding, Step},
};
use serde_json::Value;

/// What the objective makes of a margin.
#[derive(Clone, Copy)]
struct Objective {
    link: Link,
    task: Task,
    /// Margin of a base score, which XGBoost gives in the units of the predictions.
    margin: fn(f64) -> f64,
}

/// Reads the `learner` of a file.
pub(crate) fn read(learner: &Value) -> Result<Fitted, ImportError> {
    let booster = field(learner, "gradient_booster")?;
    match text(booster, "name")? {
        "gblinear" => {}
        "gbtree" | "dart" => return Err(boosted::refused("a model of decision trees (XGBoost)")),
        other => return refuse(format!("its booster is {}; gblinear is served", quoted(other))),
    }
    let objective = objective(text(field(learner, "objective")?, "name")?)?;
    let parameters = field(learner, "learner_model_param")?;
    let features = count(parameters, "num_feature")?;
    if !FEATURES.contains(&features) {
        return refuse(format!(
            "it has {features} features; {} to {} are allowed",
            FEATURES.start(),
            FEATURES.end()
        ));
    }
    if parameters.get("num_target").is_some() && count(parameters, "num_target")? > 1 {
        return refuse("it has several targets: fit a model for each");
    }
    let outputs = match objective.link {
        Link::Softmax => count(parameters, "num_class")?,
        _ => 1,
    };
    if !OUTPUTS.contains(&outputs) || objective.link == Link::Softmax && outputs < 2 {
        return refuse(format!(
            "it has {outputs} classes; 2 to {} are allowed",
            OUTPUTS.end()
        ));
    }
    // Each feature's weights, one per output, and then the biases.
    let weights = numbers(field(field(booster, "model")?, "weights")?)?;
    if weights.len() != (features + 1) * outputs {
        return refuse(format!(
            "it has {} weights, not {} of {features} features and a bias",
            weights.len(),
            (features + 1) * outputs
        ));
    }
    let base = (objective.margin)(base_score(parameters)?);
    if !base.is_finite() {
        return refuse("its base_score is out of the range of its predictions");
    }
    let of = |output: usize| weights.iter().skip(output).step_by(outputs).copied();
    let coef = (0..outputs).map(|output| of(output).take(features).collect());
    let intercept = (0..outputs).map(|output| base + of(output).last().unwrap_or(0.0));
    let mut fitted = Fitted::new(objective.link, coef.collect(), intercept.collect());
    fitted.task = Some(objective.task);
    match objective.link {
        Link::Sigmoid => fitted.classes = Some(["0", "1"].map(str::to_owned).to_vec()),
        Link::Softmax => fitted.labels = Some((0..outputs).map(|class| class.to_string()).collect()),
        _ => {}
    }
    let names = names(learner, features)?;
    fitted.encoding = Some(encoding(names.as_deref(), features));
    fitted.features = names;
    Ok(fitted)
}

/// Returns the public part: missing numbers become 0, and all are in single precision, as in XGBoost.
fn encoding(names: Option<&[String]>, features: usize) -> Encoding {
    let column = |place: usize| Column {
        name: names.map(|names| names[place].clone()),
        kind: ColumnKind::Number,
        single: true,
    };
    Encoding {
        columns: (0..features).map(column).collect(),
        steps: vec![Step::Impute {
            of: (0..features).collect(),
            values: vec![0.0; features],
        }],
        features: (features..2 * features).collect(),
    }
}

fn objective(name: &str) -> Result<Objective, ImportError> {
    let objective = |link, task, margin| Ok(Objective { link, task, margin });
    match name {
        "reg:squarederror" | "reg:linear" | "reg:absoluteerror" | "reg:pseudohubererror" => {
            objective(Link::Identity, Task::Regression, |score| score)
        }
        "binary:logistic" => objective(Link::Sigmoid, Task::Classification, |score| {
            (score / (1.0 - score)).ln()
        }),
        // What all classes share has no effect.
        "multi:softprob" | "multi:softmax" => objective(Link::Softmax, Task::Classification, |_| 0.0),
        "count:poisson" | "reg:gamma" | "reg:tweedie" => objective(Link::Exp, Task::Regression, f64::ln),
        other => refuse(format!(
            "its objective is {}. Served are reg:squarederror, reg:absoluteerror, reg:pseudohubererror, binary:logistic, multi:softprob, \
             multi:softmax, count:poisson, reg:gamma and reg:tweedie",
            quoted(other)
        )),
    }
}

/// Returns the names of the features, if the file has them.
fn names(learner: &Value, features: usize) -> Result<Option<Vec<String>>, ImportError> {
    let texts = |name: &'static str| -> Result<Vec<String>, ImportError> {
        match learner.get(name) {
            None => Ok(Vec::new()),
            Some(list) => {
                let list = list.as_array().ok_or_else(|| malformed(name))?;
                let texts = list.iter().map(|text| text.as_str().map(str::to_owned));
                texts.collect::<Option<_>>().ok_or_else(|| malformed(name))
            }
        }
    };
    if texts("feature_types")?.iter().any(|kind| kind == "c") {
        return refuse("it has categorical features: encode them as numbers before it is fitted");
    }
    let names = texts("feature_names")?;
    match names.len() {
        0 => Ok(None),
        count if count == features => Ok(Some(names)),
        count => refuse(format!(
            "it has names for {count} features, and {features} features"
        )),
    }
}

/// Returns the base score: a number as text, or in brackets one for each output, of which linear
/// boosters take the first.
fn base_score(parameters: &Value) -> Result<f64, ImportError> {
    let text = text(parameters, "base_score")?.trim_matches(['[', ']']);
    let first = text.split(',').next().unwrap_or_default();
    let score: f64 = first.trim().parse().map_err(|_| malformed("base_score"))?;
    if score.is_finite() {
        Ok(score)
    } else {
        Err(malformed("base_score"))
    }
}

fn refuse<T>(words: impl Into<String>) -> Result<T, ImportError> {
    Err(ImportError::Graph(format!(
        "the XGBoost model can't be served: {}",
        words.into()
    )))
}

fn malformed(what: &str) -> ImportError {
    ImportError::Graph(format!(
        "not a model of XGBoost, or of another version: {what} is missing or malformed"
    ))
}

fn field<'j>(json: &'j Value, name: &'static str) -> Result<&'j Value, ImportError> {
    json.get(name).ok_or_else(|| malformed(name))
}

fn text<'j>(json: &'j Value, name: &'static str) -> Result<&'j str, ImportError> {
    field(json, name)?.as_str().ok_or_else(|| malformed(name))
}

/// Returns a count, which XGBoost writes as text.
fn count(json: &Value, name: &'static str) -> Result<usize, ImportError> {
    text(json, name)?.parse().map_err(|_| malformed(name))
}

fn numbers(json: &Value) -> Result<Vec<f64>, ImportError> {
    let list = json.as_array().ok_or_else(|| malformed("weights"))?;
    let finite = |number: &Value| number.as_f64().filter(|number| number.is_finite());
    let numbers = list.iter().map(finite).collect::<Option<_>>();
    numbers.ok_or_else(|| malformed("weights"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read_json;
    use serde_json::json;

    /// A model of two features.
    fn model(objective: &str, classes: usize, base: &str, weights: &[f64]) -> Value {
        json!({
            "learner": {
                "attributes": {},
                "feature_names": ["age", "income"],
                "feature_types": ["int", "float"],
                "gradient_booster": { "model": { "boosted_rounds": 9, "weights": weights }, "name": "gblinear" },
                "learner_model_param": {
                    "base_score": base,
                    "boost_from_average": "1",
                    "num_class": classes.to_string(),
                    "num_feature": "2",
                    "num_target": "1",
                },
                "objective": { "name": objective },
            },
            "version": [3, 2, 0],
        })
    }

    fn fitted(json: &Value) -> Result<Fitted, String> {
        read_json(json.to_string().as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn margins_have_the_base_score_of_the_objective() {
        for (objective, base, link, margin) in [
            ("reg:squarederror", "[2.5E0]", Link::Identity, 2.5),
            ("reg:squarederror", "-2.5E0", Link::Identity, -2.5),
            ("binary:logistic", "[7.5E-1]", Link::Sigmoid, 3f64.ln()),
            ("count:poisson", "2", Link::Exp, 2f64.ln()),
            ("reg:gamma", "[5E-1]", Link::Exp, 0.5f64.ln()),
            ("reg:tweedie", "1", Link::Exp, 0.0),
        ] {
            let read = fitted(&model(objective, 0, base, &[1.0, 2.0, 0.25])).unwrap();
            assert_eq!((read.link, &read.coef), (link, &vec![vec![1.0, 2.0]]));
            assert!((read.intercept[0] - 0.25 - margin).abs() < 1e-12, "{objective}");
            assert_eq!(read.features, Some(["age", "income"].map(str::to_owned).to_vec()));
        }
        let three = fitted(&model(
            "multi:softprob",
            3,
            "[0.1,0.2,0.3]",
            &[1., 2., 3., 4., 5., 6., 7., 8., 9.],
        ))
        .unwrap();
        assert_eq!(three.coef, [[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]);
        assert_eq!(three.intercept, [7.0, 8.0, 9.0]);
        assert_eq!(three.labels, Some(["0", "1", "2"].map(str::to_owned).to_vec()));
    }

    #[test]
    fn a_missing_value_adds_nothing() {
        let read = fitted(&model("reg:squarederror", 0, "0", &[1.0, 2.0, 0.0])).unwrap();
        let encoding = read.encoding.unwrap();
        let encoder = blindscore_client::Encoder::of(&encoding);
        let record = [
            blindscore_client::Cell::Missing,
            blindscore_client::Cell::Number(0.1),
        ];
        assert_eq!(*encoder.encode(&record).unwrap(), [0.0, f64::from(0.1f32)]);
    }

    #[test]
    fn what_is_not_served_is_refused_by_its_name() {
        let good = || model("reg:squarederror", 0, "0", &[1.0, 2.0, 0.0]);
        let with = |pointer: &str, value: Value| {
            let mut json = good();
            *json.pointer_mut(pointer).unwrap() = value;
            json
        };
        for (json, words) in [
            (
                with("/learner/gradient_booster/name", json!("gbtree")),
                "a model of decision trees (XGBoost) is not served",
            ),
            (
                with("/learner/gradient_booster/name", json!("dart")),
                "trees aren't served yet",
            ),
            (
                with("/learner/gradient_booster/name", json!("x")),
                "its booster is \"x\"",
            ),
            (
                with("/learner/objective/name", json!("rank:ndcg")),
                "its objective is \"rank:ndcg\"",
            ),
            (
                with("/learner/objective/name", json!("reg:gamma")),
                "base_score is out of the range",
            ),
            (
                with("/learner/learner_model_param/base_score", json!("[]")),
                "base_score is missing or malformed",
            ),
            (
                with("/learner/learner_model_param/base_score", json!("inf")),
                "base_score is missing or malformed",
            ),
            (
                with("/learner/learner_model_param/num_target", json!("2")),
                "several targets",
            ),
            (
                with("/learner/learner_model_param/num_feature", json!("3")),
                "3 weights, not 4 of 3 features",
            ),
            (
                with("/learner/learner_model_param/num_feature", json!("99999999999")),
                "99999999999 features",
            ),
            (
                with("/learner/learner_model_param/num_feature", json!(2)),
                "num_feature is missing or malformed",
            ),
            (
                with("/learner/gradient_booster/model/weights", json!([1, 2])),
                "2 weights, not 3",
            ),
            (
                with("/learner/gradient_booster/model/weights", json!([1, "a", 2])),
                "weights is missing or malformed",
            ),
            (
                with("/learner/feature_names", json!(["age"])),
                "names for 1 features, and 2",
            ),
            (
                with("/learner/feature_types", json!(["c", "float"])),
                "categorical features",
            ),
            (
                model("multi:softmax", 1, "0", &[1.0, 2.0, 0.0]),
                "1 classes; 2 to",
            ),
            (json!({ "learner": {} }), "gradient_booster is missing"),
            (json!({ "oblivious_trees": [] }), "(CatBoost) is not served"),
            (json!({ "tree_info": [] }), "(LightGBM) is not served"),
            (json!([]), "neither a model of the library interpret"),
        ] {
            let error = fitted(&json).unwrap_err();
            assert!(error.contains(words), "{words}: {error}");
        }
    }
}
