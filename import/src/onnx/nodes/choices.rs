//! Comparisons of a layer's numbers, and choices by them.

use super::{Node, units::SEVERAL_SUMS};
use crate::{
    ImportError,
    layers::curve::{Curve, Function, Operation},
    onnx::{
        hidden::Hidden,
        value::{Units, Value},
    },
};

impl Node<'_> {
    /// Compares numbers of a layer, which gives 1 or 0. The columns that skl2onnx compares are
    /// steps of the public part.
    pub(super) fn compared_units(
        &self,
        operator: &str,
        hidden: &Hidden,
    ) -> Result<Option<Value>, ImportError> {
        let [left, right] = self.operands.as_slice() else {
            return Ok(None);
        };
        if self.context.by_skl2onnx {
            return Ok(None);
        }
        let difference = match operator {
            "Greater" | "LessOrEqual" => self.difference(left, right, hidden)?,
            _ => self.difference(right, left, hidden)?,
        };
        let Some(Value::Units(units)) = difference else {
            return Ok(None);
        };
        let or_equal = operator.ends_with("OrEqual");
        let truth = |_: usize, own: &Curve| {
            let over = own.then(Function::Positive)?;
            if or_equal { opposite(&over) } else { Some(over) }
        };
        self.mapped_units(&units, truth).map(Some)
    }

    /// Returns one value minus another, as units.
    fn difference(&self, left: &Value, right: &Value, hidden: &Hidden) -> Result<Option<Value>, ImportError> {
        if let (Value::Constant(_), Value::Constant(_)) = (left, right) {
            return Ok(None);
        }
        let (left_units, right_units) = (self.as_units(left), self.as_units(right));
        let (units, constant, is_first) = match (&left_units, &right_units, left, right) {
            (Some(one), Some(other), ..) => {
                return match self.of_one_sum(&[one, other])?.as_deref() {
                    Some([one, other]) => self
                        .mapped_units(one, |place, own| own.with(Operation::Sub, &other.curves[place]))
                        .map(Some),
                    _ => match self.both_units(Operation::Sub, one, other, hidden)? {
                        // Of two different sums.
                        Value::Scores(scores) => Ok(Some(Value::Units(Units::alike(
                            scores.linear,
                            &Curve::number(),
                            scores.vector,
                        )))),
                        other => Ok(Some(other)),
                    },
                };
            }
            (Some(units), None, _, Value::Constant(constant)) => (units, constant, false),
            (None, Some(units), Value::Constant(constant), _) => (units, constant, true),
            _ => return Ok(None),
        };
        let numbers = self.each_unit(units, constant)?;
        let curve = |place: usize, own: &Curve| {
            let number = Curve::constant(numbers[place])?;
            if is_first {
                number.with(Operation::Sub, own)
            } else {
                own.with(Operation::Sub, &number)
            }
        };
        self.mapped_units(units, curve).map(Some)
    }

    /// Evaluates a choice by a condition of each number.
    pub(super) fn chosen_units(&self, operands: &[&Value]) -> Result<Option<Value>, ImportError> {
        let units: Vec<Option<Units>> = operands.iter().map(|value| self.as_units(value)).collect();
        let all: Vec<&Units> = units.iter().flatten().collect();
        let Some(first) = all.first() else {
            return Ok(None);
        };
        let alike = |part: &&Units| part.curves.len() == first.curves.len() && part.vector == first.vector;
        if !all.iter().all(alike) {
            return Ok(None);
        }
        let Some(aligned) = self.of_one_sum(&all)? else {
            return self.refuse_layer(SEVERAL_SUMS);
        };
        // Constants have a curve for each column, too.
        let mut rest = aligned.iter();
        let mut parts: Vec<Vec<Curve>> = Vec::with_capacity(operands.len());
        for (value, own) in operands.iter().zip(&units) {
            parts.push(match (own, value) {
                (Some(_), _) => rest.next().map_or_else(Vec::new, |units| units.curves.to_vec()),
                (None, Value::Constant(constant)) => {
                    let numbers = self.each_unit(first, constant)?;
                    match numbers.into_iter().map(Curve::constant).collect() {
                        Some(curves) => curves,
                        None => return self.refuse(" of numbers that aren't finite"),
                    }
                }
                _ => return Ok(None),
            });
        }
        let (Some(base), [by, one, other]) = (aligned.first(), parts.as_slice()) else {
            return Ok(None);
        };
        self.mapped_units(base, |place, _| by[place].choosing(&one[place], &other[place]))
            .map(Some)
    }
}

/// Returns one minus a curve.
pub(super) fn opposite(curve: &Curve) -> Option<Curve> {
    Curve::constant(1.0)?.with(Operation::Sub, curve)
}
