//! Symbolic tensors: functions of the features.

use super::{
    averages::{Average, HardVotes},
    calibrated::Calibrated,
    column::Columns,
    constant::Constant,
    decider::Decider,
    hidden::Hidden,
    linear::{Form, Linear},
    pairs::{PairVotes, Pairs},
};
use crate::layers::curve::{Curve, Function};
use blindscore_protocol::{
    descriptor::Link,
    encoding::{Norm, Words},
};
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
        matches!(self.link, None | Some(Link::Sigmoid | Link::Exp))
    }

    /// Returns some of the columns, by index.
    pub(super) fn select(&self, places: &[usize]) -> Option<Self> {
        let chosen: Option<Vec<usize>> = places
            .iter()
            .map(|&place| self.places.get(place).copied())
            .collect();
        let chosen = chosen.filter(|chosen| !chosen.is_empty())?;
        // Two opposite scores, each a sigmoid, add up to one as they are.
        if let (Some(Link::OneVsRest), Some(half), [place]) =
            (self.link, self.linear.halved(), chosen.as_slice())
        {
            let linear = if *place == 1 { half } else { half.negated() };
            return Some(Self::new(linear, Some(Link::Sigmoid)));
        }
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

/// Decisions for one of several classes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Label {
    /// What decides.
    pub(super) decider: Decider,
    /// Names of the classes.
    pub(super) names: Vec<String>,
    /// Type of the tensor's elements.
    pub(super) element: LabelElement,
    /// Whether the tensor is known to be `[rows, 1]`.
    pub(super) column: bool,
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

/// Columns of text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Texts {
    /// Slots of the columns.
    pub(super) slots: Vec<usize>,
    /// Whether the only column has lost its axis, which leaves a tensor `[rows]`.
    pub(super) vector: bool,
}

/// A column of text on its way to counts of words.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Document {
    /// Slot of the text.
    pub(super) slot: usize,
    /// What was done with it so far. Before it is split, the split has no meaning.
    pub(super) words: Words,
    /// Whether it has been split into words.
    pub(super) split: bool,
}

/// Numbers in a tensor `[rows, several, width]`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Grid {
    /// Size of the last axis.
    pub(super) width: usize,
    /// Numbers, by the middle axis and then the last one.
    pub(super) columns: Rc<Columns>,
}

/// Numbers of a record in a tensor of more than two axes, `[rows, ...]`, such as an image.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Block {
    /// Numbers, the last axis fastest.
    pub(super) columns: Rc<Columns>,
}

/// Weighted sums in a tensor `[rows, several, width]`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Forms {
    /// Size of the last axis.
    pub(super) width: usize,
    /// Sums, by the middle axis and then the last one.
    pub(super) forms: Vec<Form>,
    /// Columns that they were made of.
    pub(super) source: Rc<Columns>,
}

/// Hidden units of a network: a function of a score in each column.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Units {
    /// Weighted sum that each unit is a function of; one output per unit.
    pub(super) linear: Rc<Linear>,
    /// Function of each unit's sum.
    pub(super) curves: Rc<[Curve]>,
    /// Whether the only column has lost its axis, which leaves a tensor `[rows]`.
    pub(super) vector: bool,
}

impl Units {
    /// Returns units that are all the same function of their sums.
    pub(super) fn alike(linear: Rc<Linear>, curve: &Curve, vector: bool) -> Self {
        Self {
            curves: vec![curve.clone(); linear.len()].into(),
            linear,
            vector,
        }
    }

    /// Returns whether all units are their sums.
    pub(super) fn are_sums(&self) -> bool {
        self.curves.iter().all(Curve::is_number)
    }

    /// Returns the units as answers: probabilities, values behind a log link, or scores.
    pub(super) fn as_answer(&self, hidden: &Hidden) -> Result<Scores, String> {
        let all = |function: Function| self.curves.iter().all(|curve| curve.is_only(function));
        let (linear, link) = if all(Function::Sigmoid) {
            (self.linear.clone(), Some(Link::Sigmoid))
        } else if all(Function::Exp) {
            (self.linear.clone(), Some(Link::Exp))
        } else {
            (hidden.plant(self)?.into(), None)
        };
        Ok(Scores {
            regression: link == Some(Link::Exp),
            vector: self.vector,
            ..Scores::new(linear, link)
        })
    }
}

/// Norm of each row's numbers, in a column.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RowNorm {
    /// Slots of the numbers.
    pub(super) slots: Vec<usize>,
    pub(super) norm: Norm,
    /// Whether it is the square of the norm.
    pub(super) squared: bool,
}

/// Symbolic value of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// An omitted input of a node.
    Absent,
    /// A constant, independent of the features.
    Constant(Constant),
    /// Columns of text.
    Texts(Texts),
    /// A text, prepared for counting its words.
    Document(Document),
    /// Numbers of the encoding, one per column.
    Features(Rc<Columns>),
    /// Numbers of the encoding, with two axes for each row.
    Grid(Grid),
    /// Numbers of a record, with more axes for each row.
    Block(Block),
    /// Weighted sums of numbers of the encoding, with two axes for each row.
    Forms(Forms),
    /// Scores or probabilities.
    Scores(Scores),
    /// Sum of these probabilities over each row, in a column.
    Sum(Scores),
    /// Logarithm of the sum of the exponentials of these scores over each row, in a column or
    /// without an axis.
    LogSumExp(Scores),
    /// Logarithms of the softmax of these scores.
    LogSoftmax(Scores),
    /// One plus the exponentials of the opposites of these scores.
    OnePlusExp(Scores),
    /// Scores whose tensor has rows and columns swapped.
    Swapped(Scores),
    /// Scores of several models, in a tensor `[models, rows, columns]`.
    Layers(Vec<Scores>),
    /// Probabilities of several models, each of two classes and a tensor of its own; here of the
    /// second class of each.
    Sequence(Scores),
    /// Weighted sum of several models' probabilities.
    Average(Rc<Average>),
    /// Scores on their way to probabilities by isotonic calibration.
    Calibrated(Calibrated),
    /// Labels on their way to hard votes.
    HardVotes(HardVotes),
    /// Scores of a support vector machine between two classes, as they decide; the operator gives
    /// them the opposite signs.
    MachineScores(Scores),
    /// Scores of pairs of classes as a support vector machine gives them: negative for the second
    /// class.
    PairScores(Pairs),
    /// Sums of votes of pairs.
    PairVotes(PairVotes),
    /// `times * |score| + plus` for each score.
    Magnitude { scores: Scores, plus: f64, times: f64 },
    /// These scores, each divided by `3 (|score| + 1)`: less than half a vote, which breaks ties.
    TieBreak(Scores),
    /// Decision function of pairs: votes and tie breaks of each class.
    Pairs(Pairs),
    /// Norms of rows.
    RowNorm(RowNorm),
    /// The shape of a tensor with so many columns.
    Shape(usize),
    /// The shape of a tensor with more axes for each row.
    BlockShape,
    /// The number of rows, as a shape of one axis.
    Rows,
    /// The shape of a matrix with as many rows, and any number of columns.
    RowsByAny,
    /// Hidden units of a network.
    Units(Units),
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
            Self::Texts(texts) => size_of_val(&*texts.slots),
            Self::Document(document) => names(&document.words.stop),
            Self::Features(columns) | Self::Grid(Grid { columns, .. }) | Self::Block(Block { columns }) => {
                columns.size()
            }
            Self::Forms(forms) => {
                let form = |form: &Form| size_of::<Form>() + size_of_val(&*form.terms);
                forms.forms.iter().map(form).sum::<usize>() + forms.source.size()
            }
            Self::Layers(layers) => layers.iter().map(|scores| scores.linear.size()).sum(),
            Self::RowNorm(norm) => size_of_val(&*norm.slots),
            Self::Shape(_) | Self::BlockShape | Self::Rows | Self::RowsByAny => 0,
            Self::Average(average) => average.size(),
            Self::Calibrated(calibrated) => calibrated.size(),
            Self::HardVotes(votes) => votes.size(),
            Self::PairScores(pairs) | Self::Pairs(pairs) => pairs.size(),
            Self::PairVotes(votes) => votes.size(),
            Self::Scores(scores)
            | Self::Sum(scores)
            | Self::LogSumExp(scores)
            | Self::LogSoftmax(scores)
            | Self::OnePlusExp(scores)
            | Self::Sequence(scores)
            | Self::Swapped(scores)
            | Self::MachineScores(scores)
            | Self::Magnitude { scores, .. }
            | Self::TieBreak(scores) => {
                scores.linear.size() + size_of_val(&*scores.places) + scores.names.as_deref().map_or(0, names)
            }
            Self::Label(label) => label.decider.size() + names(&label.names),
            Self::Held(held) => held.linear.size(),
            Self::Units(units) => units.linear.size() + units.curves.iter().map(Curve::size).sum::<usize>(),
        };
        bytes as u64
    }

    /// Describes the value for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Absent => "nothing",
            Self::Constant(_) => "a constant",
            Self::Texts(_) => "a column of text",
            Self::Document(_) => "the words of a text",
            Self::Features(_) | Self::Grid(_) => "the features",
            Self::Block(_) => "features with several axes",
            Self::Forms(_) => "sums of the features",
            Self::Scores(scores) if scores.link.is_some() => "probabilities",
            Self::Scores(_) => "scores",
            Self::Sum(_) => "a sum of probabilities",
            Self::LogSumExp(_) | Self::OnePlusExp(_) => "a sum of scores",
            Self::Swapped(_) | Self::Layers(_) => "scores in another order",
            Self::Sequence(_) => "several lists of probabilities",
            Self::RowNorm(_) => "norms of the rows",
            Self::Average(_) => "a sum of several models' probabilities",
            Self::Calibrated(_) => "calibrated scores",
            Self::HardVotes(_) | Self::PairVotes(_) => "votes",
            Self::MachineScores(_) => "scores",
            Self::PairScores(_) | Self::Pairs(_) => "scores of pairs of classes",
            Self::Magnitude { .. } | Self::TieBreak(_) => "magnitudes of scores",
            Self::Shape(_) | Self::BlockShape | Self::Rows | Self::RowsByAny => "a shape",
            Self::LogSoftmax(_) => "logarithms of probabilities",
            Self::Label(_) | Self::Held(_) => "labels",
            Self::Units(_) => "hidden units",
        }
    }
}
