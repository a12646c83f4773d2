//! Operators that compute scores from features, or from other scores.

use super::Node;
use crate::{
    ImportError,
    onnx::{
        constant::Constant,
        linear::Linear,
        value::{Scores, Value},
    },
};
use blindscore_protocol::descriptor::FEATURES;

/// Most weights held at once, over all features: those of the largest model.
const MOST_WEIGHTS: usize = 16_384 * 1_000;
/// Most scores in the middle of a graph: as many as there may be features.
const MOST_SCORES: usize = *FEATURES.end();

impl Node<'_> {
    /// Refuses more scores than may take memory.
    pub(super) fn check_weights(&self, scores: usize, features: usize) -> Result<(), ImportError> {
        if scores > MOST_SCORES || scores.saturating_mul(features) > MOST_WEIGHTS {
            return self.refuse(format!(
                " to {scores} columns of {features} features; at most {MOST_SCORES} columns and {MOST_WEIGHTS} weights are allowed"
            ));
        }
        Ok(())
    }

    /// Returns the number of numbers that a value depends on, or more.
    pub(super) fn support(&self, value: &Value) -> usize {
        match value {
            Value::Features(columns) => columns.len(),
            Value::Scores(scores) => scores.linear.support().len(),
            _ => 0,
        }
    }

    /// Applies one row of weights per output to columns of features or of scores.
    fn applied(&self, value: &Value, weights: &[Vec<f64>], intercept: &[f64]) -> Result<Linear, ImportError> {
        let features = self.support(value);
        self.check_weights(weights.len(), features)?;
        match value {
            Value::Features(columns) if !columns.vector => {
                self.context
                    .work
                    .take(&[weights.len(), columns.len().max(features)])?;
                Ok(Linear::new(columns, weights, intercept))
            }
            Value::Scores(scores) if scores.link.is_none() && !scores.vector => {
                // Even a row of few features takes some time.
                self.context
                    .work
                    .take(&[weights.len(), scores.len(), features + 8])?;
                Ok(scores.linear.then(weights, intercept))
            }
            _ => self.refuse(self.what_it_gets()),
        }
    }

    /// Multiplies columns by weights of shape `[columns, outputs]`, or by their transpose.
    fn product(
        &self,
        value: &Value,
        weights: &Constant,
        transposed: bool,
        intercept: Option<&Constant>,
    ) -> Result<Linear, ImportError> {
        let (inputs, outputs) = match (weights.shape.as_slice(), transposed) {
            (&[inputs, outputs], false) | (&[outputs, inputs], true) => (inputs, outputs),
            (shape, _) => return self.refuse(format!(" with weights of shape {shape:?}")),
        };
        let width = self.width(value)?;
        if inputs != width || weights.numbers.len() != inputs * outputs || outputs == 0 {
            return self.refuse(format!(" of {width} columns and weights for {inputs}"));
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
            Some(constant) => match constant.broadcast(outputs) {
                Some(intercept) => intercept,
                None => {
                    return self.refuse(format!(
                        " of {outputs} outputs and intercepts of shape {:?}",
                        constant.shape
                    ));
                }
            },
        };
        self.applied(value, &rows, &intercept)
    }

    pub(super) fn matmul(&self, value: &Value, weights: &Constant) -> Result<Value, ImportError> {
        if matches!(value, Value::Features(columns) if columns.integers) {
            return self.refuse(" on whole numbers: cast them to float before");
        }
        // A product with a vector loses the axis of columns.
        if let &[inputs] = weights.shape.as_slice() {
            let column = Constant {
                shape: vec![inputs, 1],
                ..weights.clone()
            };
            let linear = self.product(value, &column, false, None)?;
            return Ok(Value::Scores(Scores {
                vector: true,
                ..Scores::raw(linear)
            }));
        }
        Ok(Value::Scores(Scores::raw(
            self.product(value, weights, false, None)?,
        )))
    }

    pub(super) fn gemm(
        &self,
        value: &Value,
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
            [Value::Constant(constant)] => Some(scaled(constant, beta)),
            _ => return self.refuse(" with an intercept that isn't constant"),
        };
        let transposed = attributes.int("transB", 0) != 0;
        let linear = self.product(value, &scaled(weights, alpha), transposed, intercept.as_ref())?;
        Ok(Value::Scores(Scores::raw(linear)))
    }

    /// Applies `coefficients` as one row of weights per output.
    pub(super) fn rows(
        &self,
        value: &Value,
        coefficients: &[f64],
        intercepts: &[f64],
        outputs: usize,
    ) -> Result<Linear, ImportError> {
        let width = self.width(value)?;
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
        self.applied(
            value,
            &rows,
            if intercepts.is_empty() { &zeros } else { intercepts },
        )
    }
}
