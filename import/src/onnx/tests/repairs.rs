//! Faults of skl2onnx that are mended, and graphs that only look like them.

use super::{
    graphs::{Builder, node},
    read,
};
use crate::onnx::proto::tensor_proto::DataType;
use blindscore_protocol::encoding::{Side, Step};

/// Returns where a number equal to the threshold belongs.
fn side(graph: &Builder, converter: &str) -> Side {
    let fitted = read(&graph.clone().by(converter).bytes()).unwrap();
    let steps = fitted.encoding.unwrap().steps;
    match steps.as_slice() {
        [Step::Bins { equal, edges, .. }] if *edges == [0.5] => *equal,
        other => panic!("{other:?}"),
    }
}

/// Returns a graph that chooses `held` below 0.5, and else `not`.
fn chosen(threshold: DataType, held: f64, not: f64) -> Builder {
    let graph = Builder::default().input("x", 1, DataType::Double);
    let graph = if threshold == DataType::Double {
        graph.doubles("t", &[], &[0.5])
    } else {
        graph.floats("t", &[], &[0.5])
    };
    let graph = graph
        .doubles("held", &[], &[held])
        .doubles("not", &[], &[not])
        .doubles("W", &[1, 1], &[3.0])
        .node(node("Less", &["x", "t"], &["less"]))
        .node(node("Where", &["less", "held", "not"], &["y"]));
    graph.node(node("MatMul", &["y", "W"], &["z"])).output("z")
}

#[test]
fn a_number_on_the_threshold_of_a_binarizer_is_below_it() {
    let binarizer = chosen(DataType::Double, 0.0, 1.0);
    assert_eq!(side(&binarizer, "skl2onnx"), Side::Below);
    // Of another converter, in single precision, the other way round, of other numbers, or without
    // a choice by it, the comparison is what it says.
    assert_eq!(side(&binarizer, "another"), Side::Above);
    assert_eq!(side(&chosen(DataType::Float, 0.0, 1.0), "skl2onnx"), Side::Above);
    assert_eq!(side(&chosen(DataType::Double, 1.0, 0.0), "skl2onnx"), Side::Above);
    assert_eq!(side(&chosen(DataType::Double, 0.0, 2.0), "skl2onnx"), Side::Above);
    assert_eq!(side(&chosen(DataType::Double, 2.0, 1.0), "skl2onnx"), Side::Above);
    let compared = Builder::default()
        .input("x", 1, DataType::Double)
        .doubles("t", &[], &[0.5])
        .doubles("W", &[1, 1], &[3.0])
        .node(node("Less", &["x", "t"], &["less"]))
        .node(node("Cast", &["less"], &["c"]).int("to", 11))
        .node(node("MatMul", &["c", "W"], &["z"]))
        .output("z");
    assert_eq!(side(&compared, "skl2onnx"), Side::Above);
}

/// One-vs-rest of classifiers without probabilities: scores divided by their sum.
fn rest(transform: &str, decides: bool) -> Builder {
    let mut graph = Builder::new(2)
        .ints("second", &[1])
        .ints("axis", &[1])
        .ints("classes", &[4, 5]);
    for (place, weights) in [[1.0, 2.0], [-3.0, 0.5]].into_iter().enumerate() {
        let [label, both, score] = ["l", "b", "s"].map(|name| format!("{name}{place}"));
        let [first, second] = weights;
        graph = graph
            .node(
                node("LinearClassifier", &["x"], &[&label, &both])
                    .learning()
                    .floats("coefficients", &[-first, -second, first, second])
                    .floats("intercepts", &[-0.1, 0.1])
                    .ints("classlabels_ints", &[0, 1])
                    .text("post_transform", transform),
            )
            .node(node("ArrayFeatureExtractor", &[&both, "second"], &[&score]).learning());
    }
    let graph = graph
        .node(node("Concat", &["s0", "s1"], &["all"]).int("axis", 1))
        .node(node("ReduceSum", &["all", "axis"], &["sum"]))
        .node(node("Div", &["all", "sum"], &["p"]))
        .output("p");
    if decides {
        graph
            .node(node("ArgMax", &["all"], &["best"]).int("axis", 1))
            .node(node("ArrayFeatureExtractor", &["classes", "best"], &["l"]).learning())
            .output("l")
    } else {
        graph
    }
}

#[test]
fn scores_that_decide_are_not_divided_by_their_sum() {
    let fitted = read(&rest("NONE", true).by("skl2onnx").bytes()).unwrap();
    assert_eq!(fitted.coef, [[1.0, 2.0], [-3.0, 0.5]]);
    assert_eq!(
        fitted.labels.as_deref(),
        Some(&["4".to_owned(), "5".to_owned()][..])
    );
    for (transform, decides, converter) in [("NONE", false, "skl2onnx"), ("NONE", true, "another")] {
        let error = read(&rest(transform, decides).by(converter).bytes()).unwrap_err();
        assert!(error.to_string().contains("ReduceSum"), "{error}");
    }
    // These are probabilities.
    let fitted = read(&rest("LOGISTIC", true).by("skl2onnx").bytes()).unwrap();
    assert_eq!(fitted.link, blindscore_protocol::descriptor::Link::OneVsRest);
}
