//! Descriptors that were checked.

use super::{
    DescriptorError, FEATURES, FINE, FINITE, MAX_QUERIES, ModelDescriptor, OUTPUTS, POSITIVE, check,
};
use crate::{descriptor::Sizes, params::ParameterSet, wire::FORMAT_VERSION};
use serde::{Deserialize, Serialize, Serializer};
use std::ops::Deref;

/// A model that clients can work with: its descriptor, every number of which is in its range, and
/// the parameter set of its keys. Parsed once, from a [`ModelDescriptor`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "ModelDescriptor")]
pub struct CheckedDescriptor {
    descriptor: ModelDescriptor,
    parameters: ParameterSet,
}

impl Serialize for CheckedDescriptor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.descriptor.serialize(serializer)
    }
}

impl TryFrom<ModelDescriptor> for CheckedDescriptor {
    type Error = DescriptorError;

    fn try_from(descriptor: ModelDescriptor) -> Result<Self, DescriptorError> {
        // Lengths come first, since later error messages show names.
        descriptor.check_length()?;
        if !descriptor.formats.contains(&FORMAT_VERSION) {
            return Err(DescriptorError::NoCommonFormat(descriptor.formats));
        }
        let Some(parameters) = ParameterSet::by_name(&descriptor.parameter_set) else {
            return Err(DescriptorError::UnknownParameterSet(descriptor.parameter_set));
        };
        descriptor.inputs.check()?;
        check("outputs", descriptor.outputs.len(), &OUTPUTS)?;
        check("input_step", descriptor.input_step, &(1..=1 << 62))?;
        if let Some(fine) = descriptor.fine_features {
            check("fine_features", fine, &FINE)?;
            check(
                "rest of input_step by fine_features",
                descriptor.input_step % u64::from(fine),
                &(0..=0),
            )?;
            check("features in a query", descriptor.sent_features(), &FEATURES)?;
        }
        for output in &descriptor.outputs {
            check("output offset", output.offset, &FINITE)?;
            check("output half_range", output.half_range, &POSITIVE)?;
        }
        if let Some(fine) = descriptor.fine {
            check("fine", fine, &FINE)?;
        }
        check("score_error", descriptor.score_error, &(0.0..=*FINITE.end()))?;
        if let Some(accuracy) = descriptor.accuracy {
            check("accuracy", accuracy, &(0.0..=1.0))?;
        }
        if let Some(batch) = descriptor.batch {
            check("batch", batch, &(1..=MAX_QUERIES))?;
        }
        descriptor.check_task()?;
        Ok(Self {
            descriptor,
            parameters,
        })
    }
}

impl From<CheckedDescriptor> for ModelDescriptor {
    fn from(model: CheckedDescriptor) -> Self {
        model.descriptor
    }
}

impl Deref for CheckedDescriptor {
    type Target = ModelDescriptor;

    fn deref(&self) -> &ModelDescriptor {
        &self.descriptor
    }
}

impl CheckedDescriptor {
    /// Returns the same model under another name.
    ///
    /// # Errors
    /// If the name is too long.
    pub fn with_name(self, name: String) -> Result<Self, DescriptorError> {
        let descriptor = ModelDescriptor {
            name,
            ..self.descriptor
        };
        descriptor.try_into()
    }

    /// Returns the same model as a version of its name.
    #[must_use]
    pub fn with_version(mut self, version: u32) -> Self {
        self.descriptor.version = Some(version);
        self
    }

    /// Returns the parameter set of the model's keys.
    pub fn parameters(&self) -> ParameterSet {
        self.parameters
    }

    /// Returns the sizes of the model's blobs, which follow from its parameter set and its shape,
    /// whatever the descriptor claims.
    pub fn blob_sizes(&self) -> Sizes {
        Sizes::of(&self.parameters, self.sent_features(), self.sent_scores())
    }

    /// Returns the maximum number of queries in one request to the model: [`MAX_QUERIES`], or fewer
    /// if they take long or the responses would exceed 8 MiB together.
    pub fn queries_per_request(&self) -> usize {
        let by_size = self.blob_sizes().queries_per_request();
        self.batch.map_or(by_size, |batch| by_size.min(batch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptor::{Answer, FEATURES, Link, Task, example};

    #[test]
    fn factors_of_finer_features_and_scores_are_bounded() {
        let refusal = |change: &dyn Fn(&mut ModelDescriptor)| {
            let mut model = example::read(example::json());
            model.parameter_set = ParameterSet::ALL[0].name().to_owned();
            (model.classes, model.inputs.image, model.answer) = (None, None, Answer::Scores);
            change(&mut model);
            CheckedDescriptor::try_from(model).map_err(|error| error.to_string())
        };
        refusal(&|_| {}).unwrap();
        for (change, word) in [
            (
                &(|model: &mut ModelDescriptor| model.fine = Some(1)) as &dyn Fn(&mut ModelDescriptor),
                "fine is 1",
            ),
            (&|model| model.fine_features = Some(0), "fine_features is 0"),
            (
                &|model| model.fine_features = Some(2_048),
                "fine_features is 2048",
            ),
            (
                &|model| model.input_step += 1,
                "rest of input_step by fine_features is 1",
            ),
            (
                &|model| {
                    model.inputs.count = *FEATURES.end() / 2 + 1;
                    model.inputs.features = None;
                },
                "features in a query is 16386",
            ),
        ] {
            let error = refusal(change).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn a_label_has_no_link_and_no_finer_scores() {
        let refused = |link: Link, fine: Option<u32>, task: Task| {
            let mut model = example::read(example::json());
            model.parameter_set = ParameterSet::ALL[0].name().to_owned();
            (model.classes, model.inputs.image, model.answer) = (None, None, Answer::Label);
            (model.link, model.fine, model.task) = (link, fine, task);
            CheckedDescriptor::try_from(model).is_err()
        };
        assert!(!refused(Link::Identity, None, Task::Classification));
        assert!(refused(Link::Softmax, None, Task::Classification));
        assert!(refused(Link::Identity, Some(8), Task::Classification));
        assert!(refused(Link::Identity, None, Task::Regression));
    }
}
