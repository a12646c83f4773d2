//! Operators that make scores of features, and what is made of scores.

use super::Node;
use crate::import::{
    ImportError,
    onnx::{
        attributes::Constant,
        linear::Linear,
        value::{Columns, Scores, Value},
    },
};
use blindscore_protocol::descriptor::Link;

impl Node<'_> {
    /// Columns times weights of shape `[columns, outputs]`, or the transpose.
    pub(super) fn product(
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

    pub(super) fn gemm(
        &self,
        columns: &Columns,
        weights: &Constant,
        rest: &[&Value],
    ) -> Result<Value, ImportError> {
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
    pub(super) fn rows(
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
    pub(super) fn linear_classifier(&self) -> Result<Vec<Value>, ImportError> {
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

    pub(super) fn linked(&self, scores: &Scores, link: Link) -> Result<Value, ImportError> {
        let axis = self.attributes().int("axis", -1);
        if link == Link::Softmax && axis != -1 && axis != 1 {
            return self.refuse(format!(" along axis {axis}"));
        }
        Ok(Value::Scores(Scores {
            link: Some(link),
            ..scores.clone()
        }))
    }
}
