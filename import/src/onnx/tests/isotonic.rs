//! Isotonic calibration, as skl2onnx writes it.

use super::{
    compared,
    graphs::{Builder, node},
    read,
};
use blindscore_client::Scores;
use blindscore_protocol::descriptor::Link;

/// Thresholds and probabilities of each score.
type Points<'a> = (&'a [f32], &'a [f32]);

const RISING: Points<'_> = (&[-1.0, -0.5, 0.5, 0.625], &[0.0, 0.25, 0.25, 1.0]);

/// The graph of a classifier with scores in the columns of `z`, each calibrated by a curve.
fn calibrated(scores: usize, curve: Points<'_>) -> Builder {
    let (thresholds, probabilities) = curve;
    let count = thresholds.len() as i64;
    let mut graph = Builder::scores(scores)
        .floats("least", &[], &thresholds[..1])
        .floats("most", &[], &thresholds[thresholds.len() - 1..])
        .floats("x_of", &[count], thresholds)
        .floats("y_of", &[count], probabilities)
        .ints("shape", &[-1, 1])
        .by("skl2onnx");
    for place in 0..scores {
        let named = |name: &str| format!("{name}{place}");
        let [index, column, clipped, shaped, distance, size, nearest, found] =
            ["k", "s", "c", "r", "d", "a", "n", "f"].map(named);
        graph = graph
            .ints(&index, &[place as i64])
            .node(node("ArrayFeatureExtractor", &["z", &index], &[&column]).learning())
            .node(node("Clip", &[&column, "least", "most"], &[&clipped]))
            .node(node("Reshape", &[&clipped, "shape"], &[&shaped]))
            .node(node("Sub", &[&shaped, "x_of"], &[&distance]))
            .node(node("Abs", &[&distance], &[&size]))
            .node(node("ArgMin", &[&size], &[&nearest]).int("axis", 1))
            .node(node("ArrayFeatureExtractor", &["y_of", &nearest], &[&found]).learning())
            .node(node("Reshape", &[&found, "shape"], &[&named("p")]));
    }
    graph
}

/// Probabilities of the second of two classes, and of the first.
fn two(curve: Points<'_>) -> Builder {
    calibrated(1, curve)
        .floats("one", &[], &[1.0])
        .node(node("Sub", &["one", "p0"], &["first"]))
        .node(node("Concat", &["first", "p0"], &["p"]).int("axis", 1))
        .node(node("ArgMax", &["p"], &["l"]).int("axis", 1))
        .output("l")
        .output("p")
}

/// Three probabilities, divided by their sum, with the guard against a sum of 0. `classes` is the
/// number that the guard adds to it.
fn three(classes: f32) -> Builder {
    calibrated(3, RISING)
        .floats("classes", &[], &[classes])
        .ints("last", &[1])
        .node(node("Concat", &["p0", "p1", "p2"], &["all"]).int("axis", 1))
        .node(node("ReduceSum", &["all", "last"], &["sum"]))
        .node(node("Cast", &["sum"], &["likely"]).int("to", 9))
        .node(node("Not", &["likely"], &["not"]))
        .node(node("Cast", &["not"], &["unlikely"]).int("to", 1))
        .node(node("Add", &["all", "unlikely"], &["guarded"]))
        .node(node("Mul", &["unlikely", "classes"], &["more"]))
        .node(node("Add", &["sum", "more"], &["whole"]))
        .node(node("Div", &["guarded", "whole"], &["p"]))
        .node(node("ArgMax", &["p"], &["l"]).int("axis", 1))
        .output("l")
        .output("p")
}

#[test]
fn probabilities_are_interpolated_as_in_scikit_learn() {
    let fitted = compared(&two(RISING));
    assert_eq!((fitted.link, fitted.coef.len()), (Link::Mean, 1));
    let [member] = &fitted.members[..] else {
        panic!("{:?}", fitted.members)
    };
    assert_eq!(
        (member.link, member.scores, member.weight),
        (Link::Isotonic, 1, 1.0)
    );
    // The nearest threshold has 0.
    assert_eq!(member.curves[0].at(-0.875), 0.0625);
    let fitted = compared(&three(3.0));
    assert_eq!((fitted.members[0].scores, fitted.members[0].curves.len()), (3, 3));
    let model = super::chosen(&fitted).model;
    let unlikely = Scores::new(model.descriptor(), vec![-2.0; 3]);
    assert_eq!(unlikely.probabilities, [1.0 / 3.0; 3]);
}

#[test]
fn what_only_looks_like_it_is_refused() {
    let refused = |graph: &Builder, words: &str| {
        let error = read(&graph.bytes()).unwrap_err().to_string();
        assert!(error.contains(words), "{words}: {error}");
    };
    let kind = "CalibratedClassifierCV(method=\"isotonic\") is not served";
    // Another converter may mean what it writes.
    refused(&two(RISING).by("another"), kind);
    refused(&two((&[0.0, -1.0], &[0.0, 1.0])), "don't rise from 0 to 1");
    refused(&two((&[0.0, 1.0], &[1.0, 0.0])), "don't rise from 0 to 1");
    refused(&two((&[0.0, 1.0], &[0.0, 2.0])), "don't rise from 0 to 1");
    refused(&three(4.0), "Add");
    let open = calibrated(1, RISING).output("p0");
    refused(&open, "\"p0\" is calibrated scores, not an answer");
}
