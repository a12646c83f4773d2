//! Reading of encodings from JSON.

use super::{
    Branch, Categories, Column, ColumnKind, Decision, Encoding, Function, Norm, Outside, Side, Slots, Split,
    Step, Unknown, Words,
};
use crate::json::{Fields, Json, shown};
use serde::{Deserialize, Deserializer, de::Error};

impl<'de> Deserialize<'de> for Encoding {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Json::deserialize(deserializer)?;
        encoding(json).map_err(|problem| D::Error::custom(format!("encoding: {problem}")))
    }
}

pub(crate) fn encoding(json: Json) -> Result<Encoding, String> {
    json.object()?.read(|fields| Encoding {
        columns: fields.field("columns", |columns| columns.each(column)),
        steps: fields.field("steps", |steps| steps.each(step)),
        features: fields.field("features", slots),
    })
}

fn column(json: Json) -> Result<Column, String> {
    let kind = |json| {
        let all = [
            ColumnKind::Number,
            ColumnKind::Integer,
            ColumnKind::Flag,
            ColumnKind::Category,
            ColumnKind::Text,
        ];
        named(json, &all, |kind| kind.name())
    };
    json.object()?.read(|fields| Column {
        name: fields.optional("name", Json::text),
        kind: fields.field_or("kind", kind, ColumnKind::Number),
        single: fields.flag("single"),
    })
}

/// Reads one of several names.
fn named<T: Copy>(json: Json, all: &[T], name: fn(&T) -> &'static str) -> Result<T, String> {
    let text = json.text()?;
    let found = all.iter().find(|one| name(one) == text);
    found
        .copied()
        .ok_or_else(|| format!("unknown value {}", shown(&text)))
}

fn slots(json: Json) -> Result<Slots, String> {
    let range = |json: Json| match <[Json; 2]>::try_from(json.list()?) {
        Ok([first, count]) => Ok([first.count()?, count.count()?]),
        Err(_) => Err("expected [first, count]".to_owned()),
    };
    json.each(range).map(Slots::of_ranges)
}

fn categories(json: Json) -> Result<Categories, String> {
    match json.object()?.only()? {
        (kind, list) if kind == "texts" => list.texts().map(Categories::Texts),
        (kind, list) if kind == "numbers" => list.numbers().map(Categories::Numbers),
        _ => Err("expected texts or numbers".into()),
    }
}

fn unknown(json: Json) -> Result<Unknown, String> {
    match json {
        Json::Text(text) if text == "refuse" => Ok(Unknown::Refuse),
        Json::Object(object) => match object.only()? {
            (name, value) if name == "value" => value.number().map(Unknown::Value),
            _ => Err("expected a value".into()),
        },
        _ => Err("expected \"refuse\" or a value".into()),
    }
}

fn words(json: Json) -> Result<Words, String> {
    let split = |json: Json| match json {
        Json::Text(text) if text == "characters" => Ok(Split::Characters),
        Json::Object(object) => match object.only()? {
            (name, least) if name == "words" => least.count().map(Split::Words),
            _ => Err("expected words".into()),
        },
        _ => Err("expected characters or words".into()),
    };
    let ngrams = |json: Json| {
        let counts = json.each(Json::count)?;
        <[u32; 2]>::try_from(counts).map_err(|_| "expected two numbers".to_owned())
    };
    json.object()?.read(|fields| Words {
        lowercase: fields.flag("lowercase"),
        split: fields.field_or("split", split, Split::Characters),
        ngrams: fields.field("ngrams", ngrams),
        stop: fields.optional("stop", Json::texts).unwrap_or_default(),
    })
}

/// Reads a step: an object with the step's name for its only field.
fn step(json: Json) -> Result<Step, String> {
    let (name, fields) = json.object()?.only()?;
    let step = fields
        .object()
        .and_then(|object| object.read(|fields| of_name(&name, fields)));
    step.map_err(|problem| format!("{name}: {problem}"))
}

fn of_name(name: &str, fields: &mut Fields) -> Step {
    let of = |fields: &mut Fields| fields.field("of", slots);
    let from = |fields: &mut Fields| fields.field("from", Json::count);
    let numbers = |fields: &mut Fields, name: &str| fields.field(name, Json::numbers);
    let known =
        |fields: &mut Fields| fields.field_or("categories", categories, Categories::Texts(Vec::new()));
    let other = |fields: &mut Fields| fields.field_or("unknown", unknown, Unknown::Refuse);
    match name {
        "impute" => Step::Impute {
            of: of(fields),
            values: numbers(fields, "values"),
        },
        "missing" => Step::Missing { of: of(fields) },
        "affine" => Step::Affine {
            of: of(fields),
            scale: numbers(fields, "scale"),
            offset: numbers(fields, "offset"),
        },
        "sums" => Step::Sums {
            of: of(fields),
            weights: fields.field("weights", |weights| weights.each(Json::numbers)),
            offset: numbers(fields, "offset"),
        },
        "products" => Step::Products {
            of: fields.field("terms", |terms| terms.each(slots)),
        },
        "clip" => Step::Clip {
            of: of(fields),
            min: fields.field("min", Json::number),
            max: fields.field("max", Json::number),
        },
        "apply" => Step::Apply {
            of: of(fields),
            function: fields.field_or("function", function, Function::Abs),
        },
        "power" => Step::Power {
            of: of(fields),
            exponents: numbers(fields, "exponents"),
        },
        "yeo-johnson" => Step::YeoJohnson {
            of: of(fields),
            lambdas: numbers(fields, "lambdas"),
        },
        "piecewise" => Step::Piecewise {
            of: from(fields),
            x: numbers(fields, "x"),
            y: numbers(fields, "y"),
        },
        "bins" => Step::Bins {
            of: from(fields),
            edges: numbers(fields, "edges"),
            equal: fields.field_or("equal", side, Side::Below),
            missing: fields.optional("missing", Json::number),
        },
        "thermometer" => Step::Thermometer {
            of: from(fields),
            edges: numbers(fields, "edges"),
            missing: fields.flag("missing"),
        },
        "one-hot" => Step::OneHot {
            of: from(fields),
            categories: known(fields),
            unknown: other(fields),
        },
        "lookup" => Step::Lookup {
            of: from(fields),
            categories: known(fields),
            values: numbers(fields, "values"),
            unknown: other(fields),
        },
        "leaves" => Step::Leaves {
            decisions: fields.field("decisions", |decisions| decisions.each(decision)),
        },
        "normalise" => Step::Normalise {
            of: of(fields),
            norm: fields.field_or("norm", norm, Norm::Max),
        },
        "counts" => Step::Counts {
            of: from(fields),
            words: counted(fields),
            vocabulary: fields.field("vocabulary", Json::texts),
            binary: fields.flag("binary"),
        },
        "hashed" => Step::Hashed {
            of: from(fields),
            words: counted(fields),
            buckets: fields.field("buckets", Json::count),
            signed: fields.flag("signed"),
            binary: fields.flag("binary"),
        },
        "splines" => Step::Splines {
            of: from(fields),
            knots: numbers(fields, "knots"),
            degree: fields.field("degree", Json::count),
            outside: fields.field_or("outside", outside, Outside::Refuse),
            missing: fields.flag("missing"),
        },
        _ => {
            fields.refuse("there is no such step".to_owned());
            Step::Missing { of: Slots::default() }
        }
    }
}

/// Reads what a step counts as a word.
fn counted(fields: &mut Fields) -> Words {
    let none = Words {
        lowercase: false,
        split: Split::Characters,
        ngrams: [1, 1],
        stop: Vec::new(),
    };
    fields.field_or("words", words, none)
}

fn outside(json: Json) -> Result<Outside, String> {
    named(json, &Outside::ALL, |outside| outside.name())
}

fn decision(json: Json) -> Result<Decision, String> {
    let numbers = json.numbers()?;
    let read = |numbers: &[f64]| {
        let &[of, threshold, first, second, missing] = numbers else {
            return None;
        };
        let Some(Branch::Decision(of)) = Branch::of(of) else {
            return None;
        };
        Some(Decision {
            of,
            threshold,
            branches: [Branch::of(first)?, Branch::of(second)?],
            missing: match missing {
                0.0 => false,
                1.0 => true,
                _ => return None,
            },
        })
    };
    read(&numbers).ok_or_else(|| "expected a slot, a threshold, two branches, and 0 or 1".to_owned())
}

fn function(json: Json) -> Result<Function, String> {
    let all = [
        Function::Abs,
        Function::Exp,
        Function::Log,
        Function::Sqrt,
        Function::Reciprocal,
        Function::Sign,
        Function::Floor,
        Function::Ceil,
    ];
    named(json, &all, |function| function.name())
}

fn side(json: Json) -> Result<Side, String> {
    named(json, &[Side::Below, Side::Above], |side| side.name())
}

fn norm(json: Json) -> Result<Norm, String> {
    named(json, &[Norm::L1, Norm::L2, Norm::Max], |norm| norm.name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// One of every step, as in a descriptor.
    fn steps() -> Vec<Value> {
        vec![
            json!({ "impute": { "of": [[0, 1]], "values": [1.5] } }),
            json!({ "missing": { "of": [[0, 1]] } }),
            json!({ "affine": { "of": [[0, 1]], "scale": [2.0], "offset": [0.5] } }),
            json!({ "sums": { "of": [[0, 1]], "weights": [[1.0]], "offset": [0.5] } }),
            json!({ "products": { "terms": [[[0, 2]], [[1, 1], [1, 1]]] } }),
            json!({ "clip": { "of": [[0, 1]], "min": -1.0, "max": 1.0 } }),
            json!({ "apply": { "of": [[0, 1]], "function": "log" } }),
            json!({ "power": { "of": [[0, 1]], "exponents": [0.5] } }),
            json!({ "yeo-johnson": { "of": [[0, 1]], "lambdas": [0.5] } }),
            json!({ "piecewise": { "from": 0, "x": [0.5], "y": [0.5] } }),
            json!({ "bins": { "from": 0, "edges": [0.5], "equal": "above", "missing": 3.5 } }),
            json!({ "thermometer": { "from": 0, "edges": [0.5], "missing": true } }),
            json!({ "one-hot": { "from": 0, "categories": { "texts": ["a"] }, "unknown": "refuse" } }),
            json!({ "lookup": { "from": 0, "categories": { "numbers": [0.5] }, "values": [0.5], "unknown": { "value": 0.5 } } }),
            json!({ "leaves": { "decisions": [[0, 0.5, 1, -3, 1], [0, -2.5, -1, -2, 0]] } }),
            json!({ "normalise": { "of": [[0, 1]], "norm": "l2" } }),
            json!({ "counts": {
                "from": 0, "words": { "lowercase": true, "split": { "words": 2 }, "ngrams": [1, 2], "stop": ["a"] },
                "vocabulary": ["b"], "binary": true,
            } }),
            json!({ "hashed": {
                "from": 0, "words": { "split": "characters", "ngrams": [1, 2] }, "buckets": 8, "signed": true, "binary": true,
            } }),
            json!({ "splines": { "from": 0, "knots": [0.5, 1.5, 2.5], "degree": 1, "outside": "linear", "missing": true } }),
        ]
    }

    /// Reads a step as one of an encoding.
    fn read(step: Value) -> Result<Step, String> {
        let json = json!({ "columns": [], "steps": [step], "features": [] });
        let encoding: Result<Encoding, _> = serde_json::from_value(json);
        encoding
            .map(|mut encoding| encoding.steps.remove(0))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn everything_is_read_as_it_is_written() {
        for json in steps() {
            let step = read(json.clone()).unwrap();
            assert_eq!(json.as_object().unwrap().keys().next().unwrap(), step.name());
            assert_eq!(serde_json::to_value(step).unwrap(), json);
        }
        let kinds = ["number", "integer", "flag", "category", "text"];
        let columns: Vec<Value> = kinds
            .iter()
            .map(|kind| json!({ "name": "a", "kind": kind, "single": true }))
            .collect();
        let functions = ["abs", "exp", "log", "sqrt", "reciprocal", "sign", "floor", "ceil"];
        let mut steps: Vec<Value> = functions
            .iter()
            .map(|f| json!({ "apply": { "of": [], "function": f } }))
            .collect();
        steps.extend(
            ["l1", "l2", "max"]
                .iter()
                .map(|norm| json!({ "normalise": { "of": [], "norm": norm } })),
        );
        steps.extend(
            ["below", "above"]
                .iter()
                .map(|side| json!({ "bins": { "from": 0, "edges": [], "equal": side } })),
        );
        let outside = ["refuse", "constant", "linear", "continue", "periodic"];
        steps.extend(outside.iter().map(
            |outside| json!({ "splines": { "from": 0, "knots": [], "degree": 1, "outside": outside } }),
        ));
        steps.push(json!({ "counts": { "from": 0, "words": { "split": "characters", "ngrams": [1, 1] }, "vocabulary": [] } }));
        let json = json!({ "columns": columns, "steps": steps, "features": [[0, 2]] });
        let encoding: Encoding = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(serde_json::to_value(encoding).unwrap(), json);
    }

    #[test]
    fn other_fields_and_names_are_refused() {
        for json in steps() {
            let (name, fields) = json.as_object().unwrap().iter().next().unwrap();
            for field in ["lambdas", "vocabulary", "other"] {
                if fields.get(field).is_some() {
                    continue;
                }
                let mut more = fields.clone();
                more[field] = json!(["b"]);
                let error = read(json!({ name: more })).unwrap_err();
                assert!(error.contains("unknown field"), "{name} with {field}: {error}");
            }
            for field in fields.as_object().unwrap().keys() {
                let mut fewer = fields.clone();
                fewer.as_object_mut().unwrap().remove(field);
                let read = read(json!({ name: fewer }));
                assert_eq!(
                    read.is_ok(),
                    ["missing", "binary", "signed"].contains(&field.as_str()),
                    "{name} without {field}"
                );
            }
        }
        for bad in [
            json!({}),
            json!([]),
            json!({ "loop": { "of": [[0, 1]] } }),
            json!({ "missing": { "from": 1 } }),
            json!({ "missing": { "of": [[0, 1]] }, "apply": { "of": [[0, 1]], "function": "log" } }),
        ] {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
    }
}
