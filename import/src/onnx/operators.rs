//! Supported operators and their supported attributes. Other attributes may change an operator's
//! meaning, so they are refused.

use super::{
    attributes::operator,
    transformers::{OPERATORS, OWN},
    unsupported,
};
use crate::ImportError;
use crate::onnx::proto::{NodeProto, OperatorSetIdProto, attribute_proto::AttributeType};

/// Newest version of ONNX's default operators that this code was written for.
const NEWEST: i64 = 28;
/// Newest such version of the operators of `ai.onnx.ml`.
const NEWEST_ML: i64 = 5;
/// Oldest version in which operators broadcast as they do today.
const OLDEST: i64 = 7;

pub(super) type Attribute = (&'static str, AttributeType);

const ALPHA: Attribute = ("alpha", AttributeType::Float);
const AXIS: Attribute = ("axis", AttributeType::Int);
const COEFFICIENTS: [Attribute; 3] = [
    ("coefficients", AttributeType::Floats),
    ("intercepts", AttributeType::Floats),
    ("post_transform", AttributeType::String),
];

const REDUCTION: [Attribute; 3] = [
    ("axes", AttributeType::Ints),
    ("keepdims", AttributeType::Int),
    ("noop_with_empty_axes", AttributeType::Int),
];
const MACHINE: [Attribute; 6] = [
    ("coefficients", AttributeType::Floats),
    ("kernel_params", AttributeType::Floats),
    ("kernel_type", AttributeType::String),
    ("post_transform", AttributeType::String),
    ("rho", AttributeType::Floats),
    ("support_vectors", AttributeType::Floats),
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
        "BatchNormalization",
        &[
            ("epsilon", AttributeType::Float),
            ("momentum", AttributeType::Float),
            ("training_mode", AttributeType::Int),
        ],
    ),
    (
        "Cast",
        &[("to", AttributeType::Int), ("saturate", AttributeType::Int)],
    ),
    ("CastLike", &[("saturate", AttributeType::Int)]),
    ("Ceil", &[]),
    (
        "Clip",
        &[("min", AttributeType::Float), ("max", AttributeType::Float)],
    ),
    ("Concat", &[AXIS]),
    ("Constant", &[("value", AttributeType::Tensor)]),
    ("ConstantOfShape", &[("value", AttributeType::Tensor)]),
    ("Div", &[]),
    (
        "Dropout",
        &[("ratio", AttributeType::Float), ("seed", AttributeType::Int)],
    ),
    ("Equal", &[]),
    ("Exp", &[]),
    ("Flatten", &[AXIS]),
    ("Floor", &[]),
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
    ("Greater", &[]),
    ("GreaterOrEqual", &[]),
    ("Identity", &[]),
    ("IsNaN", &[]),
    ("Less", &[]),
    ("LessOrEqual", &[]),
    ("Log", &[]),
    ("LogSoftmax", &[AXIS]),
    ("LpNormalization", &[AXIS, ("p", AttributeType::Int)]),
    ("MatMul", &[]),
    ("Mean", &[]),
    ("Mul", &[]),
    ("Neg", &[]),
    ("Not", &[]),
    ("Pow", &[]),
    ("Reciprocal", &[]),
    ("ReduceL1", &REDUCTION),
    ("ReduceL2", &REDUCTION),
    ("ReduceLogSumExp", &REDUCTION),
    ("ReduceMean", &REDUCTION),
    ("ReduceProd", &REDUCTION),
    ("ReduceSum", &REDUCTION),
    ("ReduceSumSquare", &REDUCTION),
    ("Reshape", &[("allowzero", AttributeType::Int)]),
    ("SequenceConstruct", &[]),
    ("Shape", &[]),
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
    (
        "Split",
        &[
            AXIS,
            ("num_outputs", AttributeType::Int),
            ("split", AttributeType::Ints),
        ],
    ),
    ("Sqrt", &[]),
    ("Squeeze", &[("axes", AttributeType::Ints)]),
    (
        "StringNormalizer",
        &[
            ("case_change_action", AttributeType::String),
            ("is_case_sensitive", AttributeType::Int),
            ("locale", AttributeType::String),
            ("stopwords", AttributeType::Strings),
        ],
    ),
    ("Sub", &[]),
    ("Sum", &[]),
    (
        "TfIdfVectorizer",
        &[
            ("max_gram_length", AttributeType::Int),
            ("max_skip_count", AttributeType::Int),
            ("min_gram_length", AttributeType::Int),
            ("mode", AttributeType::String),
            ("ngram_counts", AttributeType::Ints),
            ("ngram_indexes", AttributeType::Ints),
            ("pool_strings", AttributeType::Strings),
            ("weights", AttributeType::Floats),
        ],
    ),
    ("Transpose", &[("perm", AttributeType::Ints)]),
    ("Unsqueeze", &[("axes", AttributeType::Ints)]),
    ("Where", &[]),
];

/// Default operators between the layers of networks only, with their attributes.
const BETWEEN_LAYERS: &[(&str, &[Attribute])] = &[
    ("Celu", &[ALPHA]),
    ("Elu", &[ALPHA]),
    ("Atan", &[]),
    ("Cos", &[]),
    ("Erf", &[]),
    ("Gelu", &[("approximate", AttributeType::String)]),
    ("HardSigmoid", &[ALPHA, ("beta", AttributeType::Float)]),
    ("HardSwish", &[]),
    ("LeakyRelu", &[ALPHA]),
    ("Mish", &[]),
    ("PRelu", &[]),
    ("Relu", &[]),
    ("Selu", &[ALPHA, ("gamma", AttributeType::Float)]),
    (
        "Shrink",
        &[("bias", AttributeType::Float), ("lambd", AttributeType::Float)],
    ),
    ("Sin", &[]),
    ("Softplus", &[]),
    ("Softsign", &[]),
    ("Swish", &[ALPHA]),
    ("Tanh", &[]),
    ("ThresholdedRelu", &[ALPHA]),
];

/// Default operators that networks have in addition, and that don't tell one by themselves.
const IN_NETWORKS: &[(&str, &[Attribute])] = &[("And", &[]), ("Max", &[]), ("Min", &[]), ("Or", &[])];

/// Operators of `ai.onnx.ml`, with their attributes.
const LEARNING: &[(&str, &[Attribute])] = &[
    ("ArrayFeatureExtractor", &[]),
    ("Binarizer", &[("threshold", AttributeType::Float)]),
    ("FeatureVectorizer", &[("inputdimensions", AttributeType::Ints)]),
    (
        "Imputer",
        &[
            ("imputed_value_floats", AttributeType::Floats),
            ("imputed_value_int64s", AttributeType::Ints),
            ("replaced_value_float", AttributeType::Float),
            ("replaced_value_int64", AttributeType::Int),
        ],
    ),
    (
        "LabelEncoder",
        &[
            ("default_float", AttributeType::Float),
            ("default_int64", AttributeType::Int),
            ("default_string", AttributeType::String),
            ("default_tensor", AttributeType::Tensor),
            ("keys_floats", AttributeType::Floats),
            ("keys_int64s", AttributeType::Ints),
            ("keys_strings", AttributeType::Strings),
            ("keys_tensor", AttributeType::Tensor),
            ("values_floats", AttributeType::Floats),
            ("values_int64s", AttributeType::Ints),
            ("values_strings", AttributeType::Strings),
            ("values_tensor", AttributeType::Tensor),
        ],
    ),
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
        "OneHotEncoder",
        &[
            ("cats_int64s", AttributeType::Ints),
            ("cats_strings", AttributeType::Strings),
            ("zeros", AttributeType::Int),
        ],
    ),
    (
        "SVMClassifier",
        &[
            MACHINE[0],
            MACHINE[1],
            MACHINE[2],
            MACHINE[3],
            MACHINE[4],
            MACHINE[5],
            ("classlabels_ints", AttributeType::Ints),
            ("classlabels_strings", AttributeType::Strings),
            ("prob_a", AttributeType::Floats),
            ("prob_b", AttributeType::Floats),
            ("vectors_per_class", AttributeType::Ints),
        ],
    ),
    (
        "SVMRegressor",
        &[
            MACHINE[0],
            MACHINE[1],
            MACHINE[2],
            MACHINE[3],
            MACHINE[4],
            MACHINE[5],
            ("n_supports", AttributeType::Int),
            ("one_class", AttributeType::Int),
        ],
    ),
    (
        "Scaler",
        &[
            ("offset", AttributeType::Floats),
            ("scale", AttributeType::Floats),
        ],
    ),
    (
        "TreeEnsembleClassifier",
        &[
            ("aggregate_function", AttributeType::String),
            ("base_values", AttributeType::Floats),
            ("base_values_as_tensor", AttributeType::Tensor),
            ("nodes_falsenodeids", AttributeType::Ints),
            ("nodes_featureids", AttributeType::Ints),
            ("nodes_hitrates", AttributeType::Floats),
            ("nodes_hitrates_as_tensor", AttributeType::Tensor),
            ("nodes_missing_value_tracks_true", AttributeType::Ints),
            ("nodes_modes", AttributeType::Strings),
            ("nodes_nodeids", AttributeType::Ints),
            ("nodes_treeids", AttributeType::Ints),
            ("nodes_truenodeids", AttributeType::Ints),
            ("nodes_values", AttributeType::Floats),
            ("nodes_values_as_tensor", AttributeType::Tensor),
            ("post_transform", AttributeType::String),
            ("class_ids", AttributeType::Ints),
            ("class_nodeids", AttributeType::Ints),
            ("class_treeids", AttributeType::Ints),
            ("class_weights", AttributeType::Floats),
            ("class_weights_as_tensor", AttributeType::Tensor),
            ("classlabels_int64s", AttributeType::Ints),
            ("classlabels_strings", AttributeType::Strings),
        ],
    ),
    (
        "TreeEnsembleRegressor",
        &[
            ("aggregate_function", AttributeType::String),
            ("base_values", AttributeType::Floats),
            ("base_values_as_tensor", AttributeType::Tensor),
            ("nodes_falsenodeids", AttributeType::Ints),
            ("nodes_featureids", AttributeType::Ints),
            ("nodes_hitrates", AttributeType::Floats),
            ("nodes_hitrates_as_tensor", AttributeType::Tensor),
            ("nodes_missing_value_tracks_true", AttributeType::Ints),
            ("nodes_modes", AttributeType::Strings),
            ("nodes_nodeids", AttributeType::Ints),
            ("nodes_treeids", AttributeType::Ints),
            ("nodes_truenodeids", AttributeType::Ints),
            ("nodes_values", AttributeType::Floats),
            ("nodes_values_as_tensor", AttributeType::Tensor),
            ("post_transform", AttributeType::String),
            ("n_targets", AttributeType::Int),
            ("target_ids", AttributeType::Ints),
            ("target_nodeids", AttributeType::Ints),
            ("target_treeids", AttributeType::Ints),
            ("target_weights", AttributeType::Floats),
            ("target_weights_as_tensor", AttributeType::Tensor),
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

/// Operators of onnxruntime-extensions that skl2onnx writes, with their attributes.
const EXTENSIONS: &[(&str, &[Attribute])] = &[(
    "Tokenizer",
    &[
        ("mark", AttributeType::Int),
        ("mincharnum", AttributeType::Int),
        ("pad_value", AttributeType::String),
        ("separators", AttributeType::Strings),
        ("stopwords", AttributeType::Strings),
        ("tokenexp", AttributeType::String),
    ],
)];

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

/// Returns whether a node's operator only stands in networks with hidden layers.
pub(super) fn is_activation(node: &NodeProto) -> bool {
    ["", "ai.onnx"].contains(&node.domain.as_str())
        && BETWEEN_LAYERS.iter().any(|(name, _)| *name == node.op_type)
}

/// Refuses a node with an unsupported operator or attribute. `layered` says whether it is one of a
/// network with hidden layers.
pub(super) fn check(node: &NodeProto, layered: bool) -> Result<(), ImportError> {
    let operators = match node.domain.as_str() {
        "" | "ai.onnx" => STANDARD,
        "ai.onnx.ml" => LEARNING,
        "com.microsoft" => EXTENSIONS,
        OWN => OPERATORS,
        _ => return Err(unsupported(node, "")),
    };
    let is_standard = layered && ["", "ai.onnx"].contains(&node.domain.as_str());
    let more = [BETWEEN_LAYERS, IN_NETWORKS];
    let more = more.into_iter().filter(|_| is_standard).flatten();
    let mut operators = operators.iter().chain(more);
    let Some((_, attributes)) = operators.find(|(name, _)| *name == node.op_type) else {
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
        "ai.onnx.ml.CategoryMapper" | "ai.onnx.ml.DictVectorizer" => {
            "It encodes categories. OneHotEncoder and OrdinalEncoder are served; or encode them in your data, and export the steps after it"
        }
        "ReduceSumSquare" | "ReduceL1" | "ReduceL2" => {
            "It measures whole rows. Normalizer is served; or do that in your data, and export the steps after it"
        }
        "ai.onnx.ml.TreeEnsembleClassifier"
        | "ai.onnx.ml.TreeEnsembleRegressor"
        | "ai.onnx.ml.TreeEnsemble" => {
            "It is a model of decision trees. Trees, forests and boosted trees of scikit-learn are served as skl2onnx writes them \
             (target_opset={\"\": 18, \"ai.onnx.ml\": 3}); give those of XGBoost, LightGBM and CatBoost as their own files"
        }
        "Clip" => {
            "It cuts off what a linear map gives. MinMaxScaler(clip=True) is served before a PCA, and not after it"
        }
        "LayerNormalization" | "RMSNormalization" | "SimplifiedLayerNormalization" => {
            "It divides each record's numbers by their own deviation. BatchNormalization (BatchNorm1d in PyTorch) is served in its place, and \
             networks without either"
        }
        "TopK" | "Scan" => {
            "It compares each row with training rows (nearest neighbours, kernels); that isn't served. Fit a linear model on steps that are, \
             such as KBinsDiscretizer or PolynomialFeatures"
        }
        "Where" | "Equal" => {
            "It chooses by a condition. KBinsDiscretizer, QuantileTransformer and SimpleImputer are served; or do that in your data, and export \
             the steps after it"
        }
        "Div" => {
            "It divides numbers by each other. Scalers, PowerTransformer and KBinsDiscretizer are served; or do that in your data, \
             and export the steps after it"
        }
        "Shape" | "Gather" => {
            "It depends on the number of rows (Gaussian processes). Linear models are served"
        }
        "Pow" => {
            "It squares scores (QuadraticDiscriminantAnalysis). GaussianNB and LinearDiscriminantAnalysis are served, and so are linear models \
             after PolynomialFeatures"
        }
        "ReduceMean" => {
            "It averages several models of other kinds. Averages of linear classifiers and of linear regressions are served"
        }
        "Exp" | "Reciprocal" | "Log" => {
            "It makes another kind of model of the linear one (a converter's own way of probabilities, or another link). Export the scores before \
             it, and apply it to what `predict` gives"
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
