//! Operators between the layers of a network: functions of each number, which together become one
//! function of one weighted sum, until a linear map takes the results.

use super::{Node, activations::leaky, choices::opposite};
use crate::{
    ImportError,
    layers::curve::{Curve, Function, Operation},
    onnx::{
        constant::Constant,
        hidden::Hidden,
        linear::Linear,
        value::{Held, HeldStep, Scores, Units, Value},
    },
};
use blindscore_protocol::descriptor::Link;

/// Most units that one operator makes.
const MOST_UNITS: usize = 8_192;
/// Largest whole exponent.
const LARGEST_POWER: f64 = 16.0;
/// Why numbers of a layer are refused that depend on different sums.
pub(super) const SEVERAL_SUMS: &str = "combines numbers that depend on different weighted sums of the record (as gating, GLU, maxout and attention do), which \
     isn't served: fully connected layers with any activation are, whose units are functions of one weighted sum each";
/// Why a function is refused.
pub(super) const TOO_COMPLICATED: &str = "gives a function of too many steps, or one that isn't defined: the activation is too complicated to be read";

impl Node<'_> {
    /// Evaluates an operator on each number of hidden units, or of scores that become such; `None`
    /// if it isn't one.
    pub(super) fn between_layers(
        &self,
        operator: &str,
        hidden: &Hidden,
    ) -> Result<Option<Value>, ImportError> {
        if let Some(curve) = self.activation(operator)? {
            let Some(units) = self.operands.first().and_then(|value| self.as_units(value)) else {
                return Ok(None);
            };
            if operator == "Neg" && units.are_sums() {
                return Ok(None);
            }
            return self.mapped_units(&units, |_, own| curve.of(own)).map(Some);
        }
        let operation = match operator {
            "Where" if self.operands.len() == 3 => return self.chosen_units(&self.operands),
            "Cast" if self.casts_to_truth(operator) => {
                let Some(Value::Units(units)) = self.operands.first() else {
                    return Ok(None);
                };
                let truth = |_: usize, own: &Curve| own.then(Function::Abs)?.then(Function::Positive);
                return self.mapped_units(units, truth).map(Some);
            }
            "Not" => {
                let Some(Value::Units(units)) = self.operands.first() else {
                    return Ok(None);
                };
                return self.mapped_units(units, |_, own| opposite(own)).map(Some);
            }
            "Less" | "LessOrEqual" | "Greater" | "GreaterOrEqual" => {
                return self.compared_units(operator, hidden);
            }
            // Of 0 and 1.
            "And" => Operation::Min,
            "Or" => Operation::Max,
            "Add" => Operation::Add,
            "Sub" => Operation::Sub,
            "Mul" => Operation::Mul,
            "Div" => Operation::Div,
            "Max" => Operation::Max,
            "Min" => Operation::Min,
            "PRelu" | "Pow" => {
                let [value, Value::Constant(constant)] = self.operands.as_slice() else {
                    return Ok(None);
                };
                let Some(units) = self.as_units(value) else {
                    return Ok(None);
                };
                let numbers = self.each_unit(&units, constant)?;
                let is_slope = operator == "PRelu";
                let known = |number: &f64| {
                    is_slope || *number == 0.5 || number.fract() == 0.0 && number.abs() <= LARGEST_POWER
                };
                if !numbers.iter().all(known) {
                    return self
                        .refuse_layer("raises numbers of a layer to a power that isn't whole, or large");
                }
                let curve = |place: usize, own: &Curve| match numbers[place] {
                    slope if is_slope => leaky(slope)?.of(own),
                    0.5 => own.then(Function::Sqrt),
                    power => own.then(Function::Power(power as i32)),
                };
                return self.mapped_units(&units, curve).map(Some);
            }
            _ => return Ok(None),
        };
        let Some((first, rest)) = self.operands.split_first() else {
            return Ok(None);
        };
        let mut result = (*first).clone();
        for value in rest {
            match self.combined_units(operation, &result, value, hidden)? {
                Some(combined) => result = combined,
                None => return Ok(None),
            }
        }
        Ok((!rest.is_empty()).then_some(result))
    }

    /// Evaluates an operation on two values, of which one may be constant; `None` if they are
    /// neither scores nor hidden units, or the result is a sum with constant weights of one of
    /// them.
    fn combined_units(
        &self,
        operation: Operation,
        left: &Value,
        right: &Value,
        hidden: &Hidden,
    ) -> Result<Option<Value>, ImportError> {
        let (units, constant, constant_first) = match (left, right) {
            (Value::Constant(constant), value) => (self.as_units(value), constant, true),
            (value, Value::Constant(constant)) => (self.as_units(value), constant, false),
            _ => {
                return match (self.as_units(left), self.as_units(right)) {
                    (Some(left), Some(right)) => self.both_units(operation, &left, &right, hidden).map(Some),
                    _ => Ok(None),
                };
            }
        };
        let Some(units) = units else { return Ok(None) };
        let is_affine = match operation {
            Operation::Add | Operation::Sub | Operation::Mul => true,
            Operation::Div => !constant_first,
            Operation::Max | Operation::Min => false,
        };
        if is_affine && units.are_sums() {
            return Ok(None);
        }
        let numbers = self.each_unit(&units, constant)?;
        let curve = |place: usize, own: &Curve| {
            let number = Curve::constant(numbers[place])?;
            if constant_first {
                number.with(operation, own)
            } else {
                own.with(operation, &number)
            }
        };
        self.mapped_units(&units, curve).map(Some)
    }

    /// Evaluates an operation on two lists of units, element by element.
    pub(super) fn both_units(
        &self,
        operation: Operation,
        left: &Units,
        right: &Units,
        hidden: &Hidden,
    ) -> Result<Value, ImportError> {
        let count = left.curves.len();
        if count != right.curves.len() || left.vector != right.vector {
            return self.refuse_layer(&format!(
                "combines {count} numbers of a layer with {}, which isn't served: only as many of both are",
                right.curves.len()
            ));
        }
        let adds = matches!(operation, Operation::Add | Operation::Sub);
        let sums_only = left.are_sums() && right.are_sums();
        if !(adds && sums_only)
            && let Some([left, right]) = self.of_one_sum(&[left, right])?.as_deref()
        {
            return self.mapped_units(left, |place, own| own.with(operation, &right.curves[place]));
        }
        if !adds {
            return self.refuse_layer(SEVERAL_SUMS);
        }
        let left = self.planted_units(left, hidden)?;
        let right = self.planted_units(right, hidden)?;
        let support = left.linear.support().len() + right.linear.support().len();
        self.check_weights(2 * count, support)?;
        self.context.work.take(&[2 * count, count, support + 8])?;
        let sum = match operation {
            Operation::Sub => Linear::added(&[&left.linear, &right.linear.negated()], 1.0),
            _ => Linear::added(&[&left.linear, &right.linear], 1.0),
        };
        Ok(Value::Scores(Scores {
            vector: left.vector,
            ..Scores::raw(sum)
        }))
    }

    /// Returns units with another function each.
    pub(super) fn mapped_units(
        &self,
        units: &Units,
        curve: impl Fn(usize, &Curve) -> Option<Curve>,
    ) -> Result<Value, ImportError> {
        let count = units.curves.len();
        if count > MOST_UNITS {
            return self.refuse_layer(&format!(
                "is applied to {count} numbers; at most {MOST_UNITS} hidden units are read"
            ));
        }
        let mut curves: Vec<Curve> = Vec::with_capacity(count);
        for (place, own) in units.curves.iter().enumerate() {
            let Some(new) = curve(place, own) else {
                return self.refuse_layer(TOO_COMPLICATED);
            };
            // Equal functions are kept once.
            match curves.last() {
                Some(last) if *last == new => curves.push(last.clone()),
                _ => curves.push(new),
            }
        }
        Ok(Value::Units(Units {
            curves: curves.into(),
            ..units.clone()
        }))
    }

    /// Returns one number of a constant per unit.
    pub(super) fn each_unit(&self, units: &Units, constant: &Constant) -> Result<Vec<f64>, ImportError> {
        let count = units.curves.len();
        match constant
            .broadcast(count)
            .filter(|_| !units.vector || constant.shape.len() < 2)
        {
            Some(numbers) => Ok(numbers),
            None => self.refuse(format!(
                " of {count} columns and a constant of shape {:?}",
                constant.shape
            )),
        }
    }

    /// Returns a value as units; `None` if it can't be such.
    pub(super) fn as_units(&self, value: &Value) -> Option<Units> {
        let sigmoid = Curve::number().then(Function::Sigmoid)?;
        let of = |scores: &Scores, curve: &Curve| {
            scores
                .is_whole()
                .then(|| Units::alike(scores.linear.clone(), curve, scores.vector))
        };
        match value {
            Value::Units(units) => Some(units.clone()),
            Value::Features(columns)
                if !columns.integers && self.check_weights(columns.len(), columns.len()).is_ok() =>
            {
                let linear = Linear::identity(columns).into();
                Some(Units::alike(linear, &Curve::number(), columns.vector))
            }
            Value::Scores(scores) => match scores.link {
                None => of(scores, &Curve::number()),
                Some(Link::Sigmoid) => of(scores, &sigmoid),
                Some(Link::Exp) => of(scores, &Curve::number().then(Function::Exp)?),
                _ => None,
            },
            Value::OnePlusExp(scores) => {
                let opposite = Curve::number().scaled(-1.0)?.then(Function::Exp)?;
                of(scores, &opposite.with_constant(Operation::Add, 1.0)?)
            }
            Value::Held(Held {
                linear,
                step: HeldStep::Margin,
            }) => {
                let margin = sigmoid.with_constant(Operation::Sub, 0.5)?;
                Some(Units::alike(linear.clone(), &margin, false))
            }
            _ => None,
        }
    }
}
