//! Purpose of a model's scores.

use super::{Answer, DescriptorError, Link, Member, ModelDescriptor, pairs_of};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

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
    pub const fn implied(link: Link, outputs: usize, named_classes: bool) -> Option<Self> {
        match (link, outputs, named_classes) {
            (_, _, true)
            | (
                Link::Softmax
                | Link::OneVsRest
                | Link::Probability
                | Link::Isotonic
                | Link::Mean
                | Link::OneVsOne
                | Link::Votes,
                _,
                _,
            ) => Some(Self::Classification),
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
        let (scores, link) = (self.outputs.len(), self.link);
        let plain = self.task == Task::Classification && link == Link::Identity && self.fine.is_none();
        if self.answer == Answer::Label && !plain {
            return refuse(
                "has the answer label, which is for classification with the link identity, without finer scores",
            );
        }
        let mut seen = HashSet::new();
        let named = self.classes.iter().flatten();
        if named.clone().any(String::is_empty) || named.clone().any(|class| !seen.insert(class)) {
            return refuse("has two classes of one name, or one without a name");
        }
        if !self.members.is_empty() && link != Link::Mean {
            return refuse("has members, which only the link mean has");
        }
        match (self.task, link, self.classes.as_deref()) {
            (Task::Classification, Link::Mean, Some(classes)) => {
                match Member::problem(&self.members, scores, classes.len()) {
                    None => Ok(()),
                    Some(problem) => refuse(problem),
                }
            }
            (Task::Classification, Link::OneVsOne | Link::Votes, Some(classes)) => {
                let count = classes.len();
                if count > 2 && pairs_of(count) == Some(scores) {
                    Ok(())
                } else {
                    refuse("needs a score for each pair of its classes, and at least three classes")
                }
            }
            (Task::Classification, Link::Mean | Link::OneVsOne | Link::Votes, None) => {
                refuse("has a link between classes that `classes` must name")
            }
            (_, Link::Isotonic, _) => refuse("has the link isotonic, which only members have"),
            (_, Link::Mean | Link::OneVsOne | Link::Votes, _) => {
                refuse("has a link that decides between classes")
            }
            (Task::Classification, _, None) if scores == 1 => refuse(
                "has one score and no classes: `classes` must name the two that its sign decides between",
            ),
            (Task::Classification, Link::Softmax | Link::OneVsRest | Link::Probability, _) if scores == 1 => {
                refuse("has one score, which softmax, one-vs-rest and probability can't use")
            }
            (Task::Classification, _, Some(_)) if scores > 1 => {
                refuse("has a score for each of several outputs, and `classes` for one score between two")
            }
            (Task::Classification, _, Some(classes)) if classes.len() != 2 => {
                refuse("has one score, which decides between two classes: `classes` must name two")
            }
            (Task::Classification, Link::Sigmoid, _) if scores > 1 => {
                refuse("has independent sigmoids: its task is multilabel, or its link one-vs-rest")
            }
            (Task::Multilabel, Link::Sigmoid, None) => Ok(()),
            (Task::Multilabel, ..) => refuse("needs the link sigmoid and no `classes`"),
            (Task::Regression, Link::Identity | Link::Exp, None) => Ok(()),
            (Task::Regression, ..) => refuse("needs the link identity or exp, and no `classes`"),
            (Task::Classification, Link::Exp, _) => refuse("has the link exp, which gives values"),
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
