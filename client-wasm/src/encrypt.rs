use crate::{ClientError, ClientKey};
use blindscore_protocol::{
    descriptor::{Inputs, ModelDescriptor},
    random::MaskSeed,
    wire::Query,
};
use zeroize::Zeroizing;

impl ClientKey {
    /// Encrypts a feature vector for `model`: a query blob with a fresh seed and fresh noise.
    ///
    /// # Errors
    /// If the vector has the wrong length or a value the model has no level for, or the key is of another
    /// parameter set. Nothing is ever clamped or padded silently.
    pub fn encrypt(&self, model: &ModelDescriptor, features: &[f64]) -> Result<Vec<u8>, ClientError> {
        let params = self.check_parameters(model)?;
        let levels = quantise(&model.inputs, features)?;
        let polynomials = params.query_ciphertexts(features.len());
        let mut messages = Zeroizing::new(vec![0u64; polynomials * params.n()]);
        for (message, &level) in messages.iter_mut().zip(levels.iter()) {
            *message = u64::from(level) << model.input_step_log2;
        }
        let seed = MaskSeed::fresh()?;
        let mut bodies = self.encrypt_polynomials(&messages, seed)?;
        bodies.truncate(features.len());
        let query = Query {
            params,
            key: self.key_id(),
            model: model.id,
            seed,
            bodies,
        };
        Ok(query.to_blob())
    }

    pub(crate) fn check_parameters(
        &self,
        model: &ModelDescriptor,
    ) -> Result<blindscore_protocol::params::LinearParams, ClientError> {
        let params = model.parse()?;
        if params.id != self.params().id {
            return Err(ClientError::ParameterSet {
                model: params.name,
                key: self.params().name,
            });
        }
        Ok(params)
    }
}

/// Rounds each feature to its nearest level, `0` to `levels - 1`.
fn quantise(inputs: &Inputs, features: &[f64]) -> Result<Zeroizing<Vec<u32>>, ClientError> {
    if features.len() != inputs.count {
        return Err(ClientError::FeatureCount {
            expected: inputs.count,
            actual: features.len(),
        });
    }
    let Inputs { min, max, levels, .. } = *inputs;
    let steps = f64::from(levels - 1) / (max - min);
    let mut quantised = Zeroizing::new(Vec::with_capacity(features.len()));
    for (index, &value) in features.iter().enumerate() {
        if !(min..=max).contains(&value) {
            return Err(ClientError::FeatureRange {
                index,
                value,
                min,
                max,
            });
        }
        quantised.push(((value - min) * steps).round() as u32);
    }
    Ok(quantised)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INPUTS: Inputs = Inputs {
        count: 2,
        min: -1.0,
        max: 1.0,
        levels: 5,
        image: None,
    };

    #[test]
    fn quantises_to_the_nearest_level() {
        assert_eq!(*quantise(&INPUTS, &[-1.0, 1.0]).unwrap(), [0, 4]);
        assert_eq!(*quantise(&INPUTS, &[0.1, 0.3]).unwrap(), [2, 3]);
    }

    #[test]
    fn refuses_what_has_no_level() {
        for bad in [&[0.0][..], &[], &[0.0; 3]] {
            assert_eq!(quantise(&INPUTS, bad).unwrap_err().code(), "feature_count");
        }
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.001, -1.001] {
            let error = quantise(&INPUTS, &[0.0, bad]).unwrap_err();
            assert_eq!(error.code(), "feature_range");
            assert!(error.to_string().contains("feature 1"), "{error}");
        }
    }
}
