//! Supported operators and their supported attributes. Other attributes may change an operator's
//! meaning, so they are refused.

use super::{attributes::operator, unsupported};
use crate::ImportError;
use tract_onnx::pb::{NodeProto, OperatorSetIdProto, attribute_proto::AttributeType};

/// Newest version of ONNX's default operators that this code was written for.
const NEWEST: i64 = 28;
/// Newest such version of the operators of `ai.onnx.ml`.
const NEWEST_ML: i64 = 5;
/// Oldest version in which operators broadcast as they do today.
const OLDEST: i64 = 7;

type Attribute = (&'static str, AttributeType);

const AXIS: Attribute = ("axis", AttributeType::Int);
const COEFFICIENTS: [Attribute; 3] = [
    ("coefficients", AttributeType::Floats),
    ("intercepts", AttributeType::Floats),
    ("post_transform", AttributeType::String),
];

/// Default ONNX operators, with their attributes.
const STANDARD: &[(&str, &[Attribute])] = &[
    ("Abs", &[]),
    ("Add", &[]),
    (
        "ArgMax",
        &[
            AXIS,
            ("keepdims", AttributeType::Int),
            ("select_last_index", AttributeType::Int),
        ],
    ),
    (
        "Cast",
        &[("to", AttributeType::Int), ("saturate", AttributeType::Int)],
    ),
    ("CastLike", &[("saturate", AttributeType::Int)]),
    ("Clip", &[]),
    ("Concat", &[AXIS]),
    ("Constant", &[("value", AttributeType::Tensor)]),
    ("Div", &[]),
    (
        "Dropout",
        &[("ratio", AttributeType::Float), ("seed", AttributeType::Int)],
    ),
    ("Flatten", &[AXIS]),
    ("Gather", &[AXIS]),
    (
        "Gemm",
        &[
            ("alpha", AttributeType::Float),
            ("beta", AttributeType::Float),
            ("transA", AttributeType::Int),
            ("transB", AttributeType::Int),
        ],
    ),
    ("Identity", &[]),
    ("MatMul", &[]),
    ("Mul", &[]),
    (
        "ReduceSum",
        &[
            ("axes", AttributeType::Ints),
            ("keepdims", AttributeType::Int),
            ("noop_with_empty_axes", AttributeType::Int),
        ],
    ),
    ("Reshape", &[("allowzero", AttributeType::Int)]),
    ("Sigmoid", &[]),
    ("Sign", &[]),
    (
        "Slice",
        &[
            ("axes", AttributeType::Ints),
            ("starts", AttributeType::Ints),
            ("ends", AttributeType::Ints),
        ],
    ),
    ("Softmax", &[AXIS]),
    ("Sqrt", &[]),
    ("Squeeze", &[("axes", AttributeType::Ints)]),
    ("Sub", &[]),
    ("Transpose", &[("perm", AttributeType::Ints)]),
    ("Unsqueeze", &[("axes", AttributeType::Ints)]),
];

/// Operators of `ai.onnx.ml`, with their attributes.
const LEARNING: &[(&str, &[Attribute])] = &[
    ("ArrayFeatureExtractor", &[]),
    ("FeatureVectorizer", &[("inputdimensions", AttributeType::Ints)]),
    (
        "LinearClassifier",
        &[
            COEFFICIENTS[0],
            COEFFICIENTS[1],
            COEFFICIENTS[2],
            ("classlabels_ints", AttributeType::Ints),
            ("classlabels_strings", AttributeType::Strings),
            ("multi_class", AttributeType::Int),
        ],
    ),
    (
        "LinearRegressor",
        &[
            COEFFICIENTS[0],
            COEFFICIENTS[1],
            COEFFICIENTS[2],
            ("targets", AttributeType::Int),
        ],
    ),
    ("Normalizer", &[("norm", AttributeType::String)]),
    (
        "Scaler",
        &[
            ("offset", AttributeType::Floats),
            ("scale", AttributeType::Floats),
        ],
    ),
    (
        "ZipMap",
        &[
            ("classlabels_int64s", AttributeType::Ints),
            ("classlabels_strings", AttributeType::Strings),
        ],
    ),
];

/// Versions of operators that a model was exported with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Versions {
    /// Version of the default operators.
    pub(super) standard: i64,
}

impl Versions {
    /// Reads a model's imports of operators.
    ///
    /// # Errors
    /// If a version is unknown, or a domain has two versions.
    pub(super) fn read(imports: &[OperatorSetIdProto]) -> Result<Self, ImportError> {
        let refuse = |words: String| Err(ImportError::Graph(words));
        let mut standard = None;
        for import in imports {
            let (known, newest, oldest) = match import.domain.as_str() {
                "" | "ai.onnx" => (standard.replace(import.version), NEWEST, OLDEST),
                "ai.onnx.ml" => (None, NEWEST_ML, 1),
                // Nodes of other domains are refused by name.
                _ => continue,
            };
            let version = import.version;
            let domain = if newest == NEWEST_ML { "ai.onnx.ml" } else { "ONNX" };
            if known.is_some_and(|known| known != version) {
                return refuse(format!("the model imports two versions of {domain}'s operators"));
            }
            if !(oldest..=newest).contains(&version) {
                return refuse(format!(
                    "the model was exported with version {version} of {domain}'s operators (opset); {oldest} to {newest} are supported. \
                     Export it with another target opset"
                ));
            }
        }
        match standard {
            Some(standard) => Ok(Self { standard }),
            // Without that import, no node is of this domain.
            None => Ok(Self { standard: OLDEST }),
        }
    }
}

/// Refuses a node with an unsupported operator or attribute.
pub(super) fn check(node: &NodeProto) -> Result<(), ImportError> {
    let operators = match node.domain.as_str() {
        "" | "ai.onnx" => STANDARD,
        "ai.onnx.ml" => LEARNING,
        _ => return Err(unsupported(node, "")),
    };
    let Some((_, attributes)) = operators.iter().find(|(name, _)| *name == node.op_type) else {
        return Err(unsupported(node, ""));
    };
    for (index, attribute) in node.attribute.iter().enumerate() {
        let name = attribute.name.as_str();
        let known = attributes.iter().find(|(known, _)| *known == name);
        let Some((_, kind)) = known else {
            return Err(unsupported(node, format!(" with the attribute {name:?}")));
        };
        // Files before IR version 3 don't state the type.
        if ![*kind, AttributeType::Undefined].contains(&attribute.r#type()) {
            return Err(unsupported(
                node,
                format!(" with {name:?} of another type than the specification's"),
            ));
        }
        if node.attribute[..index].iter().any(|other| other.name == name) {
            return Err(unsupported(node, format!(" with two values of {name:?}")));
        }
    }
    Ok(())
}

/// Returns the usual name for an operator's purpose in other tools, and an alternative.
pub(super) fn hint(node: &NodeProto) -> Option<&'static str> {
    Some(match operator(node).as_str() {
        "ai.onnx.ml.Imputer" => {
            "It fills in missing values (SimpleImputer). Fill them in before `predict`, and export the steps after it"
        }
        "ai.onnx.ml.OneHotEncoder" | "ai.onnx.ml.LabelEncoder" | "ai.onnx.ml.CategoryMapper" => {
            "It encodes categories. Encode them in your data, as columns of numbers, and export the steps after it"
        }
        "StringNormalizer" | "TfIdfVectorizer" | "ai.onnx.ml.DictVectorizer" | "com.microsoft.Tokenizer" => {
            "It reads text. Make columns of numbers of it, and export the steps after it"
        }
        "Less" | "LessOrEqual" | "Greater" | "GreaterOrEqual" | "ai.onnx.ml.Binarizer" => {
            "It compares with thresholds (KBinsDiscretizer, Binarizer). Do that in your data, and export the steps after it"
        }
        "Pow" | "ReduceProd" | "ReduceSumSquare" | "ReduceLogSumExp" => {
            "It multiplies features (PolynomialFeatures, naive Bayes). Add products as columns of your data, and fit a linear model on them"
        }
        "ai.onnx.ml.Normalizer" | "ReduceL1" | "ReduceL2" | "LpNormalization" => {
            "It divides each row by its length (Normalizer). Do that in your data, and export the steps after it"
        }
        "Clip" => {
            "It cuts values off (MinMaxScaler(clip=True)). Clients refuse values outside the ranges anyway: fit it without clipping"
        }
        "ai.onnx.ml.SVMClassifier" | "ai.onnx.ml.SVMRegressor" => {
            "It is a support vector machine with a kernel, even where that is linear. Use LinearSVC or LinearSVR"
        }
        "ai.onnx.ml.TreeEnsembleClassifier"
        | "ai.onnx.ml.TreeEnsembleRegressor"
        | "ai.onnx.ml.TreeEnsemble" => {
            "It is a model of decision trees, which isn't served. Fit a linear model, or a projection network (models/net)"
        }
        "Relu" | "Tanh" | "LeakyRelu" | "Elu" | "Gelu" | "Conv" | "LSTM" | "GRU" | "MaxPool" => {
            "It belongs to a neural network. Train a projection network instead (models/net)"
        }
        "Exp" | "Reciprocal" | "Log" => {
            "It makes another kind of model of the linear one (a log link, as of Poisson regression, or a converter's own way of probabilities). \
             Export the scores before it, and apply it to what `predict` gives"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_are_not_known_are_refused() {
        let import = |domain: &str, version| OperatorSetIdProto {
            domain: domain.into(),
            version,
        };
        assert_eq!(
            Versions::read(&[import("", 17), import("ai.onnx.ml", 3)])
                .unwrap()
                .standard,
            17
        );
        assert!(Versions::read(&[import("", 22), import("", 22)]).is_ok());
        for imports in [
            vec![import("", NEWEST + 1)],
            vec![import("", OLDEST - 1)],
            vec![import("ai.onnx.ml", NEWEST_ML + 1)],
            vec![import("", 17), import("", 18)],
        ] {
            assert!(Versions::read(&imports).is_err(), "{imports:?}");
        }
    }
}
