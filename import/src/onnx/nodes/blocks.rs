//! Operators on the numbers of a record that are in a tensor of more than two axes, such as the
//! pixels of an image, until they are made a row (Flatten).

use super::Node;
use crate::{
    ImportError,
    onnx::{
        constant::Constant,
        value::{Block, Value},
    },
};

impl Node<'_> {
    /// Evaluates an operator on such numbers, or on their shape; `None` if it isn't one.
    pub(super) fn of_blocks(&self, operator: &str) -> Result<Option<Value>, ImportError> {
        let row = |block: &Block| Value::Features(block.columns.clone());
        let value = match (operator, self.operands.as_slice()) {
            ("Cast", [Value::Block(block)]) => self.block(self.cast(&row(block))?)?,
            ("Dropout", [Value::Block(block), ..]) => self.block(self.dropout(&row(block))?)?,
            ("Add" | "Sub" | "Mul" | "Div", [Value::Block(block), Value::Constant(by)]) => {
                self.block(self.arithmetic(operator, &row(block), &self.number(by)?)?)?
            }
            ("Add" | "Sub" | "Mul" | "Div", [Value::Constant(by), Value::Block(block)]) => {
                self.block(self.arithmetic(operator, &self.number(by)?, &row(block))?)?
            }
            ("Flatten", [Value::Block(block)]) if self.attributes().int("axis", 1) == 1 => row(block),
            ("Reshape", [Value::Block(block), Value::RowsByAny]) => row(block),
            ("Reshape", [Value::Block(block), Value::Constant(target)])
                if self.keeps_rows(target, block.columns.len())? =>
            {
                row(block)
            }
            ("Shape", [Value::Block(_)]) => Value::BlockShape,
            ("Gather", [Value::BlockShape, Value::Constant(place)])
                if place.numbers == [0.0] && self.attributes().int("axis", 0) == 0 =>
            {
                Value::Rows
            }
            ("Cast" | "Unsqueeze", [Value::Rows, ..]) => Value::Rows,
            (_, operands) if operands.iter().any(|value| matches!(value, Value::Block(_))) => {
                return self.refuse(
                    " on records with several axes, such as images: only what scales all numbers alike stands before Flatten",
                );
            }
            _ => return Ok(None),
        };
        Ok(Some(value))
    }

    fn block(&self, value: Value) -> Result<Value, ImportError> {
        match value {
            Value::Features(columns) => Ok(Value::Block(Block { columns })),
            _ => self.refuse(self.what_it_gets()),
        }
    }

    /// Returns a constant of one number, which broadcasts to any shape.
    fn number(&self, constant: &Constant) -> Result<Value, ImportError> {
        match constant.numbers.as_slice() {
            &[number] => Ok(Value::Constant(Constant {
                numbers: vec![number],
                shape: Vec::new(),
                ..constant.clone()
            })),
            numbers => self.refuse(format!(
                " of features with several axes and {} numbers: scale all alike, or after Flatten",
                numbers.len()
            )),
        }
    }

    /// Returns whether a shape is `[rows, columns]`.
    fn keeps_rows(&self, target: &Constant, columns: usize) -> Result<bool, ImportError> {
        let rows = |dim: i64| {
            dim == -1
                || dim == 0 && self.attributes().int("allowzero", 0) == 0
                || dim > 0 && self.context.rows == usize::try_from(dim).ok()
        };
        Ok(match *self.integers(target)?.as_slice() {
            [first, second] => {
                rows(first) && (usize::try_from(second) == Ok(columns) || second == -1 && first != -1)
            }
            _ => false,
        })
    }
}
