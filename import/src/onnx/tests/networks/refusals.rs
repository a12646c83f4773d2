//! Graphs that are no networks, and networks that are refused.

use super::*;

/// Changed weights are fine. A panic is not.
#[test]
fn changed_and_cut_networks_are_read_or_refused() {
    let net = Net::new(2)
        .layer("x", "z", [2, 3])
        .constant("slope", &[3], &[0.1, 0.2, 0.3])
        .node("PRelu", &["z", "slope"], "h")
        .node("Sigmoid", &["h"], "s")
        .node("Mul", &["h", "s"], "m")
        .layer("m", "y", [3, 1])
        .output("y");
    net.agreed();
    let bytes = net.0.bytes();
    for place in 0..bytes.len() {
        for change in [0x01, 0x02, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[place] ^= change;
            let Ok(graph) = Graph::decode(&changed, Path::new("")) else {
                continue;
            };
            if let Ok(Some(network)) = graph.network() {
                let scores = network.scores(&vec![0.5; network.fitted.count()]);
                assert_eq!(scores.len(), network.fitted.intercept.len());
            }
        }
    }
}

#[test]
fn graphs_without_hidden_units_are_no_networks() {
    let sigmoid = Net(Builder::scores(3), 0)
        .node("Sigmoid", &["z"], "p")
        .output("p");
    assert_eq!(sigmoid.read().unwrap(), None);
    let clipped = Net::new(3)
        .constant("least", &[], &[0.0])
        .layer("x", "z", [3, 3])
        .node("Softmax", &["z"], "p")
        .output("p");
    assert_eq!(clipped.read().unwrap(), None);
}

#[test]
fn what_networks_do_not_have_is_refused_in_words() {
    let hidden = || Net::new(3).layer("x", "z", [3, 4]).node("Relu", &["z"], "h");
    let refused = |net: Net, words: &str| {
        let error = net.refusal();
        assert!(error.contains(words), "{words}: {error}");
    };
    let gated = hidden()
        .layer("x", "g", [3, 4])
        .node("Sigmoid", &["g"], "s")
        .node("Mul", &["h", "s"], "m")
        .layer("m", "y", [4, 1])
        .output("y");
    refused(gated, "gating");
    let softmax = hidden()
        .node("Softmax", &["h"], "s")
        .layer("s", "y", [4, 1])
        .output("y");
    refused(softmax, "Softmax stands between layers");
    let mean = hidden()
        .with(node("ReduceMean", &["h"], &["s"]).ints("axes", &[-1]))
        .node("Sub", &["h", "s"], "m")
        .layer("m", "y", [4, 1])
        .output("y");
    refused(mean, "BatchNorm1d");
    let normalised = hidden()
        .node("LayerNormalization", &["h"], "m")
        .layer("m", "y", [4, 1])
        .output("y");
    refused(normalised, "BatchNorm1d");
    let attention = hidden()
        .node("Transpose", &["h"], "t")
        .node("MatMul", &["h", "h"], "y")
        .output("y");
    refused(attention, "attention");
    let split = hidden()
        .with(node("Split", &["h"], &["s", "t"]).int("axis", 1))
        .node("Mul", &["s", "t"], "m")
        .layer("m", "y", [2, 1])
        .output("y");
    refused(split, "Split splits the numbers of a layer");
    // Weights of a layer don't become steps of the public part.
    let grid = hidden()
        .node("Reshape", &["z", "shape"], "g")
        .layer("g", "k", [4, 1])
        .node("Relu", &["k"], "y")
        .output("y");
    let grid = Net(grid.0.ints("shape", &[-1, 1, 4]), grid.1);
    refused(grid, "what a layer of the network gives");
    let convolution = hidden()
        .node("Conv", &["h", "W1"], "c")
        .layer("c", "y", [4, 1])
        .output("y");
    refused(convolution, "fully connected layers with any activation");
    let sinh = hidden().node("Sinh", &["h"], "y").output("y");
    refused(
        sinh,
        "Sinh is not supported. Networks of fully connected layers with any activation between them are served",
    );
    let powers = hidden()
        .constant("e", &[], &[1.5])
        .node("Pow", &["h", "e"], "p")
        .layer("p", "y", [4, 1])
        .output("y");
    refused(powers, "a power that isn't whole");
    let mut deep = hidden();
    for layer in 0..4 {
        let (before, sum, after) = (
            format!("h{layer}"),
            format!("z{layer}"),
            format!("h{}", layer + 1),
        );
        let before = if layer == 0 { "h" } else { &before };
        deep = deep.layer(before, &sum, [4, 4]).node("Relu", &[&sum], &after);
    }
    refused(
        deep.layer("h4", "y", [4, 1]).output("y"),
        "5 hidden layers; at most 4",
    );
    let wide = Net::new(3)
        .layer("x", "z", [3, 600])
        .node("Relu", &["z"], "h")
        .layer("h", "y", [600, 1])
        .output("y");
    refused(wide, "600 units; at most 512");
}
