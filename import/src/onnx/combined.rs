//! Symbolic values of classifiers that combine several linear models: averages of their
//! probabilities, and votes among pairs of classes.

use super::{
    linear::Linear,
    value::{Label, Scores},
};
use crate::ImportError;
use blindscore_protocol::descriptor::{Link, Member};
use std::rc::Rc;

/// Largest difference of an ensemble's weights from their sum 1, for single precision.
const ROUNDING: f64 = 1e-4;
/// Largest relative difference between sums of the same numbers in another order.
const ALIKE: f64 = 1e-6;

/// A model in an ensemble.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Part {
    /// One score per class, or one between two classes.
    pub(super) linear: Rc<Linear>,
    /// Link function to its probabilities; [`Link::Identity`] for a vote.
    pub(super) link: Link,
    /// Its factor in the sum.
    pub(super) weight: f64,
}

/// A weighted sum of several models' probabilities, with one column per class.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ensemble {
    pub(super) parts: Vec<Part>,
    /// Number of classes.
    pub(super) classes: usize,
    /// Names of the columns, if an operator gave them.
    pub(super) names: Option<Vec<String>>,
}

impl Ensemble {
    /// Returns the probabilities of one model, if they are those of all classes.
    pub(super) fn of(scores: &Scores) -> Option<Self> {
        if scores.vector || !scores.is_whole() || scores.len() < 2 {
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
            }],
            classes: scores.len(),
            names: None,
        })
    }

    /// Returns a model's votes: 1 for the class that it decides for, else 0.
    pub(super) fn vote(label: &Label) -> Option<Self> {
        let Decider::Largest(linear) = &label.decider else {
            return None;
        };
        Some(Self {
            parts: vec![Part {
                linear: linear.halved().map_or_else(|| linear.clone(), Rc::new),
                link: Link::Identity,
                weight: 1.0,
            }],
            classes: label.names.len(),
            names: None,
        })
    }

    /// Returns the sum of several, if they have the same classes.
    pub(super) fn sum(several: Vec<Self>) -> Option<Self> {
        let classes = several.first()?.classes;
        several.iter().all(|one| one.classes == classes).then(|| Self {
            parts: several.into_iter().flat_map(|one| one.parts).collect(),
            classes,
            names: None,
        })
    }

    /// Returns the same times a factor.
    pub(super) fn scaled(mut self, factor: f64) -> Self {
        for part in &mut self.parts {
            part.weight *= factor;
        }
        self
    }

    /// Returns the scores of all models, one after the other.
    pub(super) fn linear(&self) -> Linear {
        let parts: Vec<&Linear> = self.parts.iter().map(|part| &*part.linear).collect();
        Linear::stacked(&parts)
    }

    /// Returns the members of the average, or else the sum of the weights, which isn't 1.
    pub(super) fn members(&self) -> Result<Vec<Member>, f64> {
        let sum: f64 = self.parts.iter().map(|part| part.weight).sum();
        if !((sum - 1.0).abs() <= ROUNDING && self.parts.iter().all(|part| part.weight > 0.0)) {
            return Err(sum);
        }
        let member = |part: &Part| Member {
            link: part.link,
            scores: part.linear.len(),
            weight: part.weight / sum,
        };
        Ok(self.parts.iter().map(member).collect())
    }

    /// Returns an upper bound of the size in memory, in bytes.
    pub(super) fn size(&self) -> usize {
        self.parts
            .iter()
            .map(|part| size_of::<Part>() + part.linear.size())
            .sum()
    }
}

/// What decides between classes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Decider {
    /// The largest of one score per class.
    Largest(Rc<Linear>),
    /// The largest probability of an ensemble.
    Ensemble(Rc<Ensemble>),
    /// Votes among pairs of classes.
    Pairs(Pairs),
}

impl Decider {
    /// Returns whether another one has the same scores.
    pub(super) fn is_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Ensemble(one), Self::Ensemble(other)) => one.parts == other.parts,
            (Self::Pairs(one), Self::Pairs(other)) => {
                one.linear == other.linear && one.classes == other.classes
            }
            (one, other) => one == other,
        }
    }

    /// Returns the number of classes.
    pub(super) fn classes(&self) -> usize {
        match self {
            Self::Largest(linear) => linear.len(),
            Self::Ensemble(ensemble) => ensemble.classes,
            Self::Pairs(pairs) => pairs.classes,
        }
    }

    /// Returns the scores, and how they become an answer.
    pub(super) fn scores(&self) -> Result<(Rc<Linear>, Link, Vec<Member>), ImportError> {
        match self {
            Self::Largest(linear) => Ok((linear.clone(), Link::Identity, Vec::new())),
            Self::Pairs(pairs) => Ok((pairs.linear.clone(), pairs.link, Vec::new())),
            Self::Ensemble(ensemble) => match ensemble.members() {
                Ok(members) => Ok((ensemble.linear().into(), Link::Mean, members)),
                Err(sum) => Err(ImportError::Graph(format!(
                    "the model adds up the probabilities of several models with weights whose sum is {sum}, so that they are no probabilities: \
                     divide them by the sum of the weights"
                ))),
            },
        }
    }

    /// Returns the size in memory, in bytes.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Largest(linear) => linear.size(),
            Self::Ensemble(ensemble) => ensemble.size(),
            Self::Pairs(pairs) => pairs.linear.size(),
        }
    }
}

/// Scores of pairs of classes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pairs {
    /// One score for each pair `(0, 1), (0, 2), ..., (1, 2), ...`: positive for the second class.
    pub(super) linear: Rc<Linear>,
    /// Number of classes.
    pub(super) classes: usize,
    /// [`Link::Votes`] or [`Link::OneVsOne`], by what decides between equally many votes.
    pub(super) link: Link,
}

/// Returns the number of pairs of so many classes.
pub(super) const fn pairs_of(classes: usize) -> usize {
    classes * classes.saturating_sub(1) / 2
}

/// Returns the pairs of so many classes, in the order of their scores.
fn pairs(classes: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..classes).flat_map(move |first| (first + 1..classes).map(move |second| (first, second)))
}

/// Sums of votes: for each column, multiples of whether scores are positive, and a constant.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Votes {
    /// Scores of pairs.
    pub(super) linear: Rc<Linear>,
    /// Factor of each score's vote, and the constant, by column.
    pub(super) columns: Vec<(Vec<f64>, f64)>,
}

impl Votes {
    /// Returns each score's vote in a column of its own.
    pub(super) fn of(linear: &Rc<Linear>) -> Self {
        let count = linear.len();
        let column = |place: usize| {
            let mut factors = vec![0.0; count];
            factors[place] = 1.0;
            (factors, 0.0)
        };
        Self {
            linear: linear.clone(),
            columns: (0..count).map(column).collect(),
        }
    }

    /// Returns each column times a factor, plus a constant.
    pub(super) fn moved(mut self, factor: f64, offset: f64) -> Self {
        for (factors, constant) in &mut self.columns {
            factors.iter_mut().for_each(|number| *number *= factor);
            *constant = *constant * factor + offset;
        }
        self
    }

    /// Returns some of the columns.
    pub(super) fn select(&self, places: &[usize]) -> Option<Self> {
        let columns: Option<Vec<_>> = places
            .iter()
            .map(|&place| self.columns.get(place).cloned())
            .collect();
        Some(Self {
            linear: self.linear.clone(),
            columns: columns?,
        })
    }

    /// Returns the sums of the columns of several, or their columns side by side.
    pub(super) fn joined(several: &[&Self], beside: bool) -> Option<Self> {
        let (first, rest) = several.split_first()?;
        let mut joined = (*first).clone();
        for other in rest {
            if other.linear != first.linear {
                return None;
            }
            if beside {
                joined.columns.extend(other.columns.iter().cloned());
                continue;
            }
            if other.columns.len() != joined.columns.len() {
                return None;
            }
            for ((factors, constant), (more, offset)) in joined.columns.iter_mut().zip(&other.columns) {
                factors
                    .iter_mut()
                    .zip(more)
                    .for_each(|(sum, number)| *sum += number);
                *constant += offset;
            }
        }
        Some(joined)
    }

    /// Returns the pairs of which these are the votes of each class, and `sums` the sums of each
    /// class's scores.
    pub(super) fn decide(&self, sums: &Linear) -> Option<Pairs> {
        let classes = self.columns.len();
        if classes < 3 || pairs_of(classes) != self.linear.len() || sums.len() != classes {
            return None;
        }
        let mut columns = vec![(vec![0.0; self.linear.len()], 0.0); classes];
        let mut weights = vec![vec![0.0; self.linear.len()]; classes];
        for (place, (first, second)) in pairs(classes).enumerate() {
            columns[first].0[place] = -1.0;
            columns[first].1 += 1.0;
            columns[second].0[place] = 1.0;
            weights[first][place] = -1.0;
            weights[second][place] = 1.0;
        }
        let expected = self.linear.then(&weights, &vec![0.0; classes]);
        (self.columns == columns && alike(&expected, sums)).then(|| Pairs {
            linear: self.linear.clone(),
            classes,
            link: Link::OneVsOne,
        })
    }

    /// Returns an upper bound of the size in memory, in bytes.
    pub(super) fn size(&self) -> usize {
        let columns = self
            .columns
            .iter()
            .map(|(factors, _)| size_of_val(&**factors) + 32);
        self.linear.size() + columns.sum::<usize>()
    }
}

/// Returns whether two maps give the same scores up to rounding.
fn alike(one: &Linear, other: &Linear) -> bool {
    let slots: Vec<usize> = {
        let mut slots = [one.support(), other.support()].concat();
        slots.sort_unstable();
        slots.dedup();
        slots
    };
    let close = |largest: f64, (a, b): (&f64, &f64)| (a - b).abs() <= ALIKE * largest;
    let rows = one.weights_of(&slots).into_iter().zip(other.weights_of(&slots));
    let intercepts = one.intercept.iter().zip(&other.intercept);
    rows.zip(intercepts).all(|((one, other), (a, b))| {
        let largest = one
            .iter()
            .chain(&other)
            .fold(0f64, |most, number| most.max(number.abs()));
        one.iter().zip(&other).all(|pair| close(largest, pair))
            && close(largest.max(a.abs()).max(b.abs()), (a, b))
    })
}

/// Labels of several models on their way to the votes of each class.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ballots {
    pub(super) labels: Vec<Label>,
    /// Whether each label has become a column per class, 1 where it is that class.
    pub(super) compared: bool,
    /// Whether the tensor is `[models, rows, 1]` rather than `[rows, 1]`.
    pub(super) layered: bool,
}
