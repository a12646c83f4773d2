//! What a tensor of the graph is, as a function of the features.

use super::{constant::Constant, linear::Linear};
use blindscore_protocol::descriptor::Link;
use std::{ops::Range, rc::Rc};

/// One of the features, scaled and shifted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Column {
    /// Position of the feature.
    pub(super) feature: usize,
    /// Factor.
    pub(super) scale: f64,
    /// What is added after it.
    pub(super) offset: f64,
    /// What did that last.
    pub(super) scaling: Scaling,
    /// Whether it still is an input of whole numbers.
    pub(super) whole: bool,
}

/// What scaled the features last: it tells where their values lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scaling {
    /// Nothing.
    None,
    /// To mean 0 and standard deviation 1, as by StandardScaler.
    Standard,
    /// To an interval, as by MinMaxScaler.
    Interval,
}

/// Features, each in a column: a matrix of all rows.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Columns {
    pub(super) columns: Vec<Column>,
    /// Whether the tensor's type is one of whole numbers, for which ONNX divides otherwise.
    pub(super) integers: bool,
}

impl Columns {
    pub(super) fn inputs(features: Range<usize>, integers: bool) -> Self {
        let column = |feature| Column {
            feature,
            scale: 1.0,
            offset: 0.0,
            scaling: Scaling::None,
            whole: integers,
        };
        Self {
            columns: features.map(column).collect(),
            integers,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.columns.len()
    }

    /// Bytes that they take.
    pub(super) fn size(&self) -> usize {
        size_of_val(&*self.columns)
    }

    /// The same columns, all scaled in one way.
    pub(super) fn scaled_as(mut self, scaling: Scaling) -> Self {
        for column in &mut self.columns {
            column.scaling = scaling;
            column.whole = false;
        }
        self
    }
}

/// Scores, and what was made of them: a matrix of all rows, one column for each of `places`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scores {
    pub(super) linear: Rc<Linear>,
    /// None for raw scores.
    pub(super) link: Option<Link>,
    /// Which of the link's results the columns are. Without a link, or with independent ones, all of them in their order.
    pub(super) places: Vec<usize>,
    /// Names of the columns, if an operator had them.
    pub(super) names: Option<Vec<String>>,
    /// Whether an operator said that they are values and no decision.
    pub(super) regression: bool,
    /// Whether the only column has lost its axis, so that the tensor is `[rows]`.
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

    /// Columns.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether the columns are all of the link's results, in their order.
    pub(super) fn is_whole(&self) -> bool {
        self.places.iter().copied().eq(0..self.linear.len())
    }

    /// Whether each column depends on its own score only.
    pub(super) fn independent(&self) -> bool {
        matches!(self.link, None | Some(Link::Sigmoid))
    }

    /// Some of the columns, by their places.
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

    /// Columns of several side by side, if they are of one kind.
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

/// Decisions: of each row the class whose score is largest.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Label {
    /// One score for each class.
    pub(super) linear: Rc<Linear>,
    /// Names of the classes.
    pub(super) names: Vec<String>,
    /// What the tensor's elements are.
    pub(super) element: LabelElement,
}

/// Types that labels have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LabelElement {
    Integer,
    Float,
    Text,
}

/// For each of several labels, whether it holds: on the way there, and at the end.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Held {
    /// One score for each label; it holds where its score is positive.
    pub(super) linear: Rc<Linear>,
    pub(super) step: HeldStep,
}

/// How far that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeldStep {
    /// Probabilities less a half.
    Margin,
    /// Their signs.
    Sign,
    /// 1 where a label holds, else 0.
    Held,
}

/// What a tensor is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// An input that a node leaves out.
    Absent,
    /// The same whatever the features.
    Constant(Constant),
    /// A column of text.
    Text(String),
    /// The features, each by itself.
    Features(Rc<Columns>),
    /// Scores or probabilities.
    Scores(Scores),
    /// The sum over each row of these probabilities, in a column.
    Sum(Scores),
    /// Decisions for one of several classes.
    Label(Label),
    /// Decisions for each of several labels.
    Held(Held),
}

impl Value {
    /// Bytes that it takes, at most: parts may be shared with other values.
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

    /// Words for it in messages.
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
