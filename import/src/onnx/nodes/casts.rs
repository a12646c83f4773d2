//! Conversions of element types. Features and scores must keep their values; rounding them would
//! make another model.

use super::Node;
use crate::{
    ImportError, listed,
    onnx::{
        attributes::type_name,
        column::Columns,
        value::{Held, HeldStep, Label, LabelElement, Value},
    },
};
use std::rc::Rc;
use tract_onnx::pb::tensor_proto::DataType;

/// Bound up to which whole numbers are exact in single precision.
const EXACT: i64 = 1 << 24;

/// Returns the same columns in a tensor of whole numbers, or of floats.
fn as_integers(columns: &Rc<Columns>, integers: bool) -> Value {
    Value::Features(if columns.integers == integers {
        columns.clone()
    } else {
        let columns = columns.columns.clone();
        Columns { columns, integers }.into()
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
            Value::Features(_) | Value::Scores(_) => DataType::Float,
            _ => return self.refuse(self.what_it_gets()),
        };
        self.cast_to(value, to)
    }

    fn cast_to(&self, value: &Value, to: DataType) -> Result<Value, ImportError> {
        match (value, to) {
            (Value::Features(columns), DataType::Float | DataType::Double) => Ok(as_integers(columns, false)),
            // Inputs of whole numbers keep their values.
            (Value::Features(columns), DataType::Int64 | DataType::Int32)
                if columns.columns.iter().all(|column| column.whole) =>
            {
                Ok(as_integers(columns, true))
            }
            (Value::Scores(_) | Value::Sum(_), DataType::Float | DataType::Double) => Ok(value.clone()),
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
