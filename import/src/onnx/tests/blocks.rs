//! Records with several axes, such as images.

use super::{
    compared,
    graphs::{Builder, node},
    read,
};

/// Images of 2 x 3 pixels, scaled, made rows by nodes that give `row`, and weighed.
fn image(flatten: impl Fn(Builder) -> Builder) -> Builder {
    let graph = Builder::new(6)
        .of_axes(&[2, 3])
        .floats("scale", &[1, 1, 1], &[0.5])
        .floats("W", &[6, 1], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
        .node(node("Cast", &["x"], &["c"]).int("to", 1))
        .node(node("Mul", &["c", "scale"], &["s"]));
    flatten(graph)
        .node(node("MatMul", &["row", "W"], &["z"]))
        .output("z")
}

#[test]
fn images_are_rows_of_their_pixels() {
    let flattened = image(|graph| graph.node(node("Flatten", &["s"], &["row"])));
    let reshaped = image(|graph| {
        graph
            .ints("to", &[-1, 6])
            .node(node("Reshape", &["s", "to"], &["row"]))
    });
    // As Keras writes it.
    let counted = image(|graph| {
        graph
            .ints("first", &[0])
            .ints("any", &[-1])
            .node(node("Shape", &["s"], &["shape"]))
            .node(node("Gather", &["shape", "first"], &["rows"]).int("axis", 0))
            .node(node("Concat", &["rows", "any"], &["to"]).int("axis", 0))
            .node(node("Reshape", &["s", "to"], &["row"]))
    });
    for graph in [flattened, reshaped, counted] {
        assert_eq!(compared(&graph).coef, [[0.5, 1.0, 1.5, 2.0, 2.5, 3.0]]);
    }
}

#[test]
fn what_mixes_axes_is_refused() {
    let refused = |graph: &Builder, words: &str| {
        let error = read(&graph.bytes()).unwrap_err().to_string();
        assert!(error.contains(words), "{words}: {error}");
    };
    let several = "records with several axes, such as images";
    refused(
        &image(|graph| graph.node(node("Transpose", &["s"], &["row"]))),
        several,
    );
    refused(
        &image(|graph| {
            graph
                .ints("to", &[-1, 3])
                .node(node("Reshape", &["s", "to"], &["row"]))
        }),
        several,
    );
    refused(
        &image(|graph| graph.node(node("Flatten", &["s"], &["row"]).int("axis", 2))),
        several,
    );
    let each = image(|graph| {
        graph
            .floats("each", &[3], &[1.0, 2.0, 3.0])
            .node(node("Add", &["s", "each"], &["moved"]))
            .node(node("Flatten", &["moved"], &["row"]))
    });
    refused(&each, "3 numbers: scale all alike, or after Flatten");
    let unknown = Builder::new(6)
        .of_axes(&[2, 0])
        .node(node("Flatten", &["x"], &["z"]))
        .output("z");
    refused(&unknown, "no fixed number of columns");
}
