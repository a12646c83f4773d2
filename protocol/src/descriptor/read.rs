//! Reading of descriptors from JSON.

use super::{
    Curve, Feature, ImageShape, Inputs, Link, Member, ModelDescriptor, NormBound, Output, Sizes, Task,
};
use crate::{
    encoding::encoding,
    ids::ModelId,
    json::{Json, shown},
};
use serde::{
    Deserialize, Deserializer,
    de::{Error, value::StrDeserializer},
};
use std::fmt;

impl<'de> Deserialize<'de> for ModelDescriptor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_json(Json::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl ModelDescriptor {
    /// Reads a descriptor, unchecked. Fields that this version doesn't know are ignored.
    ///
    /// # Errors
    /// If a field is missing or of another kind. The error names it.
    pub fn from_json(json: Json) -> Result<Self, String> {
        json.object()?.read_known(|fields| Self {
            name: fields.field("name", Json::text),
            id: fields.field_or("id", id, ModelId::NONE),
            title: fields.field("title", Json::text),
            formats: fields.field("formats", |formats| formats.each(format)),
            parameter_set: fields.field("parameter_set", Json::text),
            inputs: fields.field_or("inputs", inputs, Inputs::uniform(0, 0.0, 0.0, 0)),
            input_step: fields.field("input_step", |step| step.whole(u64::MAX)),
            fine_features: fields.optional("fine_features", Json::count),
            outputs: fields.field("outputs", |outputs| outputs.each(output)),
            fine: fields.optional("fine", Json::count),
            answer: fields.optional("answer", named).unwrap_or_default(),
            task: fields.field_or("task", named, Task::Regression),
            classes: fields.optional("classes", Json::texts),
            link: fields.field_or("link", named, Link::Identity),
            members: fields
                .optional("members", |members| members.each(member))
                .unwrap_or_default(),
            sizes: fields.field("sizes", sizes),
            score_error: fields.field("score_error", Json::number),
            accuracy: fields.optional("accuracy", Json::number),
            batch: fields.optional("batch", Json::size),
            version: fields.optional("version", Json::count),
        })
    }
}

fn id(json: Json) -> Result<ModelId, String> {
    json.text()?.parse().map_err(|error| format!("{error}"))
}

fn format(json: Json) -> Result<u16, String> {
    json.whole(u16::MAX.into()).map(|format| format as u16)
}

fn inputs(json: Json) -> Result<Inputs, String> {
    json.object()?.read_known(|fields| Inputs {
        count: fields.field("count", Json::size),
        min: fields.field("min", Json::number),
        max: fields.field("max", Json::number),
        levels: fields.field("levels", Json::count),
        features: fields.optional("features", |features| features.each(feature)),
        norm: fields.optional("norm", norm),
        image: fields.optional("image", image),
        encoding: fields.optional("encoding", encoding),
    })
}

fn feature(json: Json) -> Result<Feature, String> {
    json.object()?.read_known(|fields| Feature {
        name: fields.optional("name", Json::text),
        min: fields.field("min", Json::number),
        max: fields.field("max", Json::number),
    })
}

fn norm(json: Json) -> Result<NormBound, String> {
    json.object()?.read(|fields| NormBound {
        centre: fields.field("centre", Json::number),
        max: fields.field("max", Json::number),
    })
}

fn image(json: Json) -> Result<ImageShape, String> {
    json.object()?.read(|fields| ImageShape {
        width: fields.field("width", Json::size),
        height: fields.field("height", Json::size),
        deskew: fields.flag("deskew"),
    })
}

fn output(json: Json) -> Result<Output, String> {
    json.object()?.read_known(|fields| Output {
        label: fields.field("label", Json::text),
        offset: fields.field("offset", Json::number),
        half_range: fields.field("half_range", Json::number),
    })
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        member(Json::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

fn member(json: Json) -> Result<Member, String> {
    json.object()?.read(|fields| Member {
        link: fields.field_or("link", named, Link::Identity),
        scores: fields.field("scores", Json::size),
        weight: fields.field("weight", Json::number),
        curves: fields.optional("curves", curves).unwrap_or_default(),
    })
}

fn curves(json: Json) -> Result<Vec<Curve>, String> {
    // A loop takes less WebAssembly than `each` would.
    let mut curves = Vec::new();
    for curve in json.list()? {
        let mut fields = Curve {
            thresholds: Vec::new(),
            probabilities: Vec::new(),
        };
        curve.object()?.read(|read| {
            fields.thresholds = read.field("thresholds", Json::numbers);
            fields.probabilities = read.field("probabilities", Json::numbers);
        })?;
        curves.push(fields);
    }
    Ok(curves)
}

fn sizes(json: Json) -> Result<Sizes, String> {
    json.object()?.read_known(|fields| Sizes {
        public_key: fields.field("public_key", Json::size),
        query: fields.field("query", Json::size),
        response: fields.field("response", Json::size),
    })
}

/// Reads one of several names.
fn named<T: for<'de> Deserialize<'de>>(json: Json) -> Result<T, String> {
    let text = json.text()?;
    T::deserialize(StrDeserializer::new(&text))
        .map_err(|NoSuchName| format!("unknown value {}", shown(&text)))
}

/// Error without the text that serde would format for it: the caller has a better one.
#[derive(Debug, thiserror::Error)]
#[error("unknown value")]
struct NoSuchName;

impl Error for NoSuchName {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptor::example::{json, read};
    use serde_json::{Value, json};

    /// Reads the example with one value replaced, or put in.
    fn error(parent: &str, name: &str, value: Value) -> String {
        let mut json = json();
        json.pointer_mut(parent).unwrap()[name] = value;
        let read: Result<ModelDescriptor, _> = serde_json::from_value(json);
        read.map_or_else(|error| error.to_string(), |_| "none".into())
    }

    #[test]
    fn descriptors_are_read_as_they_are_written() {
        let model = read(json());
        let again = serde_json::to_string(&model).unwrap();
        assert_eq!(serde_json::from_str::<ModelDescriptor>(&again).unwrap(), model);
        let mut least = json();
        for (parent, name) in [
            ("", "classes"),
            ("", "accuracy"),
            ("", "version"),
            ("/inputs", "norm"),
            ("/inputs", "image"),
            ("/inputs", "features"),
        ] {
            least.pointer_mut(parent).unwrap()[name] = Value::Null;
        }
        let model = read(least);
        assert_eq!(model.classes, None);
        let again = serde_json::to_value(&model).unwrap();
        assert_eq!(again.get("accuracy"), None);
        assert_eq!(read(again), model);
    }

    #[test]
    fn fields_of_later_versions_are_ignored() {
        for parent in ["", "/inputs", "/outputs/0", "/sizes", "/inputs/features/0"] {
            assert_eq!(
                error(parent, "later", json!([null, { "a": 1 }])),
                "none",
                "{parent}"
            );
        }
        // These steer a client, so nothing in them may be unknown.
        for parent in ["/inputs/norm", "/inputs/image"] {
            assert!(
                error(parent, "later", json!(1)).ends_with("unknown field \"later\""),
                "{parent}"
            );
        }
    }

    #[test]
    fn what_is_of_another_kind_is_refused_by_its_name() {
        for (parent, name, value, words) in [
            (
                "",
                "id",
                json!("x"),
                "`id`: expected 32 lowercase hexadecimal digits",
            ),
            ("", "name", Value::Null, "missing field `name`"),
            (
                "",
                "formats",
                json!([65_536]),
                "`formats`: expected a whole number from 0 to 65535",
            ),
            (
                "",
                "input_step",
                json!(0.5),
                "`input_step`: expected a whole number from 0 to 18446744073709551615",
            ),
            ("", "classes", json!(["a", 1]), "`classes`: expected a text"),
            ("", "link", json!("x"), "`link`: unknown value \"x\""),
            ("", "inputs", json!([1]), "`inputs`: expected an object"),
            ("", "outputs", json!({}), "`outputs`: expected a list"),
            ("/inputs", "min", json!("1"), "`inputs`: `min`: expected a number"),
            (
                "/inputs",
                "levels",
                json!(-1),
                "`inputs`: `levels`: expected a whole number from 0 to 4294967295",
            ),
            (
                "/inputs",
                "levels",
                json!(4_294_967_296_u64),
                "`inputs`: `levels`: expected a whole number from 0 to 4294967295",
            ),
            (
                "/inputs",
                "encoding",
                json!({}),
                "`inputs`: `encoding`: missing field `columns`",
            ),
            (
                "/inputs/image",
                "deskew",
                json!(1),
                "`inputs`: `image`: `deskew`: expected true or false",
            ),
        ] {
            assert_eq!(error(parent, name, value), words);
        }
        for (member, words) in [
            (
                json!({ "link": "x", "scores": 1, "weight": 1 }),
                "`members`: `link`: unknown value \"x\"",
            ),
            (
                json!({ "link": "sigmoid", "scores": 0.5, "weight": 1 }),
                "`members`: `scores`: expected a whole number",
            ),
            (
                json!({ "link": "sigmoid", "scores": 1 }),
                "`members`: missing field `weight`",
            ),
            (
                json!({ "link": "sigmoid", "scores": 1, "weight": 1, "bias": 1 }),
                "`members`: unknown field \"bias\"",
            ),
        ] {
            assert!(error("", "members", json!([member])).starts_with(words));
        }
        let isotonic =
            |curve: Value| json!([{ "link": "isotonic", "scores": 1, "weight": 1, "curves": [curve] }]);
        for (curve, words) in [
            (json!({ "thresholds": [0, 1], "probabilities": [0, 1] }), "none"),
            (
                json!({ "thresholds": [0] }),
                "`members`: `curves`: missing field `probabilities`",
            ),
            (
                json!({ "thresholds": "0", "probabilities": [] }),
                "`members`: `curves`: `thresholds`: expected a list",
            ),
            (
                json!({ "thresholds": [], "probabilities": [], "slope": 1 }),
                "`members`: `curves`: unknown field \"slope\"",
            ),
        ] {
            assert!(error("", "members", isotonic(curve)).starts_with(words));
        }
        let twice = r#"{ "name": "a", "name": "b" }"#;
        let twice = serde_json::from_str::<ModelDescriptor>(twice).unwrap_err();
        assert!(
            twice.to_string().starts_with("the field \"name\" is there twice"),
            "{twice}"
        );
    }

    #[test]
    fn whole_numbers_are_exact() {
        for step in [1, (1 << 53) + 1, u64::MAX] {
            let mut json = json();
            json["input_step"] = json!(step);
            assert_eq!(read(json).input_step, step);
        }
        // As a host that has floats only gives them.
        let mut json = json();
        json["input_step"] = json!(2f64.powi(62));
        assert_eq!(read(json).input_step, 1 << 62);
        assert!(Json::Number(2f64.powi(64)).whole(u64::MAX).is_err());
        assert!(Json::Number(f64::NAN).whole(u64::MAX).is_err());
        assert!(Json::Number(-1.0).whole(u64::MAX).is_err());
    }
}
