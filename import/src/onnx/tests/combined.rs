//! Classifiers that combine several linear models.

use super::{
    chosen, compared,
    graphs::{Builder, Node, node},
    read,
};
use blindscore_client::Scores;
use blindscore_protocol::descriptor::{Link, Member};

/// A linear classifier of two features, whose weights depend on `seed`.
fn classifier(seed: usize, rows: usize, transform: &str, outputs: [&str; 2]) -> Node {
    let weight = |index: usize| [1.0, -0.5, 0.25, 2.0, -1.0, 0.75, -1.5, 0.5][(index + 3 * seed) % 8];
    let classes: Vec<i64> = (0..rows.max(2) as i64).collect();
    node("LinearClassifier", &["x"], &outputs)
        .learning()
        .floats("coefficients", &(0..2 * rows).map(weight).collect::<Vec<_>>())
        .floats("intercepts", &vec![0.1 * seed as f32; rows])
        .ints("classlabels_ints", &classes)
        .text("post_transform", transform)
}

/// The weighted sum of two classifiers' probabilities.
fn average(rows: [usize; 2], weights: [f32; 2]) -> Builder {
    let transform = |rows: usize| if rows == 1 { "LOGISTIC" } else { "SOFTMAX" };
    Builder::new(2)
        .node(classifier(0, rows[0], transform(rows[0]), ["l0", "p0"]))
        .node(classifier(1, rows[1], transform(rows[1]), ["l1", "p1"]))
        .floats("w0", &[1], &weights[..1])
        .floats("w1", &[1], &weights[1..])
        .node(node("Mul", &["p0", "w0"], &["m0"]))
        .node(node("Mul", &["p1", "w1"], &["m1"]))
        .node(node("Sum", &["m0", "m1"], &["p"]))
        .node(node("ArgMax", &["p"], &["l"]).int("axis", 1))
        .output("l")
        .output("p")
}

#[test]
fn averages_are_those_of_the_graph() {
    for (rows, links) in [
        ([3, 3], [Link::Softmax, Link::Softmax]),
        ([1, 2], [Link::Sigmoid, Link::Softmax]),
    ] {
        let fitted = compared(&average(rows, [0.75, 0.25]));
        let member = |place: usize, weight| Member {
            link: links[place],
            scores: rows[place],
            weight,
            curves: Vec::new(),
        };
        assert_eq!(fitted.link, Link::Mean);
        assert_eq!(fitted.members, [member(0, 0.75), member(1, 0.25)]);
        assert_eq!(fitted.classes.map(|classes| classes.len()), Some(rows[1]));
    }
}

#[test]
fn sums_that_are_no_averages_are_refused() {
    for (graph, words) in [
        (average([3, 3], [0.75, 0.75]), "sum is 1.5"),
        (average([3, 3], [1.5, -0.5]), "must not be negative"),
        (average([3, 2], [0.5, 0.5]), "Sum"),
        (average([3, 3], [f32::NAN, 0.5]), "NaN"),
    ] {
        let error = read(&graph.bytes()).unwrap_err().to_string();
        assert!(error.contains(words), "{words}: {error}");
    }
}

/// The decision of `OneVsOneClassifier` between three classes, from the scores of its pairs in the
/// columns of `z`. `flipped` is a vote that goes to the wrong class.
fn one_vs_one(flipped: bool) -> Builder {
    let mut graph = Builder::scores(3)
        .floats("one", &[], &[1.0])
        .floats("three", &[], &[3.0])
        .floats("half", &[], &[0.5])
        .floats("zero", &[], &[0.0])
        .node(node("Sigmoid", &["z"], &["s"]))
        .node(node("Sub", &["s", "half"], &["margin"]))
        .node(node("Sign", &["margin"], &["sign"]))
        .node(node("Clip", &["sign", "zero"], &["v"]));
    let column = |graph: Builder, of: &str, name: &str, place: usize| {
        let (index, column) = (format!("{name}i{place}"), format!("{name}{place}"));
        graph
            .ints(&index, &[place as i64])
            .node(node("ArrayFeatureExtractor", &[of, &index], &[&column]).learning())
    };
    for place in 0..3 {
        graph = column(column(graph, "v", "v", place), "z", "c", place);
        let [vote, score, opposite, against, negated] =
            ["v", "c", "n", "a", "d"].map(|name| format!("{name}{place}"));
        graph = graph
            .node(node("Neg", &[&vote], &[&opposite]))
            .node(node("Add", &[&opposite, "one"], &[&against]))
            .node(node("Neg", &[&score], &[&negated]));
    }
    let first = if flipped { "v0" } else { "a0" };
    graph
        .node(node("Sum", &[first, "a1"], &["votes0"]))
        .node(node("Sum", &["v0", "a2"], &["votes1"]))
        .node(node("Sum", &["v1", "v2"], &["votes2"]))
        .node(node("Concat", &["votes0", "votes1", "votes2"], &["votes"]).int("axis", 1))
        .node(node("Sum", &["d0", "d1"], &["sum0"]))
        .node(node("Sum", &["c0", "d2"], &["sum1"]))
        .node(node("Sum", &["c1", "c2"], &["sum2"]))
        .node(node("Concat", &["sum0", "sum1", "sum2"], &["sums"]).int("axis", 1))
        .node(node("Abs", &["sums"], &["size"]))
        .node(node("Add", &["size", "one"], &["more"]))
        .node(node("Mul", &["more", "three"], &["below"]))
        .node(node("Div", &["sums", "below"], &["share"]))
        .node(node("Add", &["votes", "share"], &["y"]))
        .node(node("ArgMax", &["y"], &["l"]).int("axis", 1))
        .output("l")
        .output("y")
}

#[test]
fn pairs_decide_as_in_the_graph_or_are_refused() {
    let fitted = compared(&one_vs_one(false));
    assert_eq!(
        (fitted.link, fitted.coef.len(), fitted.unnamed),
        (Link::OneVsOne, 3, true)
    );
    let error = read(&one_vs_one(true).bytes()).unwrap_err().to_string();
    assert!(error.contains("aren't those of pairs"), "{error}");
}

/// A machine between three classes with one support vector for each, by hand.
#[test]
fn machines_of_several_classes_vote() {
    let graph = |vectors: &[i64]| {
        Builder::new(2)
            .node(
                node("SVMClassifier", &["x"], &["l", "s"])
                    .learning()
                    .text("kernel_type", "LINEAR")
                    .ints("vectors_per_class", vectors)
                    .floats("support_vectors", &[1.0, 0.0, 0.0, 1.0, -1.0, -1.0])
                    .floats("coefficients", &[0.5, -0.25, -2.0, 1.5, 0.75, -1.0])
                    .floats("rho", &[0.1, -0.2, 0.3])
                    .ints("classlabels_ints", &[4, 5, 6])
                    .text("post_transform", "NONE"),
            )
            .output("l")
            .output("s")
    };
    let fitted = compared(&graph(&[1, 1, 1]));
    assert_eq!((fitted.link, fitted.unnamed), (Link::Votes, false));
    // The operator's scores are positive for the first class of each pair.
    assert_eq!(fitted.coef, [[-0.5, 0.25], [-3.5, -2.0], [-1.0, -1.75]]);
    let model = chosen(&fitted).model;
    let label = |row: &[f64]| Scores::new(model.descriptor(), model.plain_scores(row)).decision;
    assert_eq!(
        label(&[1.0, 1.0]).map(|decision| decision.label),
        Some("4".into())
    );
    assert_eq!(
        label(&[-1.0, -1.0]).map(|decision| decision.label),
        Some("6".into())
    );
    for vectors in [&[1, 1][..], &[2, 1, 1], &[-1, 2, 2], &[i64::MAX, 1, 1]] {
        let error = read(&graph(vectors).bytes()).unwrap_err().to_string();
        assert!(error.contains("between 3 classes, of 2 columns"), "{error}");
    }
}

/// Votes of two models, as skl2onnx adds them up: over the rows, by its fault, or over the models.
#[test]
fn votes_are_added_up_over_the_models() {
    let graph = |axis: i64| {
        Builder::new(2)
            .ints("shape", &[1, -1, 1])
            .ints("axis", &[axis])
            .ints("names", &[0, 1, 2])
            .ints("names_shape", &[1, 1, 3])
            .floats("two", &[], &[2.0])
            .node(node("Reshape", &["names", "names_shape"], &["classes"]))
            .node(classifier(0, 3, "NONE", ["l0", "s0"]))
            .node(classifier(1, 3, "NONE", ["l1", "s1"]))
            .node(node("Reshape", &["l0", "shape"], &["r0"]))
            .node(node("Reshape", &["l1", "shape"], &["r1"]))
            .node(node("Concat", &["r0", "r1"], &["all"]).int("axis", 0))
            .node(node("Equal", &["classes", "all"], &["equal"]))
            .node(node("Cast", &["equal"], &["votes"]).int("to", 1))
            .node(node("ReduceSum", &["votes", "axis"], &["sum"]).int("keepdims", 0))
            .node(node("Div", &["sum", "two"], &["p"]))
            .node(node("ArgMax", &["p"], &["l"]).int("axis", 1))
            .output("l")
            .output("p")
    };
    for graph in [graph(0), graph(1).by("skl2onnx")] {
        let fitted = compared(&graph);
        let vote = Member {
            link: Link::Identity,
            scores: 3,
            weight: 0.5,
            curves: Vec::new(),
        };
        assert_eq!(
            (fitted.link, fitted.members.as_slice()),
            (Link::Mean, &[vote.clone(), vote][..])
        );
    }
    let error = read(&graph(1).bytes()).unwrap_err().to_string();
    assert!(error.contains("along axis 1"), "{error}");
}

/// Hard voting of two models, with `shape` the shape of the labels that are compared.
fn hard_votes(shape: &[i64], one: &[f32]) -> Builder {
    let model = |graph: Builder, seed: usize| {
        let [label, scores, argmax, column, equal, vote, part] =
            ["l", "s", "a", "r", "e", "v", "m"].map(|name| format!("{name}{seed}"));
        graph
            .node(classifier(seed, 3, "NONE", [&label, &scores]))
            .node(node("ArgMax", &[&scores], &[&argmax]).int("axis", 1))
            .node(node("Reshape", &[&argmax, "shape"], &[&column]))
            .node(node("Equal", &[&column, "classes"], &[&equal]))
            .node(node("Where", &[&equal, "ones", "zeros"], &[&vote]))
            .node(node("Mul", &[&vote, "half"], &[&part]))
    };
    let graph = Builder::new(2)
        .ints("shape", shape)
        .ints("names", &[0, 1, 2])
        .ints("names_shape", &[1, 3])
        .floats("gain", &[2, 3], &[0.0; 6])
        .floats("one", &[one.len() as i64], one)
        .floats("half", &[], &[0.5])
        .node(node("Reshape", &["names", "names_shape"], &["classes"]))
        .node(node("MatMul", &["x", "gain"], &["like"]))
        .node(node("Shape", &["like"], &["size"]))
        .node(node("ConstantOfShape", &["size"], &["zeros"]))
        .node(node("Add", &["zeros", "one"], &["ones"]));
    model(model(graph, 0), 1)
        .node(node("Sum", &["m0", "m1"], &["p"]))
        .node(node("ArgMax", &["p"], &["l"]).int("axis", 1))
        .output("l")
        .output("p")
}

#[test]
fn hard_votes_are_counted_or_refused() {
    let fitted = compared(&hard_votes(&[-1, 1], &[1.0]));
    assert_eq!((fitted.link, fitted.members.len()), (Link::Mean, 2));
    for (graph, words) in [
        // [rows] against [1, 3] would compare each row with one class.
        (hard_votes(&[-1], &[1.0]), "Equal"),
        (hard_votes(&[-1, 1], &[2.0]), "Where"),
    ] {
        let error = read(&graph.bytes()).unwrap_err().to_string();
        assert!(error.contains(words), "{words}: {error}");
    }
}

#[test]
fn names_that_disagree_are_refused() {
    let zipped = |names: &[i64]| {
        average([3, 3], [0.5, 0.5])
            .without_outputs()
            .node(
                node("ZipMap", &["p"], &["z"])
                    .learning()
                    .ints("classlabels_int64s", names),
            )
            .output("l")
            .output("z")
    };
    assert_eq!(read(&zipped(&[0, 1, 2]).bytes()).unwrap().link, Link::Mean);
    let error = read(&zipped(&[2, 1, 0]).bytes()).unwrap_err().to_string();
    assert!(
        error.contains("labels (\"l\") are called") && error.contains(r#""2", "1", "0""#),
        "{error}"
    );
    // Without labels, the models' own numbers are not the classes.
    let probabilities = average([3, 3], [0.5, 0.5]).without_outputs().output("p");
    assert!(read(&probabilities.bytes()).unwrap().unnamed);
}

#[test]
fn more_scores_than_a_model_may_have_are_refused_before_they_are_copied() {
    let names: Vec<&str> = vec!["p0"; 2_000];
    let graph = Builder::new(2)
        .node(classifier(0, 3, "SOFTMAX", ["l0", "p0"]))
        .node(node("Sum", &names, &["p"]))
        .output("p");
    let error = read(&graph.bytes()).unwrap_err().to_string();
    assert!(error.contains("6000 scores together; at most 1000"), "{error}");
}

#[test]
fn constants_of_another_rank_are_refused() {
    let graph = one_vs_one(false).replaced("one", &[1, 1, 1]);
    let error = read(&graph.bytes()).unwrap_err().to_string();
    assert!(error.contains("Add"), "{error}");
}

#[test]
fn functions_of_the_file_are_refused() {
    let mut bytes = average([3, 3], [0.5, 0.5]).bytes();
    // Field 25, an empty message.
    bytes.extend([0xca, 0x01, 0x00]);
    let error = read(&bytes).unwrap_err().to_string();
    assert!(error.contains("functions of its own"), "{error}");
}

/// A machine between two classes decides for the first one where its sum is positive, and gives the
/// scores `[-sum, sum]` (measured with onnxruntime 1.32).
#[test]
fn scores_of_a_machine_between_two_classes_have_the_opposite_signs() {
    let graph = |outputs: &[&str]| {
        let graph = Builder::new(2)
            .node(
                node("SVMClassifier", &["x"], &["l", "s"])
                    .learning()
                    .text("kernel_type", "LINEAR")
                    .ints("vectors_per_class", &[1, 1])
                    .floats("support_vectors", &[1.0, 0.0, 0.0, 1.0])
                    .floats("coefficients", &[2.0, -1.0])
                    .floats("rho", &[0.25])
                    .ints("classlabels_ints", &[0, 1])
                    .text("post_transform", "NONE"),
            )
            .ints("second", &[1])
            .node(node("ArrayFeatureExtractor", &["s", "second"], &["one"]).learning())
            .node(node("Sigmoid", &["one"], &["p"]));
        outputs.iter().fold(graph, |graph, output| graph.output(output))
    };
    let decides = compared(&graph(&["l", "s"]));
    assert_eq!(
        (decides.coef, decides.intercept),
        (vec![vec![-2.0, 1.0]], vec![-0.25])
    );
    let computed = compared(&graph(&["p"]));
    assert_eq!(
        (computed.coef, computed.intercept),
        (vec![vec![2.0, -1.0]], vec![0.25])
    );
    let error = read(&graph(&["s"]).bytes()).unwrap_err().to_string();
    assert!(error.contains("opposite signs: export its labels too"), "{error}");
}
