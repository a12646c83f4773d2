//! Symbolic evaluation of the supported operators. Nothing is skipped unless it is shown to have no
//! effect.

mod casts;
mod columns;
mod constants;
mod decisions;
mod scores;
mod shapes;

use super::{
    attributes::Attributes,
    constant::Constant,
    operators::{self, Versions},
    unsupported,
    value::{Scores, Value},
    values::Values,
};
use crate::{ImportError, bounds::Work};
use tract_onnx::pb::NodeProto;

/// Context shared by all nodes of a graph.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    /// Number of the model's features.
    pub(super) features: usize,
    /// Number of rows of the inputs, if it is fixed.
    pub(super) rows: Option<usize>,
    /// Versions of the operators.
    pub(super) versions: Versions,
    /// Remaining budget of multiplications.
    pub(super) work: &'a Work,
}

/// Returns the values of a node's outputs.
pub(super) fn evaluate(
    node: &NodeProto,
    values: &Values<'_>,
    context: Context<'_>,
) -> Result<Vec<Value>, ImportError> {
    operators::check(node)?;
    let operand = |name: &String| match (values.get(name), name.as_str()) {
        (_, "") => Ok(&Value::Absent),
        (Some(value), _) => Ok(value),
        (None, _) => Err(unsupported(
            node,
            format!(": it takes {name:?}, which no node before it gives"),
        )),
    };
    let mut operands: Vec<&Value> = node.input.iter().map(operand).collect::<Result<_, _>>()?;
    while operands.last() == Some(&&Value::Absent) {
        operands.pop();
    }
    let node = Node {
        node,
        operands,
        context,
    };
    let results = match (node.node.domain.as_str(), node.node.op_type.as_str()) {
        ("ai.onnx.ml", "LinearClassifier") => node.linear_classifier()?,
        ("ai.onnx.ml", operator) => vec![node.learning(operator)?],
        (_, operator) => vec![node.standard(operator)?],
    };
    Ok(results)
}

struct Node<'a> {
    node: &'a NodeProto,
    operands: Vec<&'a Value>,
    context: Context<'a>,
}

impl Node<'_> {
    fn attributes(&self) -> Attributes<'_> {
        Attributes(self.node)
    }

    fn refuse<T>(&self, why: impl Into<String>) -> Result<T, ImportError> {
        Err(unsupported(self.node, why))
    }

    fn standard(&self, operator: &str) -> Result<Value, ImportError> {
        if let Some(constant) = self.constant(operator)? {
            return Ok(Value::Constant(constant));
        }
        match (operator, self.operands.as_slice()) {
            ("Identity", [value]) => Ok((*value).clone()),
            ("Cast", [value]) => self.cast(value),
            ("CastLike", [value, like]) => self.cast_like(value, like),
            ("Dropout", [value, ..]) => self.dropout(value),
            ("Reshape", [value, Value::Constant(target)]) => self.reshape(value, target),
            ("Flatten" | "Squeeze" | "Unsqueeze", [value, ..]) => self.reaxed(operator, value),
            ("Add" | "Sub" | "Mul" | "Div", [left, right]) => self.arithmetic(operator, left, right),
            ("MatMul", [value, Value::Constant(weights)]) => self.matmul(value, weights),
            ("Gemm", [value, Value::Constant(weights), rest @ ..]) => self.gemm(value, weights, rest),
            ("Softmax", [Value::Scores(scores)]) => self.softmax(scores),
            ("Sigmoid", [Value::Scores(scores)]) => self.sigmoid(scores),
            // Probabilities are not negative.
            ("Abs", [value @ Value::Scores(Scores { link: Some(_), .. })]) => Ok((*value).clone()),
            ("Concat", operands) => self.concat(operands),
            ("Slice", [value, ..]) => self.slice(value),
            ("Gather", [value, Value::Constant(places)]) => self.gather(value, places),
            ("ReduceSum", [Value::Scores(scores), ..]) => self.sum(scores),
            ("ArgMax", [Value::Scores(scores)]) => self.argmax(scores),
            ("Sign" | "Clip", [Value::Held(held), ..]) => self.held(operator, held),
            _ => self.refuse(self.what_it_gets()),
        }
    }

    fn learning(&self, operator: &str) -> Result<Value, ImportError> {
        match (operator, self.operands.as_slice()) {
            ("Scaler", [value]) => self.scaler(value),
            ("LinearRegressor", [value]) => self.linear_regressor(value),
            ("Normalizer", [Value::Scores(scores)]) => self.normalised(scores),
            // Written by skl2onnx for the columns of a data frame.
            ("FeatureVectorizer", operands) => self.vectorised(operands),
            ("ArrayFeatureExtractor", [Value::Constant(classes), Value::Label(label)]) => {
                self.named(classes, label)
            }
            // Written by skl2onnx for the columns of a ColumnTransformer.
            ("ArrayFeatureExtractor", [value, Value::Constant(places)]) => self.extract(value, places),
            ("ZipMap", [Value::Scores(scores)]) => self.zipped(scores),
            _ => self.refuse(self.what_it_gets()),
        }
    }

    /// Returns the axes of an operator: an attribute, or in newer versions an input. `None` without
    /// axes.
    fn axes(&self, operand: usize) -> Result<Option<Vec<i64>>, ImportError> {
        let attribute = self.attributes().ints("axes").map(<[i64]>::to_vec);
        match (attribute, self.operands.get(operand)) {
            (Some(_), Some(Value::Constant(_))) => self.refuse(" with axes given twice"),
            (axes @ Some(_), None | Some(Value::Absent)) => Ok(axes),
            (None, Some(Value::Constant(constant))) => self.integers(constant).map(Some),
            (None, None | Some(Value::Absent)) => Ok(None),
            _ => self.refuse(" with axes that aren't constant"),
        }
    }

    /// Returns the whole numbers of a constant.
    fn integers(&self, constant: &Constant) -> Result<Vec<i64>, ImportError> {
        match constant.integers() {
            Some(numbers) => Ok(numbers),
            None => self.refuse(" by numbers that aren't whole"),
        }
    }

    /// Describes the operands of an operator in the wrong place.
    fn what_it_gets(&self) -> String {
        let kinds: Vec<&str> = self.operands.iter().map(|value| value.kind()).collect();
        if kinds.is_empty() {
            String::new()
        } else {
            format!(" on {}", kinds.join(" and "))
        }
    }
}
