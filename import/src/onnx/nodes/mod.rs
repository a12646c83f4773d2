//! Symbolic evaluation of the supported operators. Nothing is skipped unless it is shown to have no
//! effect.

mod activations;
mod averages;
mod blocks;
mod calibrated;
mod casts;
mod categories;
mod choices;
mod columns;
mod comparisons;
mod constants;
mod decisions;
mod forests;
mod grid;
mod layers;
mod numbers;
mod one_sum;
mod pairs;
mod scores;
mod shapes;
mod stumps;
mod support_vectors;
mod text;
mod transformers;
mod units;

use super::{
    OWN,
    attributes::Attributes,
    constant::Constant,
    ensemble::Forests,
    hidden::Hidden,
    operators::{self, Versions},
    plan::Plan,
    unsupported,
    value::{RowNorm, Scores, Value},
    values::Values,
};
use crate::onnx::proto::NodeProto;
use crate::{ImportError, bounds::Work};
use blindscore_protocol::encoding::Function;
pub(crate) use comparisons::before_rounding;

/// Context shared by all nodes of a graph.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    /// The public part so far.
    pub(super) plan: &'a Plan,
    /// Number of rows of the inputs, if it is fixed.
    pub(super) rows: Option<usize>,
    /// Versions of the operators.
    pub(super) versions: Versions,
    /// Remaining budget of multiplications.
    pub(super) work: &'a Work,
    /// Trees so far, if they are wanted whole rather than as additive models.
    pub(super) forests: Option<&'a Forests>,
    /// Hidden units so far, if the graph is that of a network.
    pub(super) hidden: Option<&'a Hidden>,
    /// Whether skl2onnx wrote the file.
    pub(super) by_skl2onnx: bool,
    /// Whether trees round numbers to single precision, whatever the file says: scikit-learn's do.
    pub(super) rounds_trees: bool,
}

/// Returns the values of a node's outputs.
pub(super) fn evaluate(
    node: &NodeProto,
    values: &Values<'_>,
    context: Context<'_>,
) -> Result<Vec<Value>, ImportError> {
    operators::check(node, context.hidden.is_some())?;
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
    // Two scores of a machine keep their meaning only until something is computed from them.
    let is_machine = |value: &&Value| matches!(value, Value::MachineScores(_));
    let kept = ["Cast", "Identity", "ZipMap"].contains(&node.op_type.as_str());
    let opposite: Vec<Value>;
    if !kept && operands.iter().any(is_machine) {
        let as_given = |value: &&Value| match value {
            Value::MachineScores(scores) => Value::Scores(Scores::raw(scores.linear.negated())),
            other => (*other).clone(),
        };
        opposite = operands.iter().map(as_given).collect();
        operands = opposite.iter().collect();
    }
    let node = Node {
        node,
        operands,
        context,
    };
    match context.hidden {
        Some(hidden) => node.layered(hidden),
        None => node.evaluated(),
    }
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

    /// Returns the values of the outputs, none of which are hidden units.
    fn evaluated(&self) -> Result<Vec<Value>, ImportError> {
        let node = self;
        let results = match (node.node.domain.as_str(), node.node.op_type.as_str()) {
            ("ai.onnx.ml", "LinearClassifier") => node.linear_classifier()?,
            ("ai.onnx.ml", "SVMClassifier") => node.svm_classifier()?,
            ("ai.onnx.ml", "TreeEnsembleClassifier") => match node.context.forests {
                Some(forests) => node.forest_classifier(forests)?,
                None => node.stump_classifier()?,
            },
            ("ai.onnx.ml", operator) => vec![node.learning(operator)?],
            ("com.microsoft", "Tokenizer") => match node.operands.as_slice() {
                [value] => vec![node.tokenizer(value)?],
                _ => return node.refuse(node.what_it_gets()),
            },
            (OWN, "HashingVectorizer") => match node.operands.as_slice() {
                [Value::Texts(texts)] => vec![node.hashing_vectorizer(texts)?],
                _ => return node.refuse(node.what_it_gets()),
            },
            (OWN, "IsotonicRegression") => vec![node.isotonic_regression()?],
            (OWN, "Normalizer") => match node.operands.as_slice() {
                [Value::Scores(scores @ Scores { link: Some(_), .. })] => vec![node.normalised(scores)?],
                [value] => vec![node.normalised_row(value)?],
                _ => return node.refuse(node.what_it_gets()),
            },
            (OWN, "PowerTransformer") => vec![node.power_transformer()?],
            (OWN, "QuantileTransformer") => vec![node.quantile_transformer()?],
            (OWN, "SimpleImputer") => vec![node.simple_imputer()?],
            (OWN, "SplineTransformer") => vec![node.spline_transformer()?],
            ("" | "ai.onnx", "Split") => node.split()?,
            (_, operator) => vec![node.standard(operator)?],
        };
        Ok(results)
    }

    fn standard(&self, operator: &str) -> Result<Value, ImportError> {
        if let Some(constant) = self.constant(operator)? {
            return Ok(Value::Constant(constant));
        }
        if let Some(value) = self.combined(operator)? {
            return Ok(value);
        }
        if operator != "Identity"
            && let Some(value) = self.of_blocks(operator)?
        {
            return Ok(value);
        }
        match (operator, self.operands.as_slice()) {
            ("Identity", [value]) => Ok((*value).clone()),
            ("StringNormalizer", [Value::Texts(texts)]) => self.string_normalizer(texts),
            ("StringNormalizer", [Value::Document(document)]) => self.stop_words(document),
            ("TfIdfVectorizer", [Value::Document(document)]) => self.tf_idf(document),
            ("IsNaN", [Value::Features(columns)]) => self.missing(columns),
            ("Not", [Value::Features(columns)]) => self.not(columns),
            ("Less" | "LessOrEqual" | "Greater" | "GreaterOrEqual", [left, right]) => {
                self.compared(operator, left, right)
            }
            ("Pow", [Value::Features(columns), Value::Constant(exponents)]) => self.power(columns, exponents),
            ("Pow", [Value::Grid(grid), Value::Constant(two)]) if two.numbers == [2.0] => self.squared(grid),
            ("Mul", [Value::Features(left), Value::Features(right)]) => self.product_of(left, right),
            ("ReduceProd", [value, ..]) => self.product_of_row(value),
            ("ReduceSumSquare" | "ReduceL1" | "ReduceL2", [Value::Features(columns), ..]) => {
                self.row_norm(operator, columns)
            }
            ("ReduceSum", [Value::Features(columns), ..]) => self.sum_of_magnitudes(columns),
            ("Sqrt", [Value::RowNorm(norm)]) if norm.squared => Ok(Value::RowNorm(RowNorm {
                squared: false,
                ..norm.clone()
            })),
            ("Div", [Value::Features(columns), Value::RowNorm(norm)]) => self.by_row_norm(columns, norm),
            (
                "Where",
                [
                    Value::Features(truth),
                    Value::Constant(held),
                    Value::Constant(not),
                ],
            ) => self.chosen(truth, held, not),
            ("ReduceSum", [Value::Forms(forms), ..]) => self.summed(forms),
            ("ReduceSum", [Value::Grid(grid), ..]) => self.added_up(grid),
            ("ReduceLogSumExp", [Value::Scores(scores), ..]) => self.log_sum_exp(scores),
            ("LogSoftmax", [Value::Scores(scores)]) => self.log_softmax(scores),
            ("Exp", [Value::LogSoftmax(scores)]) => Ok(Value::Scores(scores.clone())),
            ("Exp", [Value::Scores(scores)]) => self.exponential(scores),
            ("Abs", [Value::Features(columns)]) => self.applied_function(Function::Abs, columns),
            ("Exp", [Value::Features(columns)]) => self.applied_function(Function::Exp, columns),
            ("Log", [Value::Features(columns)]) => self.applied_function(Function::Log, columns),
            ("Sqrt", [Value::Features(columns)]) => self.applied_function(Function::Sqrt, columns),
            ("Reciprocal", [Value::Features(columns)]) => {
                self.applied_function(Function::Reciprocal, columns)
            }
            ("Floor", [Value::Features(columns)]) => self.applied_function(Function::Floor, columns),
            ("Ceil", [Value::Features(columns)]) => self.applied_function(Function::Ceil, columns),
            ("Sign", [Value::Features(columns)]) => self.applied_function(Function::Sign, columns),
            ("Clip", [Value::Features(columns), ..]) => self.clipped(columns),
            ("ArgMax", [Value::Features(columns)]) => self.first_true(columns),
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
            ("BatchNormalization", [value, parameters @ ..]) => self.batch_normalised(value, parameters),
            ("Concat", operands) => self.concat(operands),
            ("Sum" | "Mean", operands) => self.added(operands, operator == "Mean"),
            ("ReduceMean", [Value::Layers(layers), ..]) => self.mean_of_layers(layers),
            ("SequenceConstruct", operands) => self.sequence(operands),
            ("LpNormalization", [Value::Scores(scores)]) => self.lp_normalised(scores),
            ("Reciprocal", [Value::OnePlusExp(scores)]) => self.sigmoid(scores),
            ("Transpose", [Value::Swapped(scores)]) => self.swapped_back(scores),
            ("Shape", [value]) => self.shape_of(value),
            ("ConstantOfShape", [Value::Shape(columns)]) => self.constant_of_shape(*columns),
            ("Neg", [value]) => self.negated(value),
            ("Slice", [value, ..]) => self.slice(value),
            ("Gather", [value, Value::Constant(places)]) => self.gather(value, places),
            ("ReduceSum", [Value::Scores(scores), ..]) => self.sum(scores),
            ("ArgMax", [Value::Scores(scores)]) => self.argmax(scores),
            ("Sign", [Value::Scores(scores)]) => self.sign_of_score(scores),
            ("Sign" | "Clip", [Value::Held(held), ..]) => self.held(operator, held),
            _ => self.refuse(self.what_it_gets()),
        }
    }

    /// Evaluates an operator on classifiers that combine several models; `None` if it isn't one.
    fn combined(&self, operator: &str) -> Result<Option<Value>, ImportError> {
        match self.of_averages(operator)? {
            Some(value) => Ok(Some(value)),
            None => match self.of_calibrated(operator)? {
                Some(value) => Ok(Some(value)),
                None => self.of_pairs(operator),
            },
        }
    }

    /// Returns the names of the classes, as texts or whole numbers.
    fn class_names(&self, integers: &str) -> Result<Vec<String>, ImportError> {
        match self.attributes().class_names("classlabels_strings", integers) {
            Ok(Some(names)) => Ok(names),
            Ok(None) => self.refuse(" without names of classes"),
            Err(why) => self.refuse(why),
        }
    }

    fn learning(&self, operator: &str) -> Result<Value, ImportError> {
        if let Some(value) = self.combined(operator)? {
            return Ok(value);
        }
        match (operator, self.operands.as_slice()) {
            ("Imputer", [value]) => self.imputer(value),
            ("OneHotEncoder", [value]) => self.one_hot(value),
            ("LabelEncoder", [value]) => self.label_encoder(value),
            ("Binarizer", [value]) => self.binarizer(value),
            ("TreeEnsembleRegressor", [value]) => match self.context.forests {
                Some(forests) => self.forest_regressor(value, forests),
                None => self.stump_regressor(value),
            },
            ("SVMRegressor", [value]) => self.svm_regressor(value),
            ("Normalizer", [value @ (Value::Features(_) | Value::Scores(Scores { link: None, .. }))]) => {
                self.normalised_row(value)
            }
            ("Scaler", [value]) => self.scaler(value),
            ("LinearRegressor", [value]) => self.linear_regressor(value),
            ("Normalizer", [Value::Scores(scores)]) => self.normalised(scores),
            // Written by skl2onnx for the columns of a data frame.
            ("FeatureVectorizer", operands) => self.vectorised(operands),
            ("ArrayFeatureExtractor", [Value::Constant(classes), Value::Label(label)]) => {
                self.named(classes, label)
            }
            ("ArrayFeatureExtractor", [Value::Constant(table), Value::Features(columns)]) => {
                self.table_lookup(table, columns)
            }
            // Written by skl2onnx for the columns of a ColumnTransformer.
            ("ArrayFeatureExtractor", [value, Value::Constant(places)]) => self.extract(value, places),
            ("ZipMap", [Value::Scores(scores)]) => self.zipped(scores),
            ("ZipMap", [Value::MachineScores(scores)]) => match self.zipped(scores)? {
                Value::Scores(scores) => Ok(Value::MachineScores(scores)),
                other => Ok(other),
            },
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
