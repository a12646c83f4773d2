//! Purpose of a model's scores.

use super::{DescriptorError, Link, ModelDescriptor};
use serde::{Deserialize, Serialize};

/// Purpose of a model's scores.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// The scores decide for one of several classes: one score for each, or one score between two.
    Classification,
    /// Each score decides on its own whether its label holds.
    Multilabel,
    /// The scores are the result.
    Regression,
}

impl Task {
    /// Returns the name in descriptors and model files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Classification => "classification",
            Self::Multilabel => "multilabel",
            Self::Regression => "regression",
        }
    }

    /// Returns the task of a model that doesn't state one, if only one is possible.
    pub const fn implied(link: Link, outputs: usize, two_classes: bool) -> Option<Self> {
        match (link, outputs, two_classes) {
            (_, _, true) | (Link::Softmax | Link::OneVsRest, _, _) => Some(Self::Classification),
            (Link::Exp, ..) => Some(Self::Regression),
            (Link::Sigmoid, 1, _) => None,
            (Link::Sigmoid, ..) => Some(Self::Multilabel),
            (Link::Identity, 1, _) => Some(Self::Regression),
            (Link::Identity, ..) => None,
        }
    }
}

impl ModelDescriptor {
    /// Checks that task, link, outputs and classes fit together, so that there is only one way to
    /// read the scores.
    pub(super) fn check_task(&self) -> Result<(), DescriptorError> {
        let refuse = |problem: &str| {
            Err(DescriptorError::Task {
                task: self.task.name(),
                problem: problem.to_owned(),
            })
        };
        match (self.task, self.link, self.outputs.len(), &self.classes) {
            (Task::Classification, _, 1, None) => refuse(
                "has one score and no classes: `classes` must name the two that its sign decides between",
            ),
            (Task::Classification, Link::Softmax | Link::OneVsRest, 1, _) => {
                refuse("has one score, which softmax and one-vs-rest can't use")
            }
            (Task::Classification, _, 2.., Some(_)) => {
                refuse("has a score for each of several outputs, and `classes` for one score between two")
            }
            (Task::Classification, Link::Sigmoid, 2.., _) => {
                refuse("has independent sigmoids: its task is multilabel, or its link one-vs-rest")
            }
            (Task::Multilabel, Link::Sigmoid, _, None) => Ok(()),
            (Task::Multilabel, ..) => refuse("needs the link sigmoid and no `classes`"),
            (Task::Regression, Link::Identity | Link::Exp, _, None) => Ok(()),
            (Task::Regression, ..) => refuse("needs the link identity or exp, and no `classes`"),
            (Task::Classification, Link::Exp, ..) => refuse("has the link exp, which gives values"),
            (Task::Classification, ..) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_certain_is_implied() {
        assert_eq!(Task::implied(Link::Identity, 1, true), Some(Task::Classification));
        assert_eq!(Task::implied(Link::Identity, 1, false), Some(Task::Regression));
        assert_eq!(Task::implied(Link::Identity, 3, false), None);
        assert_eq!(Task::implied(Link::Sigmoid, 1, false), None);
        assert_eq!(Task::implied(Link::Sigmoid, 3, false), Some(Task::Multilabel));
        assert_eq!(Task::implied(Link::Softmax, 3, false), Some(Task::Classification));
    }
}
