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
        proto::tensor_proto::DataType,
        value::{Held, HeldStep, Scores, Units, Value},
    },
    quoted,
};
use blindscore_protocol::descriptor::Link;

/// Most units that one operator makes.
const MOST_UNITS: usize = 8_192;
/// Largest whole exponent.
const LARGEST_POWER: f64 = 16.0;
/// Why numbers of a layer are refused that depend on different sums.
const SEVERAL_SUMS: &str = "combines numbers that depend on different weighted sums of the record (as gating, GLU, maxout and attention do), which \
     isn't served: fully connected layers with any activation are, whose units are functions of one weighted sum each";
/// Why a function is refused.
const TOO_COMPLICATED: &str = "gives a function of too many steps, or one that isn't defined: the activation is too complicated to be read";

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
        if self.has_units() {
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
                    None => self.on_planted_links(hidden).ok_or(error),
                }
            }
            results => results,
        }
    }

    fn has_units(&self) -> bool {
        self.operands.iter().any(|value| matches!(value, Value::Units(_)))
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
            "ReduceMean" | "ReduceSum" | "ReduceMax" | "ReduceL2" | "LpNormalization"
                if is_inner || self.has_units() =>
            {
                self.refuse_layer(
                    "reduces a layer's numbers to one for each record (as LayerNorm, pooling and attention do), which isn't served. Use \
                     BatchNorm1d in the place of LayerNorm, or none, and a fully connected layer in the place of a sum or a mean",
                )
            }
            "MatMul" | "Gemm" if !constant(0) && !constant(1) => self.refuse_layer(
                "multiplies two matrices that both depend on the record (as attention does), which isn't served: fully connected layers with \
                 constant weights and any activation are",
            ),
            "Split"
                if self
                    .operands
                    .first()
                    .is_some_and(|value| matches!(value, Value::Scores(_) | Value::Units(_))) =>
            {
                self.refuse_layer(
                    "splits the numbers of a layer (as gating, GLU and attention do), which isn't served: use two layers in its place, if \
                     their results aren't multiplied by each other",
                )
            }
            "Gather"
                if matches!(self.operands.get(1), Some(Value::Constant(place)) if place.shape.is_empty())
                    && matches!(self.operands.first(), Some(Value::Features(_) | Value::Scores(_))) =>
            {
                self.refuse_layer(
                    "picks one column and drops its axis: export the model with x[:, i:i+1] in the place of x[:, i]",
                )
            }
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
        if self.casts_to_truth(operator) {
            return Ok(None);
        }
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

    fn casts_to_truth(&self, operator: &str) -> bool {
        operator == "Cast" && self.attributes().int("to", 0) == DataType::Bool as i64
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

    /// Evaluates an operator that takes probabilities, or values behind a log link, as numbers of a
    /// layer; `None` if it can't.
    fn on_planted_links(&self, hidden: &Hidden) -> Option<Vec<Value>> {
        let is_link = |value: &&Value| matches!(value, Value::Scores(scores) if scores.link.is_some());
        if !self.operands.iter().any(is_link) {
            return None;
        }
        let units = |value: &&Value| match self.as_units(value) {
            Some(units) if is_link(value) => Value::Units(units),
            _ => (*value).clone(),
        };
        let operands: Vec<Value> = self.operands.iter().map(units).collect();
        let node = Node {
            operands: operands.iter().collect(),
            ..*self
        };
        node.on_planted(hidden).ok()
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

    /// Compares numbers of a layer, which gives 1 or 0. The columns that skl2onnx compares are steps of
    /// the public part.
    fn compared_units(&self, operator: &str, hidden: &Hidden) -> Result<Option<Value>, ImportError> {
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

    /// Returns lists of units as functions of the same weighted sums; `None` if a column depends on
    /// several.
    fn of_one_sum(&self, parts: &[&Units]) -> Result<Option<Vec<Units>>, ImportError> {
        let count = parts.first().map_or(0, |part| part.curves.len());
        let support = parts
            .iter()
            .map(|part| part.linear.support().len())
            .sum::<usize>();
        self.check_weights(parts.len() * count, support)?;
        self.context
            .work
            .take(&[parts.len() * parts.len(), count, support + 8])?;
        let linears: Vec<&Linear> = parts.iter().map(|part| &*part.linear).collect();
        let all = Linear::stacked(&linears);
        // The sums themselves rather than those that were scaled before a function.
        let mut order: Vec<usize> = (0..parts.len()).collect();
        order.sort_by_key(|part| !parts[*part].are_sums());
        let mut bases = Vec::with_capacity(count);
        let mut curves: Vec<Vec<Curve>> = vec![Vec::with_capacity(count); parts.len()];
        for place in 0..count {
            let relations = |base: &usize| -> Option<Vec<(f64, f64)>> {
                let to = |part: usize| match part == *base {
                    true => Some((1.0, 0.0)),
                    false => all.relation(base * count + place, part * count + place),
                };
                (0..parts.len()).map(to).collect()
            };
            let found = order.iter().find_map(|base| Some((*base, relations(base)?)));
            let Some((base, relations)) = found else {
                return Ok(None);
            };
            bases.push(base);
            for (part, relation) in relations.into_iter().enumerate() {
                match moved(&parts[part].curves[place], relation) {
                    Some(curve) => curves[part].push(curve),
                    None => return self.refuse_layer(TOO_COMPLICATED),
                }
            }
        }
        let linear = match bases.first() {
            Some(first) if bases.iter().all(|base| base == first) => parts[*first].linear.clone(),
            _ => {
                let places = bases.iter().enumerate();
                let places: Vec<usize> = places.map(|(place, base)| base * count + place).collect();
                all.select(&places).into()
            }
        };
        let units = curves.into_iter().map(|curves| Units {
            linear: linear.clone(),
            curves: curves.into(),
            vector: parts[0].vector,
        });
        Ok(Some(units.collect()))
    }

    /// Evaluates a choice by a condition of each number.
    fn chosen_units(&self, operands: &[&Value]) -> Result<Option<Value>, ImportError> {
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

/// Returns one minus a curve.
fn opposite(curve: &Curve) -> Option<Curve> {
    Curve::constant(1.0)?.with(Operation::Sub, curve)
}

/// Returns a curve of a number times a factor, plus a summand.
fn moved(curve: &Curve, (factor, summand): (f64, f64)) -> Option<Curve> {
    if (factor, summand) == (1.0, 0.0) {
        return Some(curve.clone());
    }
    let number = Curve::number()
        .scaled(factor)?
        .with_constant(Operation::Add, summand)?;
    curve.of(&number)
}
