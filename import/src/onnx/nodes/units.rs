//! Operators between the layers of a network: functions of each number, which together become one
//! function of one weighted sum, until a linear map takes the results.

use super::{Node, activations::leaky};
use crate::{
    ImportError,
    layers::curve::{Curve, Function, Operation},
    onnx::{
        attributes::operator,
        constant::Constant,
        hidden::Hidden,
        linear::Linear,
        value::{Held, HeldStep, Scores, Units, Value},
    },
    quoted,
};
use blindscore_protocol::descriptor::Link;

/// Most units that one operator makes.
const MOST_UNITS: usize = 8_192;
/// Largest whole exponent.
const LARGEST_POWER: f64 = 16.0;

impl Node<'_> {
    /// Returns the values of the outputs of a node of a network.
    pub(super) fn layered(&self, hidden: &Hidden) -> Result<Vec<Value>, ImportError> {
        let operator = self.node.op_type.as_str();
        let is_standard = ["", "ai.onnx"].contains(&self.node.domain.as_str());
        let is_inner = self.node.output.iter().any(|name| hidden.is_inner(name));
        let is_score = |value: &&Value| {
            matches!(
                value,
                Value::Scores(_) | Value::OnePlusExp(_) | Value::Held(_) | Value::Units(_)
            )
        };
        if is_standard {
            self.check_layer(operator, is_inner && self.operands.iter().any(is_score))?;
        }
        if self.operands.iter().any(|value| matches!(value, Value::Units(_))) {
            if let Some(value) = self.passed(operator)? {
                return Ok(vec![value]);
            }
            // At the end of a network, these are links.
            let is_link = !is_inner && ["Sigmoid", "Exp"].contains(&operator);
            if is_standard
                && !is_link
                && let Some(value) = self.between_layers(operator, hidden)?
            {
                return Ok(vec![value]);
            }
            return self.on_planted(hidden);
        }
        let as_hidden = is_standard && is_inner && self.operands.iter().any(is_score);
        if as_hidden && let Some(value) = self.between_layers(operator, hidden)? {
            return Ok(vec![value]);
        }
        // What stands before the layers is public, and what stands behind them says what the answers
        // are. Anything else is part of the last layer.
        match self.evaluated() {
            Err(error @ ImportError::Unsupported { .. }) if is_standard && !as_hidden => {
                match self.between_layers(operator, hidden)? {
                    Some(value) => Ok(vec![value]),
                    None => Err(error),
                }
            }
            results => results,
        }
    }

    /// Refuses a node in words that need no list of what linear models have.
    fn refuse_layer<T>(&self, why: &str) -> Result<T, ImportError> {
        let name = match self.node.name.as_str() {
            "" => String::new(),
            name => format!(" (node {})", quoted(name)),
        };
        Err(ImportError::Graph(format!("{}{name} {why}", operator(self.node))))
    }

    /// Refuses what mixes the numbers of a layer in another way than by constant weights.
    fn check_layer(&self, operator: &str, is_inner: bool) -> Result<(), ImportError> {
        let constant = |place: usize| matches!(self.operands.get(place), Some(Value::Constant(_)));
        match operator {
            "Softmax" | "LogSoftmax" if is_inner => self.refuse_layer(
                "stands between layers of the network, where it makes each number depend on all others: only functions of one number each \
                 are served there. Softmax is served at the end; use another activation inside, such as ReLU or GELU",
            ),
            "ReduceMean" | "ReduceSum" | "ReduceMax" | "ReduceL2" | "LpNormalization" if is_inner => self
                .refuse_layer(
                    "stands between layers of the network and reduces each record's numbers to one (as LayerNorm or attention do), which isn't \
                     served. Use BatchNorm1d in the place of LayerNorm, or none",
                ),
            "MatMul" | "Gemm" if !constant(0) && !constant(1) => self.refuse_layer(
                "multiplies two matrices that both depend on the record (as attention does), which isn't served: fully connected layers with \
                 constant weights and any activation are",
            ),
            "Gather"
                if constant(0)
                    && matches!(self.operands.get(1), Some(Value::Features(_) | Value::Block(_))) =>
            {
                self.refuse_layer(
                    "looks up rows of a table (an embedding), which isn't served: encode categories as columns of 0 and 1 (one-hot), for which a \
                     fully connected layer is the same",
                )
            }
            _ => Ok(()),
        }
    }

    /// Evaluates an operator that keeps the numbers of hidden units; `None` if it isn't one.
    fn passed(&self, operator: &str) -> Result<Option<Value>, ImportError> {
        const PASSING: [&str; 8] = [
            "Cast",
            "CastLike",
            "Dropout",
            "Flatten",
            "Identity",
            "Reshape",
            "Squeeze",
            "Unsqueeze",
        ];
        let (Some(Value::Units(units)), true) = (self.operands.first(), PASSING.contains(&operator)) else {
            return Ok(None);
        };
        let sums = Value::Scores(Scores {
            vector: units.vector,
            ..Scores::raw(units.linear.clone())
        });
        let mut operands = self.operands.clone();
        operands[0] = &sums;
        let passed = Node { operands, ..*self }.evaluated()?;
        match passed.as_slice() {
            [Value::Scores(scores)] if scores.linear == units.linear => Ok(Some(Value::Units(Units {
                vector: scores.vector,
                ..units.clone()
            }))),
            _ => Ok(None),
        }
    }

    /// Evaluates an operator for which each hidden unit is a feature of its own.
    fn on_planted(&self, hidden: &Hidden) -> Result<Vec<Value>, ImportError> {
        let planted: Vec<Value> = self
            .operands
            .iter()
            .map(|value| match value {
                Value::Units(units) => Ok(Value::Scores(self.planted_units(units, hidden)?)),
                other => Ok((*other).clone()),
            })
            .collect::<Result<_, ImportError>>()?;
        let node = Node {
            operands: planted.iter().collect(),
            ..*self
        };
        node.evaluated()
    }

    fn planted_units(&self, units: &Units, hidden: &Hidden) -> Result<Scores, ImportError> {
        let width = units.curves.len();
        self.check_weights(width, width)?;
        match hidden.plant(units) {
            Ok(linear) => Ok(Scores {
                vector: units.vector,
                ..Scores::raw(linear)
            }),
            Err(why) => self.refuse(why),
        }
    }

    /// Evaluates an operator on each number of hidden units, or of scores that become such; `None` if
    /// it isn't one.
    fn between_layers(&self, operator: &str, hidden: &Hidden) -> Result<Option<Value>, ImportError> {
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

    /// Evaluates an operation on two values, of which one may be constant; `None` if they are neither
    /// scores nor hidden units, or the result is a sum with constant weights of one of them.
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
    fn both_units(
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
        if !(adds && sums_only) {
            let support = left.linear.support().len() + right.linear.support().len();
            self.check_weights(2 * count, support)?;
            self.context.work.take(&[count, support + 8])?;
            if let Some(units) = self.of_one_sum(operation, left, right)? {
                return Ok(units);
            }
        }
        if !adds {
            return self.refuse_layer(
                "combines numbers that depend on different weighted sums of the record (as gating, GLU, maxout and attention do), which \
                 isn't served: fully connected layers with any activation are, whose units are functions of one weighted sum each",
            );
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

    /// Returns the results of an operation as functions of one weighted sum each; `None` if some
    /// depend on two.
    fn of_one_sum(
        &self,
        operation: Operation,
        left: &Units,
        right: &Units,
    ) -> Result<Option<Value>, ImportError> {
        let count = left.curves.len();
        let both = Linear::stacked(&[&left.linear, &right.linear]);
        // The sums themselves rather than those that were scaled before a function.
        let prefers_right = right.are_sums() && !left.are_sums();
        let mut sums = Vec::with_capacity(count);
        let mut moves = Vec::with_capacity(count);
        for place in 0..count {
            let (one, other) = (place, count + place);
            let to_right = || both.relation(one, other).map(|moved| (one, None, Some(moved)));
            let to_left = || both.relation(other, one).map(|moved| (other, Some(moved), None));
            let found = if prefers_right {
                to_left().or_else(to_right)
            } else {
                to_right().or_else(to_left)
            };
            let Some((sum, left_moved, right_moved)) = found else {
                return Ok(None);
            };
            sums.push(sum);
            moves.push((left_moved, right_moved));
        }
        let of = |curve: &Curve, moved: Option<(f64, f64)>| match moved {
            None | Some((1.0, 0.0)) => Some(curve.clone()),
            Some((factor, summand)) => {
                let moved = Curve::number()
                    .scaled(factor)?
                    .with_constant(Operation::Add, summand)?;
                curve.of(&moved)
            }
        };
        let curve = |place: usize, left: &Curve| {
            let (left_moved, right_moved) = moves[place];
            let right = of(&right.curves[place], right_moved)?;
            of(left, left_moved)?.with(operation, &right)
        };
        let moved = Units {
            linear: if sums.iter().copied().eq(0..count) {
                left.linear.clone()
            } else if sums.iter().copied().eq(count..2 * count) {
                right.linear.clone()
            } else {
                both.select(&sums).into()
            },
            curves: left.curves.clone(),
            vector: left.vector,
        };
        self.mapped_units(&moved, curve).map(Some)
    }

    /// Returns units with another function each.
    fn mapped_units(
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
                return self.refuse_layer(
                    "gives a function of too many steps, or one that isn't defined: the activation is too complicated to be read",
                );
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
    fn each_unit(&self, units: &Units, constant: &Constant) -> Result<Vec<f64>, ImportError> {
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
    fn as_units(&self, value: &Value) -> Option<Units> {
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
