//! Kinds of models that aren't served, told by their nodes and called what users call them.

use super::attributes::{Attributes, operator};
use crate::{ImportError, onnx::proto::NodeProto};
use std::collections::{HashMap, HashSet};

/// Most nodes looked at between a model and the other models whose answers it takes.
const MOST_VISITED: usize = 60;

/// A kind of model or step that isn't served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    /// Its name in scikit-learn.
    pub(super) name: &'static str,
    /// Why it isn't served, and the nearest thing that is.
    pub(super) advice: &'static str,
}

impl Kind {
    /// Returns the refusal of a model of this kind at a node.
    pub(super) fn refused_at(self, node: &NodeProto) -> ImportError {
        ImportError::Kind {
            name: self.name,
            advice: self.advice,
            found: format!(" ({})", operator(node)),
        }
    }

    /// Returns the refusal of a model of this kind that another error was found in.
    pub(super) fn found_in(self, error: &ImportError) -> ImportError {
        ImportError::Kind {
            name: self.name,
            advice: self.advice,
            found: match error {
                ImportError::Unsupported { operator, .. } => format!(" ({operator})"),
                _ => String::new(),
            },
        }
    }
}

const KNN_IMPUTER: Kind = Kind {
    name: "KNNImputer",
    advice: "it compares each row with training rows. SimpleImputer is served",
};
const ISOTONIC: Kind = Kind {
    name: "CalibratedClassifierCV(method=\"isotonic\")",
    advice: "it is served around classifiers with scores (decision_function), as skl2onnx 1.20 writes it if no target_opset is given. Use such \
             a classifier, or method=\"sigmoid\"",
};
/// `CalibratedClassifierCV` whose file calibrates probabilities.
pub(super) const CALIBRATED_PROBABILITIES: Kind = Kind {
    name: "CalibratedClassifierCV of a Pipeline, of a search (GridSearchCV), or of a classifier without decision_function",
    advice: "its file calibrates probabilities, and only calibrated scores are served. Calibrate a linear classifier itself, with the parameters that \
             the search found and the steps before it: make_pipeline(StandardScaler(), CalibratedClassifierCV(LogisticRegression(C=0.1)))",
};
/// `OneVsOneClassifier` with a single pair.
pub(super) const ONE_PAIR: Kind = Kind {
    name: "OneVsOneClassifier of two classes",
    advice: "there is one pair, so that its classifier decides alone. Use that classifier by itself",
};
/// Votes that are weighed in another way than by averages.
pub(super) const WEIGHTED_VOTES: Kind = Kind {
    name: "AdaBoostClassifier, or another vote with weights of its own",
    advice: "VotingClassifier and BaggingClassifier of linear classifiers are served, and so is GradientBoostingClassifier with max_depth=1",
};
/// Hard votes of classifiers that vote or average themselves.
pub(super) const NESTED_VOTES: Kind = Kind {
    name: "VotingClassifier(voting=\"hard\") of classifiers that vote or average themselves (SVC of three or more classes, OneVsOneClassifier, \
           BaggingClassifier, CalibratedClassifierCV)",
    advice: "its members may be linear classifiers such as LogisticRegression, LinearSVC, RidgeClassifier, or SVC of two classes. With \
             voting=\"soft\", BaggingClassifier and CalibratedClassifierCV are served too",
};
const QUADRATIC: Kind = Kind {
    name: "QuadraticDiscriminantAnalysis",
    advice: "it squares scores. GaussianNB and LinearDiscriminantAnalysis are served, and so are linear models after PolynomialFeatures",
};
const STACKING: Kind = Kind {
    name: "StackingClassifier",
    advice: "its last model takes the probabilities of others. A single classifier is served, and so is StackingRegressor of linear models",
};
const MODIFIED_HUBER: Kind = Kind {
    name: "SGDClassifier(loss=\"modified_huber\")",
    advice: "its probabilities are scores that are cut off, which no link gives. loss=\"log_loss\" is served, and so are the scores: \
             to_onnx(model, options={id(model[-1]): {\"raw_scores\": True, \"zipmap\": False}})",
};
const NETWORK: Kind = Kind {
    name: "a neural network (MLPClassifier, MLPRegressor, or of a framework)",
    advice: "this part of it isn't read. Networks of fully connected layers are served, with any function of one number between them \
             (docs/networks.md), and so are linear models",
};
/// Networks of other layers than those that are served.
const LAYERS: Kind = Kind {
    name: "a convolutional, recurrent or attention network",
    advice: "networks of fully connected layers with any activation between them are served (MLPClassifier, MLPRegressor, or Linear, BatchNorm1d and \
             activations in PyTorch). Train one on the features, or on what the first layers of this one give",
};
/// Operators of such layers.
const OTHER_LAYERS: [&str; 17] = [
    "Attention",
    "AveragePool",
    "Conv",
    "ConvInteger",
    "ConvTranspose",
    "DeformConv",
    "GRU",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "GroupNormalization",
    "InstanceNormalization",
    "LSTM",
    "LpPool",
    "MaxPool",
    "MultiHeadAttention",
    "QLinearConv",
    "RNN",
];

/// Trees that are one part of a larger model.
pub(super) const COMBINED_TREES: Kind = Kind {
    name: "a model of which decision trees are a part (AdaBoost, or voting, bagging, stacking, calibration, or several outputs of such models)",
    advice: "trees are served by themselves: a decision tree, a forest, or boosted trees, after steps that prepare columns",
};
/// Returns the kind that nodes belong to, if they show one.
pub(super) fn of(nodes: &[&NodeProto]) -> Option<Kind> {
    let names: HashSet<String> = nodes.iter().map(|node| operator(node)).collect();
    let has = |all: &[&str]| all.iter().all(|name| names.contains(*name));
    // skl2onnx writes functions of these names.
    if nodes.iter().any(|node| node.op_type.starts_with("knn_imputer")) {
        return Some(KNN_IMPUTER);
    }
    if OTHER_LAYERS.iter().any(|name| names.contains(*name)) {
        return Some(LAYERS);
    }
    let activations = ["Relu", "Tanh", "LeakyRelu", "Elu", "Gelu"];
    if activations.iter().any(|name| names.contains(*name)) {
        return Some(NETWORK);
    }
    if has(&["Pow", "Transpose", "ReduceMax", "ArgMax"]) && !names.contains("Scan") {
        return Some(QUADRATIC);
    }
    let producers: HashMap<&str, &NodeProto> = nodes
        .iter()
        .flat_map(|node| node.output.iter().map(move |name| (name.as_str(), *node)))
        .collect();
    let is_nearest = |node: &&NodeProto| {
        let distance = node.input.first().and_then(|name| producers.get(name.as_str()));
        node.op_type == "ArgMin" && distance.is_some_and(|distance| distance.op_type == "Abs")
    };
    if nodes.iter().any(is_nearest) {
        return Some(ISOTONIC);
    }
    if nodes.iter().any(|node| is_cut_off(node, &producers)) {
        return Some(MODIFIED_HUBER);
    }
    nodes.iter().find_map(|node| stacked(node, &producers))
}

/// Returns the kind that the nodes of a network with hidden layers belong to, if they show one that
/// isn't served.
pub(super) fn of_network(nodes: &[&NodeProto]) -> Option<Kind> {
    if nodes.iter().any(|node| OTHER_LAYERS.contains(&&*node.op_type)) {
        return Some(LAYERS);
    }
    of(nodes).filter(|kind| *kind != NETWORK)
}

/// Returns whether a node multiplies its first operand by weights.
pub(super) fn is_linear_map(node: &NodeProto) -> bool {
    ["LinearClassifier", "LinearRegressor", "MatMul", "Gemm"].contains(&&*node.op_type)
}

/// Returns whether functions stand between two linear maps that are steps of the public part, or of
/// probabilities, in other models.
pub(super) fn has_functions_between_maps(nodes: &[&NodeProto]) -> bool {
    const FUNCTIONS: [&str; 14] = [
        "Abs",
        "Clip",
        "Exp",
        "LayerNormalization",
        "Log",
        "LogSoftmax",
        "Max",
        "Min",
        "Pow",
        "Reciprocal",
        "Sigmoid",
        "Softmax",
        "Sqrt",
        "Where",
    ];
    // Tensors after a linear map, and whether a function is between.
    let mut after: HashMap<&str, bool> = HashMap::new();
    for node in nodes {
        let before: Vec<bool> = node
            .input
            .iter()
            .filter_map(|name| after.get(name.as_str()).copied())
            .collect();
        let multiplies = ["Mul", "Div"].contains(&&*node.op_type) && before.len() > 1;
        let before = before.into_iter().reduce(|one, other| one || other);
        let is_map = ["MatMul", "Gemm"].contains(&&*node.op_type);
        let result = match before {
            Some(true) if is_map => return true,
            Some(changed) => changed || multiplies || FUNCTIONS.contains(&&*node.op_type),
            None if is_map => false,
            None => continue,
        };
        after.extend(node.output.iter().map(|name| (name.as_str(), result)));
    }
    false
}

/// Returns whether a function between two linear maps is one that other models than networks have
/// only behind them.
pub(super) fn is_usual_in_networks(node: &NodeProto) -> bool {
    ["LayerNormalization", "ReduceMean", "Sigmoid", "Softmax"].contains(&&*node.op_type)
}

/// Returns the kind of a linear model that takes the answers of others.
fn stacked(node: &NodeProto, producers: &HashMap<&str, &NodeProto>) -> Option<Kind> {
    let models = ["LinearClassifier", "LinearRegressor", "MatMul", "Gemm"];
    let first = node.input.first().filter(|_| models.contains(&&*node.op_type))?;
    let mut open = vec![(first.as_str(), false)];
    for _ in 0..MOST_VISITED {
        let (name, joined) = open.pop()?;
        let Some(node) = producers.get(name) else {
            continue;
        };
        match (node.op_type.as_str(), joined) {
            ("Sigmoid", false) => return Some(NETWORK),
            (
                "LinearClassifier" | "SVMClassifier" | "TreeEnsembleClassifier" | "Sigmoid" | "Softmax",
                true,
            ) => return Some(STACKING),
            ("Concat", _) => open.extend(node.input.iter().map(|name| (name.as_str(), true))),
            (
                "Cast"
                | "Identity"
                | "ArrayFeatureExtractor"
                | "Slice"
                | "Gather"
                | "Reshape"
                | "Flatten"
                | "Div"
                | "Sub",
                _,
            ) => open.extend(node.input.first().map(|name| (name.as_str(), joined))),
            _ => {}
        }
    }
    None
}

/// Returns whether trees decide more than once, or vote instead of adding up.
pub(super) fn has_deep_trees(node: &NodeProto) -> bool {
    if !node.op_type.starts_with("TreeEnsemble") {
        return false;
    }
    let attributes = Attributes(node);
    let votes =
        node.op_type == "TreeEnsembleClassifier" && attributes.text("post_transform", "NONE") == "NONE";
    let mut deciding = HashSet::new();
    let trees = attributes.ints("nodes_treeids").unwrap_or_default().iter();
    let modes = attributes.strings("nodes_modes").unwrap_or_default();
    let mut decisions = trees.zip(modes).filter(|(_, mode)| mode != "LEAF");
    votes || decisions.any(|(tree, _)| !deciding.insert(*tree))
}

/// Returns whether scores are cut off and made probabilities: `(clip(score, -1, 1) + 1) / 2`.
fn is_cut_off(node: &NodeProto, producers: &HashMap<&str, &NodeProto>) -> bool {
    let before = |node: &NodeProto, operator: &str| {
        let before = producers.get(node.input.first()?.as_str())?;
        (before.op_type == operator).then_some(*before)
    };
    let clip = before(node, "Add").and_then(|add| before(add, "Clip"));
    node.op_type == "Div" && clip.is_some_and(|clip| clip.input.len() == 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(list: &[(&str, &[&str], &str)]) -> Vec<NodeProto> {
        let node = |(operator, inputs, output): &(&str, &[&str], &str)| NodeProto {
            op_type: (*operator).to_owned(),
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: vec![(*output).to_owned()],
            ..NodeProto::default()
        };
        list.iter().map(node).collect()
    }

    #[test]
    fn kinds_are_called_by_their_names() {
        let of = |list: &[(&str, &[&str], &str)]| {
            let nodes = nodes(list);
            super::of(&nodes.iter().collect::<Vec<_>>()).map(|kind| kind.name)
        };
        let first: (&str, &[&str], &str) = ("LinearClassifier", &["x"], "p");
        let stacked: [(&str, &[&str], &str); 4] = [
            first,
            ("Slice", &["p", "one", "two", "one"], "second"),
            ("Concat", &["second", "other"], "both"),
            ("LinearClassifier", &["both"], "q"),
        ];
        assert_eq!(of(&stacked), Some(STACKING.name));
        assert_eq!(of(&stacked[..3]), None);
        let cut: [(&str, &[&str], &str); 3] = [
            ("Clip", &["z", "least", "most"], "c"),
            ("Add", &["c", "one"], "a"),
            ("Div", &["a", "two"], "p"),
        ];
        assert_eq!(of(&cut), Some(MODIFIED_HUBER.name));
        assert_eq!(of(&cut[1..]), None);
        let layers: [(&str, &[&str], &str); 3] = [
            ("MatMul", &["x", "w"], "h"),
            ("Sigmoid", &["h"], "s"),
            ("MatMul", &["s", "v"], "y"),
        ];
        assert_eq!(of(&layers), Some(NETWORK.name));
        // A linear model, and one after PCA.
        assert_eq!(of(&layers[..2]), None);
        assert_eq!(of(&[layers[0], ("MatMul", &["h", "v"], "y")]), None);
        assert_eq!(of(&[("knn_imputer_column", &["x"], "y")]), Some(KNN_IMPUTER.name));
        assert_eq!(of(&[layers[0], ("Relu", &["h"], "y")]), Some(NETWORK.name));
        assert_eq!(
            of(&[("Conv", &["x"], "h"), ("Relu", &["h"], "y")]),
            Some(LAYERS.name)
        );
        let nearest: [(&str, &[&str], &str); 2] = [("Abs", &["x"], "d"), ("ArgMin", &["d"], "y")];
        assert_eq!(of(&nearest), Some(ISOTONIC.name));
        assert_eq!(of(&nearest[1..]), None);
    }

    #[test]
    fn functions_between_two_linear_maps_may_be_hidden_layers() {
        let between = |list: &[(&str, &[&str], &str)]| {
            let nodes = nodes(list);
            has_functions_between_maps(&nodes.iter().collect::<Vec<_>>())
        };
        let first: (&str, &[&str], &str) = ("MatMul", &["x", "w"], "h");
        let last: (&str, &[&str], &str) = ("Gemm", &["s", "v"], "y");
        assert!(between(&[first, ("Clip", &["h", "a", "b"], "s"), last]));
        assert!(between(&[first, ("Mul", &["h", "h"], "s"), last]));
        assert!(!between(&[first, ("Mul", &["h", "c"], "s"), last]));
        assert!(!between(&[("Clip", &["x", "a", "b"], "s"), last]));
        assert!(!between(&[first, ("Sigmoid", &["h"], "s")]));
    }
}
