//! Operators that move axes. They are only accepted if each row stays a row and each column a
//! column.

use super::Node;
use crate::{
    ImportError,
    onnx::{
        attributes::axes_in_words,
        averages::HardVotes,
        column::{Column, Columns},
        constant::Constant,
        decider::Decider,
        value::{Grid, Held, HeldStep, Label, LabelElement, Scores, Texts, Value},
    },
};

/// Why several labels that are decided by scores are refused.
pub(super) const LABELS_BY_SCORES: &str = " of several labels that are decided by scores (RidgeClassifier, OneVsRestClassifier of LinearSVC): a model of \
     several labels has a probability for each. Use OneVsRestClassifier(LogisticRegression()), or MultiOutputClassifier of it";

/// Axes of a tensor whose first axis counts rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// `[rows, columns]`
    Matrix(usize),
    /// `[rows]`
    Vector,
    /// `[rows, several, width]`
    Grid(usize, usize),
}

impl Shape {
    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Features(columns) if columns.vector => Some(Self::Vector),
            Value::Features(columns) => Some(Self::Matrix(columns.len())),
            Value::Texts(texts) if texts.vector => Some(Self::Vector),
            Value::Texts(texts) => Some(Self::Matrix(texts.slots.len())),
            Value::Grid(grid) => Some(Self::Grid(grid.columns.len() / grid.width.max(1), grid.width)),
            Value::LogSumExp(_) => Some(Self::Vector),
            Value::Scores(scores) if scores.vector => Some(Self::Vector),
            Value::Scores(scores) => Some(Self::Matrix(scores.len())),
            Value::Sum(_) => Some(Self::Matrix(1)),
            Value::Held(held) => Some(Self::Matrix(held.linear.len())),
            _ => None,
        }
    }

    const fn columns(self) -> usize {
        match self {
            Self::Matrix(columns) => columns,
            Self::Vector => 1,
            Self::Grid(several, width) => several * width,
        }
    }

    const fn rank(self) -> i64 {
        match self {
            Self::Grid(..) => 3,
            Self::Matrix(_) => 2,
            Self::Vector => 1,
        }
    }
}

impl Node<'_> {
    /// Evaluates Reshape. `-1` stands for any number of rows. A fixed number in its place is right
    /// for that many rows only; for others the operator fails.
    pub(super) fn reshape(&self, value: &Value, target: &Constant) -> Result<Value, ImportError> {
        let target = self.integers(target)?;
        let zero_is_kept = self.attributes().int("allowzero", 0) == 0;
        let mixes = || {
            let shape = match Shape::of(value) {
                Some(Shape::Matrix(columns)) => format!("[rows, {columns}]"),
                Some(Shape::Grid(several, width)) => format!("[rows, {several}, {width}]"),
                _ => "[rows]".into(),
            };
            self.refuse(format!(
                " on {} {shape} to {target:?}, which doesn't keep rows and columns: export the model without it",
                value.kind()
            ))
        };
        if let (Value::Label(label), [1, -1, 1]) = (value, target.as_slice()) {
            return Ok(Value::HardVotes(HardVotes {
                labels: vec![label.clone()],
                compared: false,
                layered: true,
            }));
        }
        // Labels have only one axis that isn't 1, and keep their order.
        if let Value::Label(label) = value {
            let others = target.iter().filter(|&&dim| dim != 1);
            return if others.copied().eq([-1]) {
                Ok(Value::Label(Label {
                    column: target == [-1, 1],
                    ..label.clone()
                }))
            } else {
                mixes()
            };
        }
        let Some(shape) = Shape::of(value) else {
            return self.refuse(self.what_it_gets());
        };
        let rows = |dim: i64| dim == -1 || dim > 0 || dim == 0 && zero_is_kept;
        // With a fixed number of rows, the rest are the columns.
        let fixed = |dim: i64| {
            dim == 0 && zero_is_kept
                || self.context.rows.is_some() && self.context.rows == usize::try_from(dim).ok()
        };
        let width = i64::try_from(shape.columns()).unwrap_or(i64::MAX);
        if let (Value::Scores(scores), &[1, -1, columns]) = (value, target.as_slice())
            && !scores.vector
            && columns == width
        {
            return Ok(Value::Layers(vec![scores.clone()]));
        }
        match *target.as_slice() {
            [first, second]
                if rows(first)
                    && (second == width
                        || second == -1 && fixed(first)
                        || second == 0 && zero_is_kept && shape.rank() == 2) =>
            {
                self.reshaped(value, Shape::Matrix(shape.columns()))
            }
            [first] if rows(first) && shape.columns() == 1 => self.reshaped(value, Shape::Vector),
            [first, 1, width_of_rows] if rows(first) && width_of_rows == width => {
                self.reshaped(value, Shape::Grid(1, shape.columns()))
            }
            _ => mixes(),
        }
    }

    /// Evaluates Flatten, Squeeze and Unsqueeze.
    pub(super) fn reaxed(&self, operator: &str, value: &Value) -> Result<Value, ImportError> {
        let axes = match operator {
            "Flatten" => Some(vec![self.attributes().int("axis", 1)]),
            _ => self.axes(1)?,
        };
        // The words of each text stay together.
        if let (Value::Document(_), "Flatten") = (value, operator) {
            return Ok(value.clone());
        }
        // Labels have only one axis that isn't 1, and keep their order.
        if let (Value::Label(label), "Squeeze" | "Unsqueeze") = (value, operator) {
            return Ok(Value::Label(Label {
                column: false,
                ..label.clone()
            }));
        }
        let Some(shape) = Shape::of(value) else {
            return self.refuse(self.what_it_gets());
        };
        let axes = axes.unwrap_or_default();
        let from_end = |axis: i64, rank: i64| if axis < 0 { axis + rank } else { axis };
        let new = match (operator, shape, axes.as_slice()) {
            ("Flatten", Shape::Matrix(_), &[axis]) if from_end(axis, 2) == 1 => Some(shape),
            ("Flatten", Shape::Grid(several, width), &[axis]) if from_end(axis, 3) == 1 => {
                Some(Shape::Matrix(several * width))
            }
            ("Squeeze", Shape::Grid(1, width), &[axis]) if from_end(axis, 3) == 1 => {
                Some(Shape::Matrix(width))
            }
            ("Flatten", Shape::Vector, [1]) => Some(Shape::Matrix(1)),
            ("Squeeze", Shape::Matrix(1), &[axis]) if from_end(axis, 2) == 1 => Some(Shape::Vector),
            ("Unsqueeze", Shape::Vector, &[axis]) if from_end(axis, 2) == 1 => Some(Shape::Matrix(1)),
            _ => None,
        };
        match new {
            Some(new) => self.reshaped(value, new),
            None => self.refuse(format!(
                " on {} {}, which doesn't keep rows and columns: export the model without it",
                value.kind(),
                axes_in_words(Some(&axes))
            )),
        }
    }

    fn reshaped(&self, value: &Value, shape: Shape) -> Result<Value, ImportError> {
        match (value, shape) {
            // A PCA before naive Bayes.
            (Value::Scores(scores), Shape::Grid(_, width)) if scores.link.is_none() => {
                let columns = Columns::plain(self.numbers(value)?, false);
                Ok(self.grid(&columns.into(), width))
            }
            (Value::Scores(_), Shape::Grid(..)) => self.refuse(self.what_it_gets()),
            (Value::Scores(scores), shape) => Ok(Value::Scores(Scores {
                vector: shape == Shape::Vector,
                ..scores.clone()
            })),
            (Value::Features(columns), Shape::Grid(_, width)) if !columns.integers => {
                Ok(self.grid(columns, width))
            }
            (
                Value::Features(columns) | Value::Grid(Grid { columns, .. }),
                shape @ (Shape::Matrix(_) | Shape::Vector),
            ) => {
                let same = Columns::clone(columns);
                let vector = shape == Shape::Vector;
                Ok(Value::Features(Columns { vector, ..same }.into()))
            }
            (Value::Texts(texts), shape @ (Shape::Matrix(_) | Shape::Vector)) => Ok(Value::Texts(Texts {
                vector: shape == Shape::Vector,
                ..texts.clone()
            })),
            (Value::LogSumExp(_), Shape::Matrix(_) | Shape::Vector) => Ok(value.clone()),
            (_, Shape::Matrix(_)) => Ok(value.clone()),
            (_, Shape::Vector | Shape::Grid(..)) => {
                self.refuse(format!(" on {} to these axes", value.kind()))
            }
        }
    }

    /// Evaluates Shape and what makes a matrix of one number of it: a constant for each row.
    pub(super) fn shape_of(&self, value: &Value) -> Result<Value, ImportError> {
        match Shape::of(value) {
            Some(Shape::Matrix(columns)) if self.attributes().0.attribute.is_empty() => {
                Ok(Value::Shape(columns))
            }
            _ => self.refuse(self.what_it_gets()),
        }
    }

    pub(super) fn constant_of_shape(&self, columns: usize) -> Result<Value, ImportError> {
        let number = match self.attributes().tensor("value").map(Constant::of) {
            None => 0.0,
            Some(Ok(Constant { numbers, .. })) if numbers.len() == 1 => numbers[0],
            Some(_) => return self.refuse(" with another value than a number"),
        };
        self.check_weights(columns, 1)?;
        let column = Column {
            scale: 0.0,
            offset: number,
            ..Column::of(0, false)
        };
        Ok(Value::Features(
            Columns {
                columns: vec![column; columns],
                integers: false,
                vector: false,
            }
            .into(),
        ))
    }

    /// Swaps rows and columns back.
    pub(super) fn swapped_back(&self, scores: &Scores) -> Result<Value, ImportError> {
        match self.attributes().ints("perm") {
            None | Some([1, 0]) => Ok(Value::Scores(scores.clone())),
            Some(_) => self.refuse(self.what_it_gets()),
        }
    }

    /// Evaluates Dropout, which has no effect in inference.
    pub(super) fn dropout(&self, value: &Value) -> Result<Value, ImportError> {
        let trains = match self.operands.get(2) {
            None | Some(Value::Absent) => false,
            Some(Value::Constant(mode)) => mode.numbers != [0.0],
            Some(_) => true,
        };
        if trains {
            return self.refuse(" in training mode: export the model in evaluation mode (model.eval())");
        }
        match value {
            Value::Features(_) | Value::Scores(_) => Ok(value.clone()),
            _ => self.refuse(self.what_it_gets()),
        }
    }

    /// Returns whether an operator works along each row of a matrix.
    pub(super) fn along_rows(&self, axes: Option<&[i64]>) -> bool {
        matches!(axes, Some([1 | -1]))
    }

    /// Returns whether a row is one of those that a machine was fitted on, or an outlier: 1 or -1
    /// (SGDOneClassSVM).
    pub(super) fn sign_of_score(&self, scores: &Scores) -> Result<Value, ImportError> {
        if scores.link.is_some() {
            return self.refuse(self.what_it_gets());
        }
        if scores.len() > 1 {
            return self.refuse(LABELS_BY_SCORES);
        }
        Ok(Value::Label(Label {
            decider: Decider::Largest(scores.linear.with_opposite().into()),
            column: !scores.vector,
            names: ["-1", "1"].map(str::to_owned).to_vec(),
            element: LabelElement::Float,
        }))
    }

    /// Evaluates a step towards whether labels hold: signs of margins, then clipping at 0.
    pub(super) fn held(&self, operator: &str, held: &Held) -> Result<Value, ImportError> {
        let bounds: Vec<&Value> = self.operands[1..].to_vec();
        let step = match (operator, held.step, bounds.as_slice()) {
            ("Sign", HeldStep::Margin, []) => HeldStep::Sign,
            ("Clip", HeldStep::Sign, [Value::Constant(least)]) if least.numbers == [0.0] => HeldStep::Held,
            _ => return self.refuse(self.what_it_gets()),
        };
        Ok(Value::Held(Held {
            linear: held.linear.clone(),
            step,
        }))
    }
}
