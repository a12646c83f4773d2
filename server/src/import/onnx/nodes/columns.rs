//! Operators on columns of features, and on their probabilities column by column.

use super::Node;
use crate::import::{
    ImportError,
    onnx::{
        attributes::Constant,
        linear::Linear,
        value::{Column, Columns, Scaling, Scores, Value},
    },
};
use blindscore_protocol::descriptor::{FEATURES, Link};

/// Columns that a model may have, each feature in one or more.
const MOST_COLUMNS: usize = 4 * *FEATURES.end();

impl Node<'_> {
    /// Element by element with a constant, or the division that makes one-against-the-rest probabilities add up to one.
    pub(super) fn arithmetic(
        &self,
        operator: &str,
        left: &Value,
        right: &Value,
    ) -> Result<Value, ImportError> {
        match (operator, left, right) {
            (_, Value::Features(columns), Value::Constant(constant)) => {
                self.scale(operator, columns, constant)
            }
            ("Add" | "Mul", Value::Constant(constant), Value::Features(columns)) => {
                self.scale(operator, columns, constant)
            }
            ("Add", Value::Scores(scores), Value::Constant(constant))
            | ("Add", Value::Constant(constant), Value::Scores(scores))
                if scores.link.is_none() =>
            {
                let offsets = match constant.numbers.len() {
                    1 => vec![constant.numbers[0]; scores.linear.coef.len()],
                    len if len == scores.linear.coef.len() => constant.numbers.clone(),
                    len => {
                        return self.refuse(format!(
                            " of {} scores and {len} numbers",
                            scores.linear.coef.len()
                        ));
                    }
                };
                Ok(Value::Scores(Scores::raw(
                    scores.linear.clone().shifted(&offsets),
                )))
            }
            ("Div", Value::Scores(scores), Value::Sum(sum)) if scores.linear == *sum => {
                Ok(Value::Scores(Scores {
                    link: Some(Link::OneVsRest),
                    ..scores.clone()
                }))
            }
            _ => self.refuse(self.what_it_gets()),
        }
    }

    /// Scales or shifts every column by a constant.
    pub(super) fn scale(
        &self,
        operator: &str,
        columns: &Columns,
        constant: &Constant,
    ) -> Result<Value, ImportError> {
        let numbers = &constant.numbers;
        let (scaled, scaling) = match operator {
            "Add" => (
                self.each(columns, numbers, |column, by| column.offset += by)?,
                Scaling::Unit,
            ),
            "Sub" => (
                self.each(columns, numbers, |column, by| column.offset -= by)?,
                Scaling::Standard,
            ),
            "Mul" => (
                self.each(columns, numbers, |column, by| {
                    column.offset *= by;
                    column.scale *= by;
                })?,
                Scaling::Unit,
            ),
            _ if numbers.contains(&0.0) => return self.refuse(" by zero"),
            _ => (
                self.each(columns, numbers, |column, by| {
                    column.offset /= by;
                    column.scale /= by;
                })?,
                Scaling::Standard,
            ),
        };
        Ok(Value::Features(scaled.scaled_as(scaling)))
    }

    /// Changes each column by its number, or all of them by the only one.
    pub(super) fn each(
        &self,
        columns: &Columns,
        numbers: &[f64],
        change: impl Fn(&mut Column, f64),
    ) -> Result<Columns, ImportError> {
        let mut changed = columns.clone();
        let count = changed.columns.len();
        if numbers.len() != 1 && numbers.len() != count {
            return self.refuse(format!(" of {count} columns and {} numbers", numbers.len()));
        }
        for (index, column) in changed.columns.iter_mut().enumerate() {
            change(column, numbers[index % numbers.len()]);
        }
        Ok(changed)
    }

    /// Some of the columns, by their places.
    pub(super) fn select(&self, columns: &Columns, places: &Constant) -> Result<Value, ImportError> {
        let place = |number: &f64| {
            let place = usize::try_from(*number as i64).ok()?;
            columns.columns.get(place).copied()
        };
        let chosen: Option<Vec<Column>> = places.numbers.iter().take(MOST_COLUMNS).map(place).collect();
        match chosen {
            Some(chosen) if !chosen.is_empty() && chosen.len() == places.numbers.len() => {
                Ok(Value::Features(Columns { columns: chosen }))
            }
            _ => self.refuse(format!(
                " of {} places in {} columns",
                places.numbers.len(),
                columns.columns.len()
            )),
        }
    }

    /// Columns side by side, or the probabilities of one-against-the-rest models.
    pub(super) fn concat(&self, operands: &[&Value]) -> Result<Value, ImportError> {
        if ![1, -1].contains(&self.attributes().int("axis", 1)) {
            return self.refuse(" along the rows");
        }
        let columns: Option<Vec<&Columns>> = operands
            .iter()
            .map(|value| match value {
                Value::Features(columns) => Some(columns),
                _ => None,
            })
            .collect();
        if let Some(parts) = columns.filter(|parts| !parts.is_empty()) {
            let count: usize = parts.iter().map(|part| part.columns.len()).sum();
            if count > MOST_COLUMNS {
                return self.refuse(format!(" of {count} columns"));
            }
            return Ok(Value::Features(Columns {
                columns: parts
                    .iter()
                    .flat_map(|part| part.columns.iter().copied())
                    .collect(),
            }));
        }
        let parts: Option<Vec<Linear>> = operands
            .iter()
            .map(|value| match value {
                Value::SecondClass(linear) => Some(linear.clone()),
                _ => None,
            })
            .collect();
        match parts.and_then(|parts| Linear::stacked(&parts)) {
            Some(linear) => Ok(Value::Scores(Scores {
                link: Some(Link::Sigmoid),
                ..Scores::raw(linear)
            })),
            None => self.refuse(self.what_it_gets()),
        }
    }
}
