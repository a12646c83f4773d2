//! Refusal of nodes that may change rows, columns or values.

use super::{
    after_scores, compared,
    graphs::{self, Builder, node},
    read,
};

#[test]
fn what_may_change_rows_columns_or_values_is_refused() {
    let one = |node: graphs::Node, output: &str| after_scores(&[node]).output(output);
    let reshape = |target: &[i64]| {
        Builder::scores(3)
            .ints("s", target)
            .node(node("Reshape", &["z", "s"], &["y"]))
            .output("y")
    };
    let labelled = |label: graphs::Node| {
        after_scores(&[node("ArgMax", &["z"], &["l"]).int("axis", 1), label]).output("y")
    };
    let column = |operator: &str, shape: &[i64], values: &[f32]| {
        Builder::scores(3)
            .floats("c", shape, values)
            .node(node(operator, &["z", "c"], &["y"]))
            .output("y")
    };
    let cases: Vec<(Builder, &str)> = vec![
        (reshape(&[-1, 2]), "Reshape"),
        (reshape(&[3, -1]), "Reshape"),
        // Right for three rows at once, but not for six.
        (reshape(&[1, -1]), "Reshape"),
        (reshape(&[-1]), "Reshape"),
        (reshape(&[-1, 3, 1]), "Reshape"),
        (
            one(node("Flatten", &["z"], &["y"]).int("axis", 0), "y"),
            "Flatten",
        ),
        (one(node("Squeeze", &["z"], &["y"]), "y"), "Squeeze"),
        (one(node("Transpose", &["z"], &["y"]), "y"), "Transpose"),
        (one(node("Cast", &["z"], &["y"]).int("to", 7), "y"), "rounds"),
        (one(node("Cast", &["z"], &["y"]).int("to", 9), "y"), "rounds"),
        (one(node("Cast", &["z"], &["y"]).int("to", 10), "y"), "rounds"),
        (
            Builder::new(2)
                .node(node("Cast", &["x"], &["y"]).int("to", 7))
                .output("y"),
            "the features",
        ),
        (labelled(node("Cast", &["l"], &["y"]).int("to", 9)), "labels"),
        (one(node("Softmax", &["z"], &["y"]).int("axis", 0), "y"), "axis 0"),
        (
            Builder::scores(1)
                .node(node("Softmax", &["z"], &["y"]))
                .output("y"),
            "always gives 1",
        ),
        (one(node("ArgMax", &["z"], &["y"]), "y"), "axis 0"),
        (one(node("Abs", &["z"], &["y"]), "y"), "magnitudes of scores"),
        (one(node("Sqrt", &["z"], &["y"]), "y"), "Sqrt"),
        (
            one(node("Concat", &["z", "z"], &["y"]).int("axis", 0), "y"),
            "along the rows",
        ),
        (
            one(node("Gemm", &["z", "W"], &["y"]).int("transA", 1), "y"),
            "transA",
        ),
        (
            one(node("Identity", &["z"], &["y"]).int("axis", 1), "y"),
            "the attribute \"axis\"",
        ),
        (column("Add", &[3, 1], &[1.0, 2.0, 3.0]), "shape [3, 1]"),
        (column("Mul", &[1, 1, 3], &[1.0, 2.0, 3.0]), "shape [1, 1, 3]"),
        (column("Div", &[3], &[1.0, 0.0, 3.0]), "by zero"),
        (one(node("Tanh", &["z"], &["y"]), "y"), "Tanh"),
        (one(node("Scaler", &["z"], &["y"]), "y"), "Scaler"),
        (one(node("Add", &["z", "nothing"], &["y"]), "y"), "\"nothing\""),
        (
            Builder::new(2).node(node("Identity", &["x"], &["y"])).output("y"),
            "the features",
        ),
        (
            Builder::whole(2)
                .floats("c", &[2], &[2.0, 3.0])
                .node(node("Div", &["x", "c"], &["y"]))
                .output("y"),
            "whole numbers",
        ),
        (
            Builder::new(2)
                .node(node("Reshape", &["x", "s"], &["y"]))
                .ints("s", &[2, -1])
                .output("y"),
            "the features",
        ),
    ];
    for (graph, words) in cases {
        let error = read(&graph.bytes()).unwrap_err().to_string();
        assert!(error.contains(words), "{words}: {error}");
    }
    let dropout = |mode: &[f32]| {
        Builder::scores(3)
            .floats("r", &[], &[0.5])
            .floats("t", &[], mode)
            .node(node("Dropout", &["z", "r", "t"], &["y"]))
            .node(node("Softmax", &["y"], &["p"]))
            .output("p")
    };
    assert!(
        read(&dropout(&[1.0]).bytes())
            .unwrap_err()
            .to_string()
            .contains("training mode")
    );
    compared(&dropout(&[0.0]));
}
