//! Nodes of networks: which of them apply functions between the layers, and which are maps of
//! hidden units.

use super::Node;
use crate::{
    ImportError,
    onnx::{
        attributes::operator,
        hidden::Hidden,
        proto::tensor_proto::DataType,
        value::{Scores, Units, Value},
    },
    quoted,
};

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
        // What stands before the layers is public, and what stands behind them says what the
        // answers are. Anything else is part of the last layer.
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

    pub(super) fn has_units(&self) -> bool {
        self.operands.iter().any(|value| matches!(value, Value::Units(_)))
    }

    /// Refuses a node in words that need no list of what linear models have.
    pub(super) fn refuse_layer<T>(&self, why: &str) -> Result<T, ImportError> {
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

    pub(super) fn casts_to_truth(&self, operator: &str) -> bool {
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

    pub(super) fn planted_units(&self, units: &Units, hidden: &Hidden) -> Result<Scores, ImportError> {
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
}
