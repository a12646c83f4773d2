//! Encryption of features.

use crate::{
    ClientError, ClientKey,
    error::FeatureName,
    glwe::{Randomness, SeededEncryption},
};
use blindscore_protocol::{
    descriptor::{CheckedDescriptor, Inputs, NormBound},
    params::ParameterSet,
    wire::{Kind, Query},
};
use zeroize::Zeroizing;

impl ClientKey {
    /// Encrypts a feature vector for `model` into a query blob, with a fresh seed and fresh noise.
    ///
    /// # Errors
    /// If the vector has the wrong length or a value that the model has no level for, or the key
    /// has another parameter set. Nothing is clamped or padded silently.
    pub fn encrypt(&self, model: &CheckedDescriptor, features: &[f64]) -> Result<Vec<u8>, ClientError> {
        self.encrypt_with(model, features, Randomness::fresh()?)
    }

    /// Encrypts a feature vector with given randomness.
    pub(crate) fn encrypt_with(
        &self,
        model: &CheckedDescriptor,
        features: &[f64],
        randomness: Randomness,
    ) -> Result<Vec<u8>, ClientError> {
        let set = self.check_parameters(model)?;
        let levels = quantise(&model.inputs, features)?;
        let (key, noise) = match &set {
            ParameterSet::Linear(params) => (self.feature_key(), params.noise),
            ParameterSet::Network(params) => (self.feature_key(), params.input_noise),
        };
        let sent = model.sent_features();
        let polynomials = sent.div_ceil(key.size.0);
        let mut messages = Zeroizing::new(vec![0u64; polynomials * key.size.0]);
        let each = model
            .feature_steps()
            .flat_map(|step| levels.iter().map(move |level| (*level, step)));
        for (message, (level, step)) in messages.iter_mut().zip(each) {
            *message = u64::from(level).wrapping_mul(step);
        }
        let format = set.query_format();
        let masks = randomness.seed.stream(Kind::Query, format.set);
        let mut bodies = Vec::with_capacity(messages.len());
        SeededEncryption::new(key, masks, randomness.sampler).encrypt(&mut bodies, &messages, noise);
        bodies.truncate(sent);
        Ok(Query::seal(
            format,
            self.key_id(),
            model.id,
            randomness.seed,
            &bodies,
        ))
    }

    pub(crate) fn check_parameters(&self, model: &CheckedDescriptor) -> Result<ParameterSet, ClientError> {
        let set = model.parameters();
        if set.id() != self.parameters().id() {
            return Err(ClientError::ParameterSet {
                model: set.name(),
                key: self.parameters().name(),
            });
        }
        Ok(set)
    }
}

/// Rounds each feature to its nearest level, `0` to `levels - 1`, after deskewing if the model asks
/// for it.
fn quantise(inputs: &Inputs, features: &[f64]) -> Result<Zeroizing<Vec<u32>>, ClientError> {
    check_features(inputs, features)?;
    Ok(Zeroizing::new(inputs.levels_of(features)))
}

/// Refuses the vectors that [`ClientKey::encrypt`] would refuse.
///
/// # Errors
/// If the number of features is not the model's, a feature is not a number in its range, or the
/// features together are too far out.
pub fn check_features(inputs: &Inputs, features: &[f64]) -> Result<(), ClientError> {
    if features.len() != inputs.count {
        return Err(ClientError::FeatureCount {
            expected: inputs.count,
            actual: features.len(),
        });
    }
    for (index, &value) in features.iter().enumerate() {
        let (min, max) = inputs.range(index);
        if !(min..=max).contains(&value) {
            return Err(ClientError::FeatureRange {
                feature: FeatureName::new(inputs, index),
                value,
                min,
                max,
            });
        }
    }
    if let Some(NormBound { centre, max }) = inputs.norm {
        let distance = inputs.distance(features, centre);
        if distance > max {
            return Err(ClientError::FeatureNorm { distance, max });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use blindscore_protocol::descriptor::{Feature, NormBound};

    fn inputs() -> Inputs {
        Inputs::uniform(2, -1.0, 1.0, 5)
    }

    #[test]
    fn quantises_to_the_nearest_level() {
        assert_eq!(*quantise(&inputs(), &[-1.0, 1.0]).unwrap(), [0, 4]);
        assert_eq!(*quantise(&inputs(), &[0.1, 0.3]).unwrap(), [2, 3]);
    }

    #[test]
    fn refuses_what_has_no_level() {
        for bad in [&[0.0][..], &[], &[0.0; 3]] {
            assert_eq!(quantise(&inputs(), bad).unwrap_err().code(), "feature_count");
        }
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.001, -1.001] {
            let error = quantise(&inputs(), &[0.0, bad]).unwrap_err();
            assert_eq!(error.code(), "feature_range");
            assert!(error.to_string().contains("feature 1"), "{error}");
        }
    }

    #[test]
    fn each_feature_has_its_range_and_its_name() {
        let feature = |name: &str, min, max| Feature {
            name: Some(name.into()),
            min,
            max,
        };
        let inputs = Inputs {
            features: Some(vec![feature("age", 0.0, 100.0), feature("height", 1.0, 2.0)]),
            ..Inputs::uniform(2, 0.0, 100.0, 5)
        };
        assert_eq!(*quantise(&inputs, &[50.0, 1.5]).unwrap(), [2, 2]);
        let error = quantise(&inputs, &[50.0, 50.0]).unwrap_err();
        assert_eq!(error.code(), "feature_range");
        assert!(error.to_string().contains("height"), "{error}");
    }

    #[test]
    fn the_ball_cuts_off_the_corners() {
        let inputs = Inputs {
            norm: Some(NormBound {
                centre: 0.5,
                max: 0.5,
            }),
            ..inputs()
        };
        assert_eq!(*quantise(&inputs, &[0.0, 1.0]).unwrap(), [2, 4]);
        assert_eq!(quantise(&inputs, &[1.0, 1.0]).unwrap_err().code(), "feature_norm");
    }
}
