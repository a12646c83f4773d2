//! Conversions of element types. Features and scores must keep their values; rounding them would
//! make another model.

use super::Node;
use crate::onnx::proto::tensor_proto::DataType;
use crate::{
    ImportError, listed,
    onnx::{
        attributes::type_name,
        column::{Column, Columns},
        constant::Constant,
        value::{Held, HeldStep, Label, LabelElement, Value},
    },
};
use blindscore_protocol::encoding::Step;
use std::rc::Rc;

/// Bound up to which whole numbers are exact in single precision.
const EXACT: i64 = 1 << 24;

/// Returns the same columns in a tensor of whole numbers, or of floats.
fn as_integers(columns: &Rc<Columns>, integers: bool) -> Value {
    Value::Features(if columns.integers == integers {
        columns.clone()
    } else {
        let same = Columns::clone(columns);
        Columns { integers, ..same }.into()
    })
}

impl Node<'_> {
    pub(super) fn cast(&self, value: &Value) -> Result<Value, ImportError> {
        let to = self.attributes().int("to", 0);
        match i32::try_from(to).ok().and_then(|to| DataType::try_from(to).ok()) {
            Some(to) => self.cast_to(value, to),
            None => self.refuse(format!(" to type {to}")),
        }
    }

    /// Casts to the type of another tensor.
    pub(super) fn cast_like(&self, value: &Value, like: &Value) -> Result<Value, ImportError> {
        let to = match like {
            Value::Features(columns) if columns.integers => DataType::Int64,
            Value::Features(columns) if columns.columns.iter().all(|column| self.is_double(column)) => {
                DataType::Double
            }
            Value::Features(_) | Value::Scores(_) => DataType::Float,
            _ => return self.refuse(self.what_it_gets()),
        };
        self.cast_to(value, to)
    }

    fn cast_to(&self, value: &Value, to: DataType) -> Result<Value, ImportError> {
        match (value, to) {
            (Value::Features(columns), DataType::Float | DataType::Double) => {
                let floats = as_integers(columns, false);
                Ok(if to == DataType::Float {
                    self.rounded(floats)
                } else {
                    floats
                })
            }
            // Whole numbers keep their values. Where a record's numbers would be cut, clients
            // refuse them.
            (Value::Features(columns), DataType::Int64 | DataType::Int32)
                if columns.columns.iter().all(|column| self.can_be_whole(column)) =>
            {
                for column in columns.columns.iter().filter(|column| !column.whole) {
                    self.context.plan.make_whole(column.slot);
                    self.context.plan.keep_exact(column.slot);
                }
                let mut whole = Columns::clone(columns);
                whole.columns.iter_mut().for_each(|column| column.whole = true);
                Ok(as_integers(&whole.into(), true))
            }
            (Value::Features(columns), DataType::Bool)
                if columns.columns.iter().all(|column| column.whole) =>
            {
                self.truth(columns)
            }
            // Probabilities are positive, and so is their sum.
            (Value::Sum(_), DataType::Bool) => {
                Ok(Value::Constant(Constant::of_integers(Vec::new(), vec![1])))
            }
            (Value::Features(columns), DataType::Bool) if self.are_counts(columns) => self.occurring(columns),
            (Value::Texts(_), DataType::String) => Ok(value.clone()),
            (
                Value::Scores(_) | Value::MachineScores(_) | Value::Sum(_),
                DataType::Float | DataType::Double,
            ) => Ok(value.clone()),
            (Value::Label(label), _) => self.cast_label(label, to),
            (
                Value::Held(
                    held @ Held {
                        step: HeldStep::Sign | HeldStep::Held,
                        ..
                    },
                ),
                DataType::Int64 | DataType::Int32 | DataType::Float | DataType::Double,
            ) => Ok(Value::Held(held.clone())),
            _ => self.refuse(format!(
                " on {} to {}, which rounds them: export the model without it",
                value.kind(),
                type_name(to as i32)
            )),
        }
    }

    /// Notes that numbers of a record are cast to single precision: the thresholds that follow are
    /// in single precision too, and a number that was on one must stay on it. Nothing else is as
    /// exact as that.
    fn rounded(&self, value: Value) -> Value {
        let Value::Features(columns) = value else {
            return value;
        };
        let mut columns = Columns::clone(&columns);
        for column in columns.columns.iter_mut().filter(|column| self.is_double(column)) {
            column.rounded = true;
        }
        Value::Features(columns.into())
    }

    /// Returns whether a column is one of a record, in double precision.
    fn is_double(&self, column: &Column) -> bool {
        let plan = self.context.plan;
        column.is_plain() && plan.is_column(column.slot) && !plan.is_single(column.slot)
    }

    /// Returns whether a column holds whole numbers, or clients can be made to refuse others.
    fn can_be_whole(&self, column: &Column) -> bool {
        column.whole || column.is_plain() && self.context.plan.is_column(column.slot)
    }

    fn are_counts(&self, columns: &Columns) -> bool {
        let is_count = |column: &Column| {
            let step = self.context.plan.step_of(column.slot);
            column.is_plain() && step.is_some_and(|(step, _)| matches!(&*step, Step::Counts { .. }))
        };
        columns.columns.iter().all(is_count)
    }

    /// Returns whether each word occurs (`CountVectorizer(binary=True)`).
    fn occurring(&self, columns: &Columns) -> Result<Value, ImportError> {
        let slots: Vec<usize> = columns.columns.iter().map(|column| column.slot).collect();
        let Some(binary) = slots
            .first()
            .and_then(|slot| self.context.plan.step_of(*slot))
            .map(|(step, _)| step.clone())
        else {
            return self.refuse(self.what_it_gets());
        };
        let (
            Step::Counts {
                of,
                words,
                vocabulary,
                ..
            },
            true,
        ) = (binary, slots.windows(2).all(|pair| pair[1] == pair[0] + 1))
        else {
            return self.refuse(self.what_it_gets());
        };
        if vocabulary.len() != slots.len() {
            return self.refuse(self.what_it_gets());
        }
        let results = self.step(Step::Counts {
            of,
            words,
            vocabulary,
            binary: true,
        })?;
        Ok(Value::Features(Columns::plain(results, true).into()))
    }

    /// Returns columns that hold only 0 and 1.
    fn truth(&self, columns: &Rc<Columns>) -> Result<Value, ImportError> {
        let is_truth = |column: &Column| {
            let step = self.context.plan.step_of(column.slot);
            column.constant().is_some()
                || step.is_some_and(|(step, _)| {
                    step.interval()
                        .is_some_and(|(least, most)| least >= 0.0 && most <= 1.0)
                })
        };
        if !columns.columns.iter().all(is_truth) {
            return self.refuse(" of numbers to true or false: compare them with a number");
        }
        Ok(as_integers(columns, true))
    }

    /// Casts labels. Names of classes may become another numeric type if all of them fit.
    fn cast_label(&self, label: &Label, to: DataType) -> Result<Value, ImportError> {
        let numbers: Option<Vec<i64>> = label.names.iter().map(|name| name.parse().ok()).collect();
        let fit = |largest: i64| {
            let canonical = |(number, name): (&i64, &String)| number.to_string() == *name;
            numbers.as_ref().is_some_and(|numbers| {
                numbers.iter().all(|number| (-largest..=largest).contains(number))
                    && numbers.iter().zip(&label.names).all(canonical)
            })
        };
        let element = match to {
            DataType::Float if fit(EXACT) => LabelElement::Float,
            DataType::Double if fit(1 << 53) => LabelElement::Float,
            DataType::Int64 if fit(i64::MAX) => LabelElement::Integer,
            DataType::Int32 if fit(i64::from(i32::MAX)) => LabelElement::Integer,
            DataType::String if label.element != LabelElement::Float => LabelElement::Text,
            _ => {
                return self.refuse(format!(
                    " on labels to {}, which can't hold {}: export the labels as they are",
                    type_name(to as i32),
                    listed(&label.names)
                ));
            }
        };
        Ok(Value::Label(Label {
            element,
            ..label.clone()
        }))
    }
}
