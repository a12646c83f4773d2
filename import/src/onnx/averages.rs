//! Symbolic values of classifiers that average the probabilities of several linear models (soft
//! voting), or count what they decide for (hard voting).

use super::{
    calibrated::size_of_curves,
    decider::Decider,
    linear::Linear,
    value::{Label, Scores},
};
use crate::ImportError;
use blindscore_protocol::descriptor::{Curve, Link, Member};
use std::{collections::HashSet, rc::Rc};

/// Largest difference of an average's weights from their sum 1, for single precision.
const ROUNDING: f64 = 1e-4;

/// A model in an average.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Part {
    /// One score per class, or one between two classes.
    pub(super) linear: Rc<Linear>,
    /// Link function to its probabilities; [`Link::Identity`] for a hard vote.
    pub(super) link: Link,
    /// Its factor in the sum.
    pub(super) weight: f64,
    /// For [`Link::Isotonic`], the curve of each score.
    pub(super) curves: Rc<Vec<Curve>>,
}

/// A weighted sum of several models' probabilities, with one column per class.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Average {
    pub(super) parts: Vec<Part>,
    /// Number of classes.
    pub(super) classes: usize,
    /// Names that the models have for the columns, if they have any.
    pub(super) names: Option<Vec<String>>,
}

impl Average {
    /// Returns whether scores may be probabilities of all classes.
    pub(super) fn may_be(scores: &Scores) -> bool {
        let whole = !scores.vector && scores.is_whole() && scores.len() > 1;
        whole
            && match scores.link {
                Some(Link::Softmax | Link::OneVsRest) => true,
                // Those of two classes, which are opposite.
                Some(Link::Sigmoid) => scores.len() == 2,
                _ => false,
            }
    }

    /// Returns the probabilities of one model, if they are those of all classes.
    pub(super) fn of(scores: &Scores) -> Option<Self> {
        if !Self::may_be(scores) {
            return None;
        }
        let (linear, link) = match (scores.link?, scores.linear.halved()) {
            (Link::Sigmoid | Link::OneVsRest, Some(half)) => (half.into(), Link::Sigmoid),
            (link @ (Link::Softmax | Link::OneVsRest), _) => (scores.linear.clone(), link),
            _ => return None,
        };
        Some(Self {
            parts: vec![Part {
                linear,
                link,
                weight: 1.0,
                curves: Rc::default(),
            }],
            classes: scores.len(),
            names: scores.names.clone(),
        })
    }

    /// Returns a model's hard vote: 1 for the class that it decides for, else 0.
    pub(super) fn hard_vote(label: &Label) -> Option<Self> {
        let Decider::Largest(linear) = &label.decider else {
            return None;
        };
        Some(Self {
            parts: vec![Part {
                linear: linear.halved().map_or_else(|| linear.clone(), Rc::new),
                link: Link::Identity,
                weight: 1.0,
                curves: Rc::default(),
            }],
            classes: label.names.len(),
            names: Some(label.names.clone()),
        })
    }

    /// Returns the sum of several, if they have the same classes in the same order.
    pub(super) fn sum(several: Vec<Self>) -> Option<Self> {
        let classes = several.first()?.classes;
        let mut named = several.iter().filter_map(|one| one.names.as_ref());
        let names = named.next().cloned();
        if named.any(|other| Some(other) != names.as_ref())
            || several.iter().any(|one| one.classes != classes)
        {
            return None;
        }
        Some(Self {
            parts: several.into_iter().flat_map(|one| one.parts).collect(),
            classes,
            names,
        })
    }

    /// Returns the same times a factor.
    pub(super) fn scaled(mut self, factor: f64) -> Self {
        for part in &mut self.parts {
            part.weight *= factor;
        }
        self
    }

    /// Returns the number of scores of all models.
    pub(super) fn len(&self) -> usize {
        self.parts.iter().map(|part| part.linear.len()).sum()
    }

    /// Returns the number of slots that scores depend on.
    pub(super) fn support(&self) -> usize {
        let slots = self.parts.iter().flat_map(|part| part.linear.support());
        slots.collect::<HashSet<_>>().len()
    }

    /// Returns the scores of all models, one after the other, and the members of the average. A
    /// model with the weight 0 is left out.
    pub(super) fn members(&self) -> Result<(Linear, Vec<Member>), ImportError> {
        let refuse = |words: String| Err(ImportError::Graph(words));
        if let Some(part) = self
            .parts
            .iter()
            .find(|part| part.weight.is_nan() || part.weight < 0.0)
        {
            return refuse(format!(
                "the model adds up probabilities of several models, one of them with the weight {}: weights must not be negative",
                part.weight
            ));
        }
        let sum: f64 = self.parts.iter().map(|part| part.weight).sum();
        if (sum - 1.0).abs() > ROUNDING {
            return refuse(format!(
                "the model adds up the probabilities of several models with weights whose sum is {sum}, so that the results are no \
                 probabilities: divide the weights by their sum"
            ));
        }
        let parts: Vec<&Part> = self.parts.iter().filter(|part| part.weight > 0.0).collect();
        let linears: Vec<&Linear> = parts.iter().map(|part| &*part.linear).collect();
        let member = |part: &&Part| Member {
            link: part.link,
            scores: part.linear.len(),
            weight: part.weight / sum,
            curves: part.curves.to_vec(),
        };
        Ok((Linear::stacked(&linears), parts.iter().map(member).collect()))
    }

    /// Returns an upper bound of the size in memory, in bytes.
    pub(super) fn size(&self) -> usize {
        let part = |part: &Part| size_of::<Part>() + part.linear.size() + size_of_curves(&part.curves);
        let names = self.names.iter().flatten();
        self.parts.iter().map(part).sum::<usize>()
            + names.map(|name| size_of::<String>() + name.len()).sum::<usize>()
    }
}

/// Labels of several models on their way to hard votes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct HardVotes {
    pub(super) labels: Vec<Label>,
    /// Whether each label has become a column per class, 1 where it is that class.
    pub(super) compared: bool,
    /// Whether the tensor is `[models, rows, ...]` rather than `[rows, ...]`.
    pub(super) layered: bool,
}

impl HardVotes {
    /// Returns an upper bound of the size in memory, in bytes.
    pub(super) fn size(&self) -> usize {
        let names = |label: &Label| {
            label
                .names
                .iter()
                .map(|name| size_of::<String>() + name.len())
                .sum::<usize>()
        };
        self.labels
            .iter()
            .map(|label| size_of::<Label>() + label.decider.size() + names(label))
            .sum()
    }
}
