//! How layers, columns and heads of networks are connected.

use super::*;

#[test]
fn layers_may_skip_others() {
    let residual = Net::new(3)
        .layer("x", "a", [3, 4])
        .node("Relu", &["a"], "h")
        .layer("h", "b", [4, 4])
        .node("Tanh", &["b"], "i")
        .node("Add", &["h", "i"], "r")
        .with(node("Concat", &["x", "r"], &["c"]).int("axis", 1))
        .layer("c", "y", [7, 1])
        .output("y");
    let network = residual.agreed();
    assert_eq!(widths(&network), [4, 4]);
    assert!(network.fitted.coef[0].iter().all(|weight| *weight != 0.0));
    assert_eq!(network.units[4].layer, 1);
    assert!(network.units[4].features.is_empty() && network.units[4].units.len() == 4);
    // Around the activation, of what goes into the layer.
    let inputs = Net::new(3)
        .layer("x", "a", [3, 3])
        .node("Relu", &["a"], "h")
        .node("Add", &["x", "h"], "r")
        .layer("r", "b", [3, 3])
        .node("Relu", &["b"], "i")
        .node("Sub", &["r", "i"], "s")
        .layer("s", "y", [3, 2])
        .output("y");
    assert_eq!(widths(&inputs.agreed()), [3, 3]);
}

#[test]
fn heads_share_hidden_units() {
    let net = Net::new(3)
        .layer("x", "z", [3, 5])
        .node("Relu", &["z"], "h")
        .layer("h", "price", [5, 1])
        .layer("h", "rent", [5, 1])
        .output("price")
        .output("rent");
    let network = net.agreed();
    assert_eq!(widths(&network), [5]);
    let names = ["price", "rent"].map(str::to_owned).to_vec();
    assert_eq!(network.fitted.labels, Some(names));
}

#[test]
fn what_stands_before_the_layers_is_public() {
    let net = Net::new(3)
        .node("Abs", &["x"], "a")
        .with(node("Concat", &["x", "a"], &["c"]).int("axis", 1))
        .layer("c", "z", [6, 4])
        .node("Abs", &["z"], "b")
        .node("Relu", &["b"], "h")
        .layer("h", "y", [4, 1])
        .output("y");
    let network = net.agreed();
    assert_eq!(widths(&network), [4]);
    let steps = network.fitted.encoding.unwrap().steps;
    assert_eq!(steps.len(), 1, "{steps:?}");
    assert_eq!(network.units[0].features.len(), 6);
}

#[test]
fn towers_of_the_first_and_the_other_columns_are_read() {
    let integers = |net: Net, name: &str, values: &[i64]| Net(net.0.ints(name, values), net.1);
    let net = [("zero", 0), ("two", 2), ("all", i64::MAX), ("one", 1)];
    let net = net
        .into_iter()
        .fold(Net::new(4), |net, (name, value)| integers(net, name, &[value]));
    let network = net
        .node("Slice", &["x", "zero", "two", "one"], "a")
        .node("Slice", &["x", "two", "all", "one"], "b")
        .layer("a", "c", [2, 3])
        .layer("b", "d", [2, 3])
        .node("Relu", &["c"], "e")
        .node("Tanh", &["d"], "f")
        .with(node("Concat", &["e", "f"], &["h"]).int("axis", 1))
        .layer("h", "y", [6, 1])
        .output("y")
        .agreed();
    assert_eq!(widths(&network), [6]);
}

#[test]
fn rows_may_keep_their_number_in_a_reshape() {
    // As PyTorch writes x.view(x.size(0), -1), and z.view(x.shape[0]) at the end.
    let net = Net::new(4);
    let net = Net(
        net.0.ints("axes", &[0]).ints("rest", &[-1]).ints("all", &[4]),
        net.1,
    );
    let rows = |net: Net, rest: &[&str], shape: &str| {
        let inputs = [&["n"], rest].concat();
        net.with(node("Concat", &inputs, &[shape]).int("axis", 0))
    };
    let net = net
        .constant("first", &[], &[0.0])
        .node("Shape", &["x"], "s")
        .with(node("Gather", &["s", "first"], &["row"]).int("axis", 0))
        .node("Unsqueeze", &["row", "axes"], "n");
    let net = rows(
        rows(rows(net, &["rest"], "flat"), &["all"], "same"),
        &[],
        "vector",
    );
    let network = net
        .node("Reshape", &["x", "flat"], "a")
        .node("Reshape", &["a", "same"], "b")
        .layer("b", "z", [4, 3])
        .node("Relu", &["z"], "h")
        .layer("h", "u", [3, 1])
        .node("Reshape", &["u", "vector"], "y")
        .output("y")
        .agreed();
    assert_eq!(widths(&network), [3]);
}

#[test]
fn columns_that_no_unit_reads_are_left_out() {
    let columns = ["age", "income", "visits"];
    let graph = columns.iter().fold(Builder::default(), |graph, name| {
        graph.input(name, 1, DataType::Float)
    });
    let net = Net(graph, 0)
        .with(node("FeatureVectorizer", &columns, &["x"]).learning())
        .constant("W", &[3, 2], &[1.0, -1.0, 0.0, 0.0, 0.5, 0.25])
        .node("MatMul", &["x", "W"], "z")
        .node("Tanh", &["z"], "h")
        .layer("h", "y", [2, 1])
        .output("y");
    let network = net.agreed();
    let names = ["age", "visits"].map(str::to_owned).to_vec();
    assert_eq!(network.fitted.features, Some(names));
    assert_eq!(network.fitted.unused, ["income"]);
    assert_eq!(network.units[1].features, [-1.0, 0.25]);
}

#[test]
fn several_labels_are_those_above_a_half() {
    let net = Net::new(3)
        .layer("x", "z", [3, 4])
        .node("Relu", &["z"], "h")
        .layer("h", "y", [4, 3])
        .node("Sigmoid", &["y"], "p")
        .with(
            node("Binarizer", &["p"], &["l"])
                .learning()
                .float("threshold", 0.5),
        )
        .output("l")
        .output("p");
    assert_eq!(net.agreed().fitted.task, Some(Task::Multilabel));
}

#[test]
fn targets_of_scikit_learn_stay_beside_each_other() {
    let mut net = Net::new(3)
        .constant("W", &[3, 4], &numbers(12, 1))
        .constant("V", &[4, 2], &numbers(8, 2))
        .constant("v", &[1, 2], &numbers(2, 3))
        .node("MatMul", &["x", "W"], "z")
        .node("Relu", &["z"], "h")
        .node("MatMul", &["h", "V"], "n")
        .node("Add", &["n", "v"], "a")
        .node("Reshape", &["a", "shape"], "y")
        .output("y");
    net.0 = net.0.ints("shape", &[-1, 1]);
    assert!(net.refusal().contains("Reshape"));
    net.0 = net.0.by("skl2onnx");
    assert_eq!(net.agreed().outputs.len(), 2);
}

#[test]
fn equal_units_are_one_and_unused_ones_are_none() {
    let net = Net::new(2)
        .constant("W", &[2, 4], &[1.0, 1.0, 2.0, 0.0, -1.0, -1.0, 0.5, 0.0])
        .constant("b", &[4], &[0.5, 0.5, 0.0, 3.0])
        .constant("V", &[4, 1], &[1.0, 2.0, 0.0, 4.0])
        .node("MatMul", &["x", "W"], "m")
        .node("Add", &["m", "b"], "z")
        .node("Relu", &["z"], "h")
        .node("MatMul", &["h", "V"], "y")
        .output("y");
    let network = net.agreed();
    assert_eq!(widths(&network), [1]);
    assert_eq!(
        (&network.outputs, &network.fitted.intercept),
        (&vec![vec![3.0]], &vec![12.0])
    );
    let (sums, values) = network.activations(&[1.0, 3.0]);
    assert_eq!((sums, values), (vec![-1.5], vec![0.0]));
}
