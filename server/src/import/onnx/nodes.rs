//! What each supported operator makes of its inputs.

mod columns;
mod scores;

use super::{
    attributes::{Attributes, Constant},
    unsupported,
    value::{Scaling, Scores, Value},
};
use crate::import::ImportError;
use blindscore_protocol::descriptor::Link;
use std::collections::HashMap;
use tract_onnx::pb::NodeProto;

/// The values of a node's outputs.
pub(super) fn evaluate(
    node: &NodeProto,
    values: &HashMap<String, Value>,
) -> Result<Vec<(String, Value)>, ImportError> {
    let operands: Vec<&Value> = node.input.iter().filter_map(|name| values.get(name)).collect();
    if operands.len() != node.input.iter().filter(|name| !name.is_empty()).count() {
        return Err(unsupported(
            node,
            ": it takes something that no node before it gives",
        ));
    }
    let node = Node { node, operands };
    let results = match (node.node.domain.as_str(), node.node.op_type.as_str()) {
        ("" | "ai.onnx", operator) => vec![node.standard(operator)?],
        ("ai.onnx.ml", "LinearClassifier") => node.linear_classifier()?,
        ("ai.onnx.ml", operator) => vec![node.machine_learning(operator)?],
        _ => return Err(unsupported(node.node, "")),
    };
    Ok(node.node.output.iter().cloned().zip(results).collect())
}

struct Node<'a> {
    node: &'a NodeProto,
    operands: Vec<&'a Value>,
}

impl Node<'_> {
    fn attributes(&self) -> Attributes<'_> {
        Attributes(self.node)
    }

    fn refuse<T>(&self, why: impl Into<String>) -> Result<T, ImportError> {
        Err(unsupported(self.node, why))
    }

    fn standard(&self, operator: &str) -> Result<Value, ImportError> {
        match (operator, self.operands.as_slice()) {
            ("Constant", []) => match self.attributes().tensor("value").map(Constant::of) {
                Some(Ok(constant)) => Ok(Value::Constant(constant)),
                Some(Err(why)) => self.refuse(format!(": it {why}")),
                None => self.refuse(" without a tensor"),
            },
            (
                "Cast" | "Identity" | "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" | "Dropout",
                [value, ..],
            ) => Ok((*value).clone()),
            ("Add" | "Sub" | "Mul" | "Div", [left, right]) => self.arithmetic(operator, left, right),
            ("MatMul", [Value::Features(columns), Value::Constant(weights)]) => Ok(Value::Scores(
                Scores::raw(self.product(columns, weights, false, None)?),
            )),
            ("Gemm", [Value::Features(columns), Value::Constant(weights), rest @ ..]) => {
                self.gemm(columns, weights, rest)
            }
            ("Softmax", [Value::Scores(scores)]) if scores.link.is_none() => {
                self.linked(scores, Link::Softmax)
            }
            ("Sigmoid", [Value::Scores(scores)]) if scores.link.is_none() => {
                self.linked(scores, Link::Sigmoid)
            }
            ("Concat", operands) => self.concat(operands),
            (
                "Slice",
                [
                    Value::Scores(Scores {
                        linear,
                        link: Some(Link::Sigmoid),
                        classes: Some(_),
                        ..
                    }),
                    Value::Constant(start),
                    ..,
                ],
            ) if start.numbers == [1.0] => Ok(Value::SecondClass(linear.clone())),
            ("ReduceSum", [Value::Scores(scores), ..]) if scores.link == Some(Link::Sigmoid) => {
                Ok(Value::Sum(scores.linear.clone()))
            }
            ("ArgMax", [Value::Scores(_)]) => Ok(Value::Label(None)),
            _ => self.refuse(self.what_it_gets()),
        }
    }

    fn machine_learning(&self, operator: &str) -> Result<Value, ImportError> {
        match (operator, self.operands.as_slice()) {
            ("Scaler", [Value::Features(columns)]) => {
                let (offset, scale) = (
                    self.attributes().floats("offset"),
                    self.attributes().floats("scale"),
                );
                let moved = self.each(columns, &offset, |column, offset| column.offset -= offset)?;
                let scaled = self.each(&moved, &scale, |column, scale| {
                    column.offset *= scale;
                    column.scale *= scale;
                })?;
                Ok(Value::Features(scaled.scaled_as(Scaling::Standard)))
            }
            ("LinearRegressor", [Value::Features(columns)]) => {
                let attributes = self.attributes();
                if attributes.text("post_transform", "NONE") != "NONE" {
                    return self.refuse(" with a post_transform");
                }
                let targets = attributes.int("targets", 1).max(1) as usize;
                let linear = self.rows(
                    columns,
                    &attributes.floats("coefficients"),
                    &attributes.floats("intercepts"),
                    targets,
                )?;
                Ok(Value::Scores(Scores::raw(linear)))
            }
            ("Normalizer", [Value::Scores(scores)]) if self.attributes().text("norm", "MAX") == "L1" => {
                match scores.link {
                    Some(Link::Sigmoid) if scores.classes.is_none() => Ok(Value::Scores(Scores {
                        link: Some(Link::OneVsRest),
                        ..scores.clone()
                    })),
                    // They add up to one already.
                    Some(_) => Ok(Value::Scores(scores.clone())),
                    None => self.refuse(" on raw scores"),
                }
            }
            // What skl2onnx writes for the columns of a data frame.
            ("FeatureVectorizer", operands)
                if operands.iter().all(|value| matches!(value, Value::Features(_))) =>
            {
                self.concat(operands)
            }
            // What it writes for the columns that a ColumnTransformer takes.
            ("ArrayFeatureExtractor", [Value::Features(columns), Value::Constant(places)]) => {
                self.select(columns, places)
            }
            // Of the two scores that a RidgeClassifier decides by, the second one.
            ("ArrayFeatureExtractor", [value @ Value::Scores(scores), Value::Constant(places)])
                if scores.classes.is_some() && scores.link.is_none() && places.numbers == [1.0] =>
            {
                Ok((*value).clone())
            }
            ("ZipMap", [value @ Value::Scores(_)]) => Ok((*value).clone()),
            ("ArrayFeatureExtractor", [Value::Constant(classes), Value::Label(_)]) => {
                Ok(Value::Label(Some(classes.texts.clone())))
            }
            _ => self.refuse(self.what_it_gets()),
        }
    }

    /// Words for an operator in the wrong place.
    fn what_it_gets(&self) -> String {
        let kinds: Vec<&str> = self
            .operands
            .iter()
            .map(|value| match value {
                Value::Constant(_) => "a constant",
                Value::Features(_) => "the features",
                Value::Scores(scores) if scores.link.is_some() => "probabilities",
                Value::Scores(_) => "scores",
                Value::SecondClass(_) => "a class's probability",
                Value::Sum(_) => "a sum of probabilities",
                Value::Label(_) => "labels",
            })
            .collect();
        if kinds.is_empty() {
            String::new()
        } else {
            format!(" on {}", kinds.join(" and "))
        }
    }
}
