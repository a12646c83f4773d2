//! Faults of skl2onnx that are mended, and graphs that only look like them.

use super::{
    graphs::{Builder, node},
    read,
};
use crate::{
    onnx::{Graph, proto::tensor_proto::DataType},
    reference::{Elements, Reference},
};
use blindscore_client::Cell;
use blindscore_protocol::encoding::{Norm, Side, Step};
use std::path::Path;

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

/// A product with the rows that `Normalizer` divides by their norm, as skl2onnx writes it in double
/// precision.
fn normalised(norm: &str) -> Builder {
    let graph = Builder::default()
        .input("x", 2, DataType::Double)
        .ints("axis", &[1])
        .doubles("W", &[2, 1], &[3.0, -1.0]);
    let graph = if norm == "L1" {
        graph
            .node(node("Abs", &["x"], &["sizes"]))
            .node(node("ReduceSum", &["sizes", "axis"], &["norm"]).int("keepdims", 1))
    } else {
        graph
            .node(
                node("ReduceSumSquare", &["x"], &["squares"])
                    .ints("axes", &[1])
                    .int("keepdims", 1),
            )
            .node(node("Sqrt", &["squares"], &["norm"]))
    };
    graph
        .node(node("Div", &["x", "norm"], &["y"]))
        .node(node("MatMul", &["y", "W"], &["z"]))
        .output("z")
}

#[test]
fn a_row_of_zeros_stays_as_it_is() {
    for (name, norm) in [("L1", Norm::L1), ("L2", Norm::L2)] {
        let bytes = normalised(name).by("skl2onnx").bytes();
        let graph = Graph::decode(&bytes, Path::new("")).unwrap();
        assert!(graph.mended()[0].starts_with("rows of zeros"));
        let fitted = graph.fitted().unwrap();
        let steps = &fitted.encoding.as_ref().unwrap().steps;
        assert!(matches!(steps.as_slice(), [Step::Normalise { norm: found, .. }] if *found == norm));
        let reference = Reference::new(&graph, &fitted.encoder(), None).unwrap();
        let row = |x: f64, y: f64| vec![Cell::Number(x), Cell::Number(y)];
        let answers = reference.run(&[row(0.0, 0.0), row(-3.0, 0.0)]).unwrap();
        let numbers: Vec<f64> = answers
            .iter()
            .map(|answer| match &answer[0] {
                Elements::Numbers(numbers) => numbers[0],
                Elements::Texts(texts) => panic!("{texts:?}"),
            })
            .collect();
        assert_eq!(numbers, [0.0, -3.0]);
    }
}

#[test]
fn a_selection_of_the_first_column_is_no_constant() {
    let selected = |of: &str| {
        Builder::new(2)
            .floats("W", &[1, 1], &[3.0])
            .ints("two", &[2])
            .node(node("Shape", &["x"], &["shape"]))
            .node(node("ConstantOfShape", &[of], &["y"]))
            .node(node("MatMul", &["y", "W"], &["z"]))
            .output("z")
            .by("skl2onnx")
    };
    let fitted = read(&selected("x").bytes()).unwrap();
    assert_eq!(fitted.coef, [[3.0, 0.0]]);
    // What takes a shape is what it says.
    assert!(read(&selected("shape").bytes()).is_err());
    assert!(read(&selected("x").by("another").bytes()).is_err());
}

#[test]
fn a_machine_takes_all_columns_that_it_was_fitted_on() {
    let machine = |kind: DataType, width: usize| {
        let graph = Builder::default()
            .input("a", 1, DataType::Float)
            .input("b", 1, kind);
        let vectors = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let node = node("SVMRegressor", &["a"], &["z"])
            .learning()
            .floats("coefficients", &[1.0, -0.5])
            .floats("support_vectors", &vectors[..2 * width])
            .floats("rho", &[0.25])
            .int("n_supports", 2)
            .text("kernel_type", "LINEAR");
        graph.node(node).output("z").by("skl2onnx")
    };
    let fitted = read(&machine(DataType::Float, 2).bytes()).unwrap();
    assert_eq!(fitted.coef, [[-0.5, 0.0]]);
    assert_eq!(fitted.features, Some(["a", "b"].map(str::to_owned).to_vec()));
    for other in [
        machine(DataType::Float, 3),
        machine(DataType::Double, 2),
        machine(DataType::Float, 2).by("another"),
    ] {
        assert!(read(&other.bytes()).is_err());
    }
}
