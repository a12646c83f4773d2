//! What each supported operator makes of its inputs.

use super::{
    attributes::{Attributes, Constant},
    linear::Linear,
    unsupported,
    value::{Column, Columns, Scaling, Scores, Value},
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
                let place = |&number: &f64| columns.columns.get(number as usize).copied();
                let chosen: Option<Vec<Column>> = places.numbers.iter().map(place).collect();
                match chosen {
                    Some(columns) => Ok(Value::Features(Columns { columns })),
                    None => self.refuse(format!(
                        " of columns beyond the {} there are",
                        columns.columns.len()
                    )),
                }
            }
            ("ZipMap", [value @ Value::Scores(_)]) => Ok((*value).clone()),
            ("ArrayFeatureExtractor", [Value::Constant(classes), Value::Label(_)]) => {
                Ok(Value::Label(Some(classes.texts.clone())))
            }
            _ => self.refuse(self.what_it_gets()),
        }
    }

    /// Element by element with a constant, or the division that makes one-against-the-rest probabilities add up to one.
    fn arithmetic(&self, operator: &str, left: &Value, right: &Value) -> Result<Value, ImportError> {
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
    fn scale(&self, operator: &str, columns: &Columns, constant: &Constant) -> Result<Value, ImportError> {
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
    fn each(
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

    /// Columns times weights of shape `[columns, outputs]`, or the transpose.
    fn product(
        &self,
        columns: &Columns,
        weights: &Constant,
        transposed: bool,
        intercept: Option<&[f64]>,
    ) -> Result<Linear, ImportError> {
        let (inputs, outputs) = match (weights.shape.as_slice(), transposed) {
            (&[inputs, outputs], false) | (&[outputs, inputs], true) => (inputs, outputs),
            (&[inputs], false) => (inputs, 1),
            (shape, _) => return self.refuse(format!(" with weights of shape {shape:?}")),
        };
        if inputs != columns.columns.len() {
            return self.refuse(format!(
                " of {} columns and weights for {inputs}",
                columns.columns.len()
            ));
        }
        let weight = |output: usize, input: usize| {
            weights.numbers[if transposed {
                output * inputs + input
            } else {
                input * outputs + output
            }]
        };
        let rows: Vec<Vec<f64>> = (0..outputs)
            .map(|output| (0..inputs).map(|input| weight(output, input)).collect())
            .collect();
        let intercept = match intercept {
            None => vec![0.0; outputs],
            Some(&[one]) => vec![one; outputs],
            Some(each) if each.len() == outputs => each.to_vec(),
            Some(other) => {
                return self.refuse(format!(" of {outputs} outputs and {} intercepts", other.len()));
            }
        };
        Ok(Linear::new(columns, &rows, &intercept))
    }

    fn gemm(&self, columns: &Columns, weights: &Constant, rest: &[&Value]) -> Result<Value, ImportError> {
        let attributes = self.attributes();
        if attributes.int("transA", 0) != 0 {
            return self.refuse(" with transA");
        }
        let (alpha, beta) = (attributes.float("alpha", 1.0), attributes.float("beta", 1.0));
        let scaled = |constant: &Constant, by: f64| Constant {
            numbers: constant.numbers.iter().map(|number| number * by).collect(),
            ..constant.clone()
        };
        let intercept = match rest {
            [] => None,
            [Value::Constant(constant)] => Some(scaled(constant, beta).numbers),
            _ => return self.refuse(" with an intercept that isn't constant"),
        };
        let transposed = attributes.int("transB", 0) != 0;
        let linear = self.product(columns, &scaled(weights, alpha), transposed, intercept.as_deref())?;
        Ok(Value::Scores(Scores::raw(linear)))
    }

    /// `coefficients` as one row of weights for each output.
    fn rows(
        &self,
        columns: &Columns,
        coefficients: &[f64],
        intercepts: &[f64],
        outputs: usize,
    ) -> Result<Linear, ImportError> {
        let width = columns.columns.len();
        if outputs == 0
            || coefficients.len() != outputs.saturating_mul(width)
            || ![0, outputs].contains(&intercepts.len())
        {
            return self.refuse(format!(
                " of {width} columns and {outputs} outputs, with {} coefficients and {} intercepts",
                coefficients.len(),
                intercepts.len()
            ));
        }
        if coefficients
            .iter()
            .chain(intercepts)
            .any(|number| !number.is_finite())
        {
            return self.refuse(" with coefficients that are no numbers");
        }
        let rows: Vec<Vec<f64>> = coefficients.chunks_exact(width).map(<[f64]>::to_vec).collect();
        let zeros = vec![0.0; outputs];
        Ok(Linear::new(
            columns,
            &rows,
            if intercepts.is_empty() { &zeros } else { intercepts },
        ))
    }

    /// Labels and scores. Two classes are decided by one score.
    fn linear_classifier(&self) -> Result<Vec<Value>, ImportError> {
        let [Value::Features(columns)] = self.operands.as_slice() else {
            return self.refuse(self.what_it_gets());
        };
        let attributes = self.attributes();
        let labels = attributes.class_labels();
        let coefficients = attributes.floats("coefficients");
        let outputs = coefficients.len() / columns.columns.len().max(1);
        let linear = self.rows(columns, &coefficients, &attributes.floats("intercepts"), outputs)?;
        let link = match attributes.text("post_transform", "NONE").as_str() {
            "NONE" => None,
            "LOGISTIC" => Some(Link::Sigmoid),
            "SOFTMAX" => Some(Link::Softmax),
            other => return self.refuse(format!(" with post_transform {other}")),
        };
        // Two rows that are each other's opposites, or one: the sign decides.
        let one = match outputs {
            1 => Some(linear.clone()),
            2 if link != Some(Link::Softmax) => linear.halved(),
            _ => None,
        };
        let scores = match (one, <[String; 2]>::try_from(labels.clone())) {
            (Some(linear), Ok(classes)) => Scores {
                linear,
                link,
                labels: None,
                classes: Some(classes),
            },
            _ => Scores {
                linear,
                link,
                labels: (labels.len() == outputs).then(|| labels.clone()),
                classes: None,
            },
        };
        Ok(vec![Value::Label(Some(labels)), Value::Scores(scores)])
    }

    fn linked(&self, scores: &Scores, link: Link) -> Result<Value, ImportError> {
        let axis = self.attributes().int("axis", -1);
        if link == Link::Softmax && axis != -1 && axis != 1 {
            return self.refuse(format!(" along axis {axis}"));
        }
        Ok(Value::Scores(Scores {
            link: Some(link),
            ..scores.clone()
        }))
    }

    /// Columns side by side, or the probabilities of one-against-the-rest models.
    fn concat(&self, operands: &[&Value]) -> Result<Value, ImportError> {
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
