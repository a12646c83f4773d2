//! Agreement between a model's user and its server: the ranges of its features, their encryption,
//! and the meaning of its scores.
//!
//! A client refuses features outside the descriptor's ranges, so a query that arrives tells the
//! server that they fit. A server that could change ranges midway could halve them until it knew a
//! feature. Clients therefore continue automatically only with a descriptor that doesn't differ in
//! these facts, and a pin covers them too.

use super::{Curve, Feature, ImageShape, Inputs, Member, ModelDescriptor, NormBound, Output};
use crate::decimal;
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// Maximum number of differences in a message; the rest are counted.
const SHOWN: usize = 3;

/// Agreed facts: a subject, which occurs once, and its value. Names are in quotes, and numbers are
/// exact.
pub(super) type Facts = Vec<(String, String)>;

impl ModelDescriptor {
    /// Returns everything that is agreed to. The other fields may change without asking: the id,
    /// texts for people, sizes, and quality figures.
    pub(super) fn facts(&self) -> Facts {
        let Self {
            name: _,
            id: _,
            title: _,
            formats: _,
            parameter_set,
            inputs,
            input_step,
            fine_features,
            outputs,
            fine,
            answer,
            task,
            classes,
            link,
            members,
            sizes: _,
            score_error: _,
            accuracy: _,
            batch: _,
            version: _,
        } = self;
        let mut facts = inputs.facts();
        let mut add = |what: String, value: String| facts.push((what, value));
        add("parameter set".into(), quoted(parameter_set));
        add("step of a level".into(), input_step.to_string());
        add("task".into(), task.name().into());
        add("link".into(), link.name().into());
        match classes.as_deref() {
            Some([negative, positive]) => {
                add(
                    "classes".into(),
                    format!("{}, {}", quoted(negative), quoted(positive)),
                );
            }
            classes => {
                for (index, class) in classes.into_iter().flatten().enumerate() {
                    add(format!("class {index}"), quoted(class));
                }
            }
        }
        for (index, member) in members.iter().enumerate() {
            let Member {
                link,
                scores,
                weight,
                curves,
            } = member;
            let mut value = format!("{} of {scores} scores, weight {}", link.name(), plain(*weight));
            if !curves.is_empty() {
                value = value + ", curves SHA-256 " + &digest(curves);
            }
            add(format!("model {index}"), value);
        }
        add("number of outputs".into(), outputs.len().to_string());
        for (index, output) in outputs.iter().enumerate() {
            let Output {
                label,
                offset,
                half_range,
            } = output;
            let (offset, half_range) = (plain(*offset), plain(*half_range));
            add(
                format!("output {index}"),
                format!("{}, {offset} +- {half_range}", quoted(label)),
            );
        }
        if !answer.is_scores() {
            add("answer".into(), answer.name().into());
        }
        if let Some(fine) = fine_features {
            add("finer features".into(), format!("{fine} times"));
        }
        if let Some(fine) = fine {
            add("finer scores".into(), format!("{fine} times"));
        }
        facts
    }

    /// Describes how this descriptor differs from an agreed one in its facts; `None` if it doesn't.
    pub fn difference(&self, agreed: &Self) -> Option<String> {
        let (now, before) = (self.facts(), agreed.facts());
        let (is, was) = (by_name(&now), by_name(&before));
        let names = now
            .iter()
            .chain(before.iter().filter(|(what, _)| !is.contains_key(what.as_str())));
        let differences: Vec<String> = names
            .map(|(what, _)| what.as_str())
            .filter(|what| is.get(what) != was.get(what))
            .map(|what| {
                let [was, is] = [&was, &is].map(|facts| facts.get(what).copied().unwrap_or("nothing"));
                format!("{what}: {was} before, {is} now")
            })
            .collect();
        let shown = differences[..differences.len().min(SHOWN)].join("; ");
        match differences.len() {
            0 => None,
            count if count > SHOWN => Some(format!("{shown}; and {} more differences", count - SHOWN)),
            _ => Some(shown),
        }
    }
}

impl Inputs {
    fn facts(&self) -> Facts {
        let Self {
            count,
            min,
            max,
            levels,
            features,
            norm,
            image,
            encoding,
        } = self;
        let range = |min: f64, max: f64| format!("{} to {}", plain(min), plain(max));
        let mut facts = Facts::new();
        let mut add = |what: String, value: String| facts.push((what, value));
        add("number of features".into(), count.to_string());
        add("range of features".into(), range(*min, *max));
        add("levels".into(), levels.to_string());
        for (index, Feature { name, min, max }) in features.iter().flatten().enumerate() {
            let range = range(*min, *max);
            let named = name
                .as_ref()
                .map_or(range.clone(), |name| format!("{}, {range}", quoted(name)));
            add(format!("feature {index}"), named);
        }
        if let Some(NormBound { centre, max }) = norm {
            let distance = format!("{} around {}", plain(*max), plain(*centre));
            add("largest distance of features together".into(), distance);
        }
        if let Some(ImageShape {
            width,
            height,
            deskew,
        }) = image
        {
            let deskewed = if *deskew { ", deskewed" } else { "" };
            add("image".into(), format!("{width} x {height}{deskewed}"));
        }
        if let Some(encoding) = encoding {
            add("encoding".into(), format!("SHA-256 {}", encoding.digest()));
        }
        facts
    }
}

/// Returns the SHA-256 of curves, in hexadecimal: of each the number of thresholds, and its
/// numbers.
fn digest(curves: &[Curve]) -> String {
    let mut bytes = Vec::new();
    for curve in curves {
        bytes.extend_from_slice(&(curve.thresholds.len() as u64).to_le_bytes());
        for number in curve.thresholds.iter().chain(&curve.probabilities) {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
    }
    hex::encode(Sha256::digest(bytes))
}

fn by_name(facts: &Facts) -> HashMap<&str, &str> {
    let pairs = facts.iter().map(|(what, value)| (what.as_str(), value.as_str()));
    pairs.collect()
}

/// Quotes a text so that nothing in it ends the quotes or the line. The result is the same on every
/// platform, as a fingerprint requires.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.extend(c.escape_unicode()),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Formats a number exactly and as briefly as possible; both zeros become `0`.
fn plain(value: f64) -> String {
    decimal::plain(value + 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptor::{
        Link,
        example::{json, read, with},
    };
    use serde_json::{Value, json};

    #[test]
    fn what_was_agreed_to_is_everything_that_steers_a_client() {
        let agreed = read(json());
        assert_eq!(agreed.difference(&agreed), None);
        for (pointer, value, words) in [
            (
                "/inputs/features/0/max",
                json!(60),
                r#"feature 0: "age", 0 to 120 before, "age", 0 to 60 now"#,
            ),
            (
                "/inputs/features/1/min",
                json!(-1.0000000000000002),
                "feature 1: -1 to 1 before, -1.0000000000000002 to 1 now",
            ),
            ("/inputs/features/0/name", json!("height"), "height"),
            (
                "/inputs/features",
                Value::Null,
                "feature 0: \"age\", 0 to 120 before, nothing now",
            ),
            (
                "/inputs/min",
                json!(1),
                "range of features: 0 to 120 before, 1 to 120 now",
            ),
            ("/inputs/max", json!(1), "range of features"),
            ("/inputs/count", json!(3), "number of features: 2 before, 3 now"),
            ("/inputs/levels", json!(2), "levels: 100 before, 2 now"),
            (
                "/inputs/norm/max",
                json!(0.2),
                "together: 0.4 around 0.5 before, 0.2 around 0.5 now",
            ),
            ("/inputs/norm/centre", json!(0.2), "together"),
            ("/inputs/norm", Value::Null, "together"),
            ("/inputs/image/width", json!(1), "image"),
            ("/inputs/image/height", json!(2), "image"),
            (
                "/inputs/image",
                json!({ "width": 2, "height": 1, "deskew": true }),
                "2 x 1 before, 2 x 1, deskewed now",
            ),
            ("/input_step", json!(1), "step of a level"),
            ("/parameter_set", json!("x"), "parameter set"),
            ("/answer", json!("scores"), "answer: label before, nothing now"),
            ("/link", json!("identity"), "link: softmax before, identity now"),
            ("/task", json!("regression"), "task"),
            ("/classes", Value::Null, "classes"),
            ("/outputs/0/label", json!("x"), "output 0"),
            (
                "/outputs/0/offset",
                json!(0.25),
                "output 0: \"no\", 0.5 +- 3 before, \"no\", 0.25 +- 3 now",
            ),
            ("/outputs/1/half_range", json!(2), "output 1"),
            (
                "/fine_features",
                json!(8),
                "finer features: 32 times before, 8 times now",
            ),
            (
                "/fine_features",
                Value::Null,
                "finer features: 32 times before, nothing now",
            ),
            ("/fine", json!(8), "finer scores: 16 times before, 8 times now"),
            ("/fine", Value::Null, "finer scores: 16 times before, nothing now"),
            (
                "/outputs",
                json!([{ "label": "no", "offset": 0.5, "half_range": 3 }]),
                "output 1",
            ),
        ] {
            let now = with(pointer, value);
            let difference = now
                .difference(&agreed)
                .unwrap_or_else(|| panic!("{pointer} makes no difference"));
            assert!(difference.contains(words), "{pointer}: {difference}");
            assert!(
                agreed
                    .pin()
                    .refusal(&ModelDescriptor { id: agreed.id, ..now })
                    .is_some(),
                "{pointer}"
            );
        }
    }

    #[test]
    fn classes_and_members_are_agreed_to() {
        let mut agreed = read(json());
        agreed.classes = Some(["a", "b", "c"].map(str::to_owned).to_vec());
        agreed.members = vec![Member {
            link: Link::Softmax,
            scores: 3,
            weight: 1.0,
            curves: vec![Curve {
                thresholds: vec![0.0, 0.5],
                probabilities: vec![0.0, 1.0],
            }],
        }];
        let differs = |change: &dyn Fn(&mut ModelDescriptor)| {
            let mut now = agreed.clone();
            change(&mut now);
            now.difference(&agreed).unwrap_or_default()
        };
        for (difference, words) in [
            (
                differs(&|now| now.members[0].weight = 0.5),
                "weight 1, curves SHA-256",
            ),
            (
                differs(&|now| now.members[0].link = Link::OneVsRest),
                "one-vs-rest of 3",
            ),
            (differs(&|now| now.members[0].scores = 1), "softmax of 1"),
            (differs(&|now| now.members.clear()), "model 0"),
            (
                differs(&|now| now.members[0].curves[0].thresholds[1] = 0.25),
                "curves SHA-256",
            ),
            (
                differs(&|now| now.members[0].curves[0].probabilities[0] = 0.25),
                "curves SHA-256",
            ),
            (
                differs(&|now| now.classes = Some(["a", "x", "c"].map(str::to_owned).to_vec())),
                "class 1: \"b\" before, \"x\" now",
            ),
            (differs(&|now| now.classes = None), "class 2"),
        ] {
            assert!(difference.contains(words), "{difference}");
        }
    }

    #[test]
    fn the_rest_may_change() {
        let agreed = read(json());
        for (pointer, value) in [
            ("/id", json!("1".repeat(32))),
            ("/title", json!("another")),
            ("/formats", json!([3, 4])),
            ("/sizes/query", json!(2)),
            ("/score_error", json!(0.2)),
            ("/accuracy", json!(0.9)),
            ("/batch", json!(1)),
            ("/version", json!(2)),
            ("/inputs/features/0/min", json!(-0.0)),
        ] {
            assert_eq!(with(pointer, value).difference(&agreed), None, "{pointer}");
        }
    }

    #[test]
    fn many_differences_are_counted() {
        let outputs: Vec<Value> = (0..20)
            .map(|index| json!({ "label": index.to_string(), "offset": 0, "half_range": 1 }))
            .collect();
        let difference = with("/outputs", json!(outputs))
            .difference(&read(json()))
            .unwrap();
        assert!(difference.ends_with("; and 18 more differences"), "{difference}");
    }

    #[test]
    fn names_cannot_pretend_to_be_anything_else() {
        assert_eq!(quoted("a\"\\\nö"), r#""a\"\\\u{a}ö""#);
    }
}
