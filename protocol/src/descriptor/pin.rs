//! Pins, which stand for one exact model.

use super::ModelDescriptor;
use crate::ids::{ModelId, ParseIdError};
use core::{fmt, str::FromStr};
use sha2::{Digest, Sha256};

/// Length of a fingerprint, in bytes.
const FINGERPRINT: usize = 16;

/// Pin of one exact model.
///
/// The id alone is only the server's word: a server that deviates can keep it and change ranges. It
/// can't with the fingerprint, which clients compute themselves from what is agreed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelPin {
    id: ModelId,
    fingerprint: Option<[u8; FINGERPRINT]>,
}

/// Error for text that is not a pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a model's id is 32 lowercase hexadecimal digits; with its fingerprint, '-' and 32 more follow")]
pub struct ParsePinError;

impl From<ParseIdError> for ParsePinError {
    fn from(_: ParseIdError) -> Self {
        Self
    }
}

impl ModelPin {
    /// Returns why a model is not the pinned one; `None` if it is.
    pub fn refusal(&self, model: &ModelDescriptor) -> Option<String> {
        if self.id != model.id {
            return Some(format!("the model's id is {}, and not {}", model.id, self.id));
        }
        let fingerprint = self.fingerprint?;
        (fingerprint != model.fingerprint()).then(|| {
            format!(
                "the model has the id {} that was asked for, but other ranges, encoding or outputs than those agreed to: it would be \
                 {}, and not {self}",
                self.id,
                model.pin()
            )
        })
    }
}

impl fmt::Display for ModelPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)?;
        match self.fingerprint {
            Some(fingerprint) => write!(f, "-{}", hex::encode(fingerprint)),
            None => Ok(()),
        }
    }
}

impl FromStr for ModelPin {
    type Err = ParsePinError;

    fn from_str(text: &str) -> Result<Self, ParsePinError> {
        let (id, fingerprint) = match text.split_once('-') {
            // A fingerprint is parsed as strictly as an id, and has the same length.
            Some((id, fingerprint)) => (id, Some(fingerprint.parse::<ModelId>()?.0)),
            None => (text, None),
        };
        Ok(Self {
            id: id.parse()?,
            fingerprint,
        })
    }
}

impl ModelDescriptor {
    /// Returns the pin of this model.
    pub fn pin(&self) -> ModelPin {
        ModelPin {
            id: self.id,
            fingerprint: Some(self.fingerprint()),
        }
    }

    fn fingerprint(&self) -> [u8; FINGERPRINT] {
        let mut hash = Sha256::new_with_prefix("blindscore agreement 1\n");
        for (what, value) in self.facts() {
            hash.update(format!("{what}: {value}\n"));
        }
        let mut fingerprint = [0; FINGERPRINT];
        fingerprint.copy_from_slice(&hash.finalize()[..FINGERPRINT]);
        fingerprint
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptor::{
        Answer,
        example::{json, read, with},
    };
    use serde_json::json;

    #[test]
    fn fingerprints_stay_as_they_are() {
        let fingerprint = |model: &ModelDescriptor| model.pin().to_string()[33..].to_owned();
        let mut model = read(json());
        assert_eq!(fingerprint(&model), "8dfc6316e719fb251da569af2b53a267");
        // Models whose features and scores are sent once, and whose scores are the answer, have the
        // fingerprint that they had before there were others.
        (model.fine, model.fine_features, model.answer) = (None, None, Answer::Scores);
        assert_eq!(fingerprint(&model), "bc988acaa163dafac23ab11860af5879");
    }

    #[test]
    fn a_pin_holds_the_id_and_what_was_agreed_to() {
        let model = read(json());
        let pin = model.pin();
        assert_eq!(pin.to_string().parse(), Ok(pin));
        assert_eq!(pin.to_string().len(), 65);
        assert_eq!(pin.refusal(&model), None);
        let by_id: ModelPin = model.id.to_string().parse().unwrap();
        assert_eq!(by_id.refusal(&model), None);
        let other = with("/id", json!("1".repeat(32)));
        for pin in [pin, by_id] {
            let refusal = pin.refusal(&other).unwrap();
            assert!(
                refusal.contains(&"0".repeat(32)) && refusal.contains(&"1".repeat(32)),
                "{refusal}"
            );
        }
        let narrowed = with("/inputs/features/0/max", json!(60));
        assert!(pin.refusal(&narrowed).unwrap().contains("other ranges"));
        assert_eq!(
            by_id.refusal(&narrowed),
            None,
            "an id is what the server says it is"
        );
        for bad in [
            "",
            "0",
            &"0".repeat(31),
            &format!("{}-", "0".repeat(32)),
            &"A".repeat(32),
            &format!("{pin}0"),
        ] {
            assert_eq!(bad.parse::<ModelPin>(), Err(ParsePinError), "{bad:?}");
        }
    }
}
