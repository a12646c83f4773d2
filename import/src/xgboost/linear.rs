//! Linear boosters of XGBoost, from the JSON that it writes (`booster.save_model("model.json")`
//! with `booster="gblinear"`).
//!
//! Such a model adds a bias, the weighted features and the margin of its base score. A missing
//! value adds nothing, as if it were 0.

use super::{FORMAT, Learner};
use crate::{Fitted, ImportError, quoted};
use blindscore_protocol::{
    descriptor::Link,
    encoding::{Column, ColumnKind, Encoding, Step},
};
use serde_json::Value;

/// Reads the `learner` of a file.
pub(crate) fn read(learner: &Value) -> Result<Fitted, ImportError> {
    let booster = FORMAT.field(learner, "gradient_booster")?;
    match FORMAT.text(booster, "name")? {
        "gblinear" => {}
        "gbtree" | "dart" => return FORMAT.refuse("it has no trees"),
        other => return FORMAT.refuse(format!("its booster is {}; gblinear is served", quoted(other))),
    }
    let Learner {
        objective,
        features,
        outputs,
        names,
        base,
        ..
    } = Learner::read(learner)?;
    if objective.link != Link::Softmax && outputs > 1 {
        return FORMAT.refuse("it has several targets: fit a model for each");
    }
    if learner.get("feature_types").is_some()
        && FORMAT
            .texts(learner, "feature_types")?
            .iter()
            .any(|kind| kind == "c")
    {
        return FORMAT.refuse("it has categorical features: encode them as numbers before it is fitted");
    }
    // Each feature's weights, one per output, and then the biases.
    let weights = FORMAT.numbers(FORMAT.field(booster, "model")?, "weights")?;
    if weights.len() != (features + 1) * outputs {
        return FORMAT.refuse(format!(
            "it has {} weights, not {} of {features} features and a bias",
            weights.len(),
            (features + 1) * outputs
        ));
    }
    // Linear boosters take the first base score, and what all classes share has no effect.
    let base = match objective.link {
        Link::Softmax => 0.0,
        _ => base[0],
    };
    let of = |output: usize| weights.iter().skip(output).step_by(outputs).copied();
    let coef = (0..outputs).map(|output| of(output).take(features).collect());
    let intercept = (0..outputs).map(|output| base + of(output).last().unwrap_or(0.0));
    let mut fitted = Fitted::new(objective.link, coef.collect(), intercept.collect());
    fitted.task = Some(objective.task);
    (fitted.classes, fitted.labels) = objective.classes(outputs);
    fitted.encoding = Some(encoding(names.as_deref(), features));
    fitted.features = names;
    Ok(fitted)
}

/// Returns the public part: missing numbers become 0, and all are in single precision, as in
/// XGBoost.
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
                "it has no trees",
            ),
            (
                with("/learner/gradient_booster/name", json!("dart")),
                "it has no trees",
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
                "names for 2 features, and 3",
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
            (json!([]), "neither a model of XGBoost, LightGBM or CatBoost"),
        ] {
            let error = fitted(&json).unwrap_err();
            assert!(error.contains(words), "{words}: {error}");
        }
    }
}
