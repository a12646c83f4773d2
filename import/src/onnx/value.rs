//! Symbolic tensors: functions of the features.

use super::{column::Columns, constant::Constant, linear::Linear};
use blindscore_protocol::descriptor::Link;
use std::rc::Rc;

/// Scores, or probabilities made of them: a matrix of all rows, with one column for each of
/// `places`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scores {
    pub(super) linear: Rc<Linear>,
    /// Link applied to the scores; `None` for raw scores.
    pub(super) link: Option<Link>,
    /// Indices of the columns among the link's results. Without a link, or with an independent one,
    /// all of them in order.
    pub(super) places: Vec<usize>,
    /// Names of the columns, if an operator gave them.
    pub(super) names: Option<Vec<String>>,
    /// Whether an operator declared the scores values rather than a decision.
    pub(super) regression: bool,
    /// Whether the only column has lost its axis, which leaves a tensor `[rows]`.
    pub(super) vector: bool,
}

impl Scores {
    pub(super) fn new(linear: impl Into<Rc<Linear>>, link: Option<Link>) -> Self {
        let linear = linear.into();
        Self {
            places: (0..linear.len()).collect(),
            linear,
            link,
            names: None,
            regression: false,
            vector: false,
        }
    }

    pub(super) fn raw(linear: impl Into<Rc<Linear>>) -> Self {
        Self::new(linear, None)
    }

    /// Returns the number of columns.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Returns whether the columns are all of the link's results, in order.
    pub(super) fn is_whole(&self) -> bool {
        self.places.iter().copied().eq(0..self.linear.len())
    }

    /// Returns whether each column depends on its own score only.
    pub(super) fn independent(&self) -> bool {
        matches!(self.link, None | Some(Link::Sigmoid))
    }

    /// Returns some of the columns, by index.
    pub(super) fn select(&self, places: &[usize]) -> Option<Self> {
        let chosen: Option<Vec<usize>> = places
            .iter()
            .map(|&place| self.places.get(place).copied())
            .collect();
        let chosen = chosen.filter(|chosen| !chosen.is_empty())?;
        let names = self.names.as_ref();
        Some(if self.independent() {
            Self {
                regression: self.regression,
                ..Self::new(self.linear.select(&chosen), self.link)
            }
        } else {
            Self {
                names: names.map(|names| places.iter().map(|&place| names[place].clone()).collect()),
                places: chosen,
                ..self.clone()
            }
        })
    }

    /// Returns the columns of several parts side by side, if they are of one kind.
    pub(super) fn beside(parts: &[&Self]) -> Option<Self> {
        let (first, rest) = parts.split_first()?;
        let alike =
            |part: &&&Self| part.link == first.link && (first.independent() || part.linear == first.linear);
        if first.vector || !rest.iter().all(|part| alike(&part) && !part.vector) {
            return None;
        }
        if first.independent() {
            let linears: Vec<&Linear> = parts.iter().map(|part| &*part.linear).collect();
            return Some(Self {
                regression: parts.iter().all(|part| part.regression),
                ..Self::new(Linear::stacked(&linears), first.link)
            });
        }
        Some(Self {
            places: parts
                .iter()
                .flat_map(|part| part.places.iter().copied())
                .collect(),
            names: None,
            ..(*first).clone()
        })
    }
}

/// Decisions: the class with the largest score of each row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Label {
    /// One score per class.
    pub(super) linear: Rc<Linear>,
    /// Names of the classes.
    pub(super) names: Vec<String>,
    /// Type of the tensor's elements.
    pub(super) element: LabelElement,
}

/// Element types of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LabelElement {
    Integer,
    Float,
    Text,
}

/// Decisions for each of several labels whether it holds, at any step of their computation.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Held {
    /// One score per label, which holds if its score is positive.
    pub(super) linear: Rc<Linear>,
    pub(super) step: HeldStep,
}

/// Step of the computation of whether labels hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeldStep {
    /// Probabilities minus a half.
    Margin,
    /// Signs of the margins.
    Sign,
    /// 1 where a label holds, else 0.
    Held,
}

/// Symbolic value of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// An omitted input of a node.
    Absent,
    /// A constant, independent of the features.
    Constant(Constant),
    /// A column of text.
    Text(String),
    /// Features, one per column.
    Features(Rc<Columns>),
    /// Scores or probabilities.
    Scores(Scores),
    /// Sum of these probabilities over each row, in a column.
    Sum(Scores),
    /// Decisions for one of several classes.
    Label(Label),
    /// Decisions for each of several labels.
    Held(Held),
}

impl Value {
    /// Returns an upper bound of the size in memory, in bytes; parts may be shared with other
    /// values.
    pub(super) fn size(&self) -> u64 {
        let names =
            |names: &[String]| -> usize { names.iter().map(|name| size_of::<String>() + name.len()).sum() };
        let bytes = match self {
            Self::Absent => 0,
            Self::Constant(constant) => {
                size_of_val(&*constant.numbers) + size_of_val(&*constant.shape) + names(&constant.texts)
            }
            Self::Text(name) => name.len(),
            Self::Features(columns) => columns.size(),
            Self::Scores(scores) | Self::Sum(scores) => {
                scores.linear.size() + size_of_val(&*scores.places) + scores.names.as_deref().map_or(0, names)
            }
            Self::Label(label) => label.linear.size() + names(&label.names),
            Self::Held(held) => held.linear.size(),
        };
        bytes as u64
    }

    /// Describes the value for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Absent => "nothing",
            Self::Constant(_) => "a constant",
            Self::Text(_) => "a column of text",
            Self::Features(_) => "the features",
            Self::Scores(scores) if scores.link.is_some() => "probabilities",
            Self::Scores(_) => "scores",
            Self::Sum(_) => "a sum of probabilities",
            Self::Label(_) | Self::Held(_) => "labels",
        }
    }
}
