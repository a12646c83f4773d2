//! Length limits of a descriptor. Clients read no more of a response than this.

use super::{DescriptorError, Feature, Inputs, Member, ModelDescriptor, Output, check};
use crate::encoding::Encoding;

/// Maximum size of a descriptor as JSON, in bytes. It has room for the maximum of 16,384 features
/// with names of 170 bytes each.
pub const DESCRIPTOR_BYTES: usize = 4 << 20;
/// Maximum size of a name, a label or a title, in bytes.
pub const TEXT_BYTES: usize = 1_000;

/// Size of a feature in JSON without its name, in bytes: two numbers and their keys.
const FEATURE: usize = 80;
/// Size of an output in JSON without its label, in bytes.
const OUTPUT: usize = 100;
/// Size of a member in JSON, in bytes.
const MEMBER: usize = 88;
/// Size of a curve in JSON without its numbers, and with what stands around a member's curves, in
/// bytes.
const CURVE: usize = 52;
/// Size of a number in JSON and a comma, in bytes.
const NUMBER: usize = 25;
/// Size of a version of the wire format and a comma, in bytes.
const FORMAT: usize = 6;
/// Size of the quotes and the comma of a class in JSON, in bytes.
const CLASS: usize = 3;
/// Size of everything that a descriptor has once, without texts, in bytes.
const ONCE: usize = 1_000;

impl ModelDescriptor {
    /// Refuses texts that are too long, and descriptors that may take too many bytes in JSON.
    pub(super) fn check_length(&self) -> Result<(), DescriptorError> {
        check("number of formats", self.formats.len(), &(1..=100))?;
        for (what, text) in self.texts() {
            at_most(what, text.len(), TEXT_BYTES)?;
        }
        at_most("the model's descriptor", self.json_bytes(), DESCRIPTOR_BYTES)
    }

    /// Returns every text of the descriptor, with a description.
    fn texts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let names = self.inputs.features.iter().flatten();
        let names =
            names.filter_map(|Feature { name, .. }| Some(("the name of a feature", name.as_deref()?)));
        let labels = self.outputs.iter();
        let labels = labels.map(|Output { label, .. }| ("the label of an output", label.as_str()));
        let classes = self
            .classes
            .iter()
            .flatten()
            .map(|class| ("the label of a class", class.as_str()));
        [
            ("the model's name", self.name.as_str()),
            ("the model's title", &self.title),
            ("the parameter set's name", &self.parameter_set),
        ]
        .into_iter()
        .chain(names)
        .chain(labels)
        .chain(classes)
    }

    /// Returns an upper bound on the size as JSON without blanks, in bytes.
    fn json_bytes(&self) -> usize {
        let Inputs {
            features, encoding, ..
        } = &self.inputs;
        let encoding = encoding.as_ref().map_or(0, Encoding::json_bytes);
        let texts: usize = self.texts().map(|(_, text)| quoted_bytes(text)).sum();
        let features = features.as_ref().map_or(0, Vec::len);
        let members = self.members.iter();
        ONCE + texts
            + encoding
            + FEATURE * features
            + OUTPUT * self.outputs.len()
            + members.map(member_bytes).sum::<usize>()
            + CLASS * self.classes.as_ref().map_or(0, Vec::len)
            + FORMAT * self.formats.len()
    }
}

fn member_bytes(member: &Member) -> usize {
    member.curves.iter().fold(MEMBER, |sum, curve| {
        sum + CURVE + NUMBER * (curve.thresholds.len() + curve.probabilities.len())
    })
}

/// Returns the size of a text in JSON without its quotes, in bytes.
pub(crate) fn quoted_bytes(text: &str) -> usize {
    let bytes = |byte| match byte {
        b'"' | b'\\' => 2,
        0..0x20 => 6,
        _ => 1,
    };
    text.bytes().map(bytes).sum()
}

fn at_most(what: &str, bytes: usize, allowed: usize) -> Result<(), DescriptorError> {
    if bytes <= allowed {
        return Ok(());
    }
    Err(DescriptorError::TooLong {
        what: what.to_owned(),
        bytes,
        allowed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        descriptor::{Curve, FEATURES, Link, NormBound, OUTPUTS, Sizes, example},
        params::ParameterSet,
    };

    /// Number with as many digits as possible.
    const LONG: f64 = -2.2250738585072014e-308;

    /// Returns a descriptor with these numbers of features and outputs, `name` as every text, and
    /// every number as long as possible.
    fn long(features: usize, outputs: usize, name: &str) -> ModelDescriptor {
        let mut model = example::read(example::json());
        let set = ParameterSet::ALL[0];
        model.formats = vec![u16::MAX; 100];
        model.parameter_set = set.name().to_owned();
        model.inputs.count = features;
        model.inputs.min = LONG;
        model.inputs.max = LONG;
        model.inputs.norm = Some(NormBound {
            centre: LONG,
            max: LONG,
        });
        let feature = Feature {
            name: Some(name.to_owned()),
            min: LONG,
            max: LONG,
        };
        model.inputs.features = Some(vec![feature; features]);
        let output = Output {
            label: name.to_owned(),
            offset: LONG,
            half_range: LONG,
        };
        model.outputs = vec![output; outputs];
        model.title = name.to_owned();
        model.classes = Some(vec![name.to_owned(); 2]);
        model.sizes = Sizes {
            public_key: usize::MAX,
            query: usize::MAX,
            response: usize::MAX,
        };
        model.input_step = u64::MAX;
        model.score_error = LONG;
        model.accuracy = Some(LONG);
        model.fine = Some(u32::MAX);
        model.fine_features = Some(u32::MAX);
        model.batch = Some(usize::MAX);
        model.version = Some(u32::MAX);
        model
    }

    #[test]
    fn what_is_counted_is_at_least_what_json_takes() {
        for name in ["", "x", "\u{1}\u{1f}\n\"\\\u{7f}ä", &"\0".repeat(500)] {
            for (features, outputs) in [(1, 1), (700, 1), (1, 700)] {
                let model = long(features, outputs, name);
                let taken = serde_json::to_string(&model).unwrap().len();
                let counted = model.json_bytes();
                assert!(
                    (taken..taken + taken / 3 + ONCE).contains(&counted),
                    "{name:?}: {counted} for {taken}"
                );
            }
        }
    }

    #[test]
    fn members_and_classes_are_counted() {
        for (count, thresholds) in [(1, 0), (700, 0), (1, 2), (7, 300)] {
            let mut model = long(1, 1, "");
            let (taken, counted) = (serde_json::to_string(&model).unwrap().len(), model.json_bytes());
            model.classes = Some(vec![String::new(); count]);
            model.members = vec![
                Member {
                    link: Link::OneVsRest,
                    scores: usize::MAX,
                    weight: LONG,
                    curves: vec![
                        Curve {
                            thresholds: vec![LONG; thresholds],
                            probabilities: vec![LONG; thresholds],
                        };
                        2 * thresholds.min(1)
                    ],
                };
                count
            ];
            let more = serde_json::to_string(&model).unwrap().len() - taken;
            assert!(model.json_bytes() - counted >= more - "\"members\":[],".len() - 6);
        }
    }

    #[test]
    fn names_and_all_of_them_together_have_an_end() {
        let most = |name: &str| long(*FEATURES.end(), *OUTPUTS.end(), name).check_length();
        assert_eq!(most(&"x".repeat(160)), Ok(()));
        let error = most(&"x".repeat(300)).unwrap_err().to_string();
        assert!(error.contains("more than 4194304: shorten names"), "{error}");
        assert_eq!(long(1, 1, &"x".repeat(TEXT_BYTES)).check_length(), Ok(()));
        let error = long(1, 1, &"x".repeat(TEXT_BYTES + 1))
            .check_length()
            .unwrap_err();
        assert!(
            error.to_string().contains("takes 1001 bytes, more than 1000"),
            "{error}"
        );
        let mut formats = long(1, 1, "");
        formats.formats.push(1);
        assert!(formats.check_length().is_err());
        formats.formats.clear();
        assert!(formats.check_length().is_err());
    }

    #[test]
    fn numbers_in_messages_are_short() {
        let model = |min| {
            let mut model = long(1, 1, "");
            model.formats = vec![crate::wire::FORMAT_VERSION];
            model.inputs.min = min;
            crate::descriptor::CheckedDescriptor::try_from(model)
                .unwrap_err()
                .to_string()
        };
        let words = model(-1e308);
        assert_eq!(words, "inputs.min is -1e308, outside -1e300 to 1e300");
    }
}
