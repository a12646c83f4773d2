//! Networks with hidden layers, compared with their graphs run in the clear.

use super::{
    Graph,
    graphs::{self, Builder, node},
};
use crate::{
    Answer, ImportError,
    layers::FloatNetwork,
    onnx::proto::tensor_proto::DataType,
    reference::{Elements, Reference},
};
use blindscore_client::Cell;
use blindscore_protocol::descriptor::{Link, Task};
use std::path::Path;

/// Numbers that look drawn: the same for each seed.
fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12_345);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (f64::from(state) / f64::from(u32::MAX) * 3.0 - 1.5) as f32
    };
    (0..count).map(|_| next()).collect()
}

/// A graph of a network under construction.
struct Net(Builder, u32);

impl Net {
    fn new(columns: i64) -> Self {
        Self(Builder::new(columns), 0)
    }

    fn node(self, operator: &str, inputs: &[&str], output: &str) -> Self {
        Self(self.0.node(node(operator, inputs, &[output])), self.1)
    }

    fn with(self, node: graphs::Node) -> Self {
        Self(self.0.node(node), self.1)
    }

    fn constant(self, name: &str, shape: &[i64], values: &[f32]) -> Self {
        Self(self.0.floats(name, shape, values), self.1)
    }

    /// Adds a fully connected layer as PyTorch writes it.
    fn layer(self, input: &str, output: &str, [inputs, outputs]: [i64; 2]) -> Self {
        let seed = self.1 + 1;
        let (weights, bias) = (format!("W{seed}"), format!("b{seed}"));
        let count = (inputs * outputs) as usize;
        let built = self
            .0
            .floats(&weights, &[outputs, inputs], &numbers(count, seed))
            .floats(&bias, &[outputs], &numbers(outputs as usize, seed + 100))
            .node(node("Gemm", &[input, &weights, &bias], &[output]).int("transB", 1));
        Self(built, seed)
    }

    fn output(self, name: &str) -> Self {
        Self(self.0.output(name), self.1)
    }

    fn read(&self) -> Result<Option<FloatNetwork>, ImportError> {
        let bytes = self.0.bytes();
        Graph::decode(&bytes, Path::new("")).unwrap().network()
    }

    fn refusal(&self) -> String {
        self.read().unwrap_err().to_string()
    }

    /// Returns the network, after comparing it with the graph run in the clear.
    fn agreed(&self) -> FloatNetwork {
        let bytes = self.0.bytes();
        let graph = Graph::decode(&bytes, Path::new("")).unwrap();
        let network = graph.network().unwrap().expect("hidden units");
        let fitted = &network.fitted;
        let encoder = fitted.encoder();
        let columns = encoder.columns().len();
        let rows: Vec<Vec<f64>> = (0..20)
            .map(|row| {
                let row = numbers(columns, 1_000 + row);
                row.into_iter().map(f64::from).collect()
            })
            .collect();
        let reference = Reference::new(&graph, &encoder, fitted.features.as_deref()).unwrap();
        let records: Vec<Vec<Cell<'_>>> = rows
            .iter()
            .map(|row| row.iter().copied().map(Cell::Number).collect())
            .collect();
        let answers = reference.run(&records).unwrap();
        for (row, answers) in rows.iter().zip(answers) {
            let cells: Vec<Cell<'_>> = row.iter().copied().map(Cell::Number).collect();
            let scores = network.scores(&encoder.encode(&cells).unwrap());
            for (answer, elements) in fitted.answers.iter().zip(answers) {
                agree(&network, answer, &scores, &elements);
            }
        }
        network
    }
}

fn agree(network: &FloatNetwork, answer: &Answer, scores: &[f64], elements: &Elements) {
    let fitted = &network.fitted;
    let sigmoid = |score: f64| 1.0 / (1.0 + (-score).exp());
    let probabilities = || match (fitted.link, scores) {
        (Link::Sigmoid, &[score]) if fitted.classes.is_some() => vec![sigmoid(-score), sigmoid(score)],
        (Link::Sigmoid, scores) => scores.iter().map(|score| sigmoid(*score)).collect(),
        (Link::Softmax, scores) => {
            let sum: f64 = scores.iter().map(|score| score.exp()).sum();
            scores.iter().map(|score| score.exp() / sum).collect()
        }
        (link, _) => panic!("{link:?}"),
    };
    let ours: Vec<f64> = match answer {
        Answer::Scores(list) => list
            .iter()
            .map(|(place, factor)| scores[*place] * factor)
            .collect(),
        Answer::Values(places) => places.iter().map(|place| scores[*place].exp()).collect(),
        Answer::Probabilities(places) => {
            let all = probabilities();
            places.iter().map(|place| all[*place]).collect()
        }
        Answer::Label => {
            let place = match scores {
                [score] => usize::from(*score > 0.0),
                scores => (0..scores.len())
                    .max_by(|a, b| scores[*a].total_cmp(&scores[*b]))
                    .unwrap(),
            };
            let names = fitted.classes.as_ref().or(fitted.labels.as_ref()).unwrap();
            match elements {
                Elements::Texts(texts) => assert_eq!(texts, &[names[place].clone()]),
                Elements::Numbers(numbers) => assert_eq!(numbers[0].to_string(), names[place]),
            }
            return;
        }
        Answer::Held => scores
            .iter()
            .map(|score| f64::from(u8::from(*score > 0.0)))
            .collect(),
        other => panic!("{other:?}"),
    };
    let Elements::Numbers(theirs) = elements else {
        panic!("{elements:?}");
    };
    assert_eq!(theirs.len(), ours.len());
    for (theirs, ours) in theirs.iter().zip(&ours) {
        assert!(
            (theirs - ours).abs() <= 1e-9 * theirs.abs().max(1.0),
            "{answer:?}: {theirs} {ours}"
        );
    }
}

/// Returns the layers of the units and how many there are in each.
fn widths(network: &FloatNetwork) -> Vec<usize> {
    let units = network.units.chunk_by(|one, other| one.layer == other.layer);
    units.map(<[_]>::len).collect()
}

#[test]
fn networks_of_scikit_learn_are_read() {
    let scaled = || {
        let scaler = node("Scaler", &["x"], &["s"])
            .learning()
            .floats("offset", &[1.0, 2.0, 30.0])
            .floats("scale", &[0.5, 0.25, 0.1]);
        Net::new(3)
            .with(scaler)
            .with(node("Cast", &["s"], &["c"]).int("to", 11))
            .constant("U", &[3, 5], &numbers(15, 1))
            .constant("u", &[1, 5], &numbers(5, 2))
            .node("MatMul", &["c", "U"], "m")
            .node("Add", &["m", "u"], "a")
    };
    for (operator, width) in [("Relu", 3), ("Tanh", 3), ("Sigmoid", 1)] {
        let after = scaled()
            .node(operator, &["a"], "h")
            .constant("V", &[5, width], &numbers(5 * width as usize, 3))
            .constant("v", &[1, width], &numbers(width as usize, 4))
            .node("MatMul", &["h", "V"], "n")
            .node("Add", &["n", "v"], "z");
        let classes: Vec<i64> = (0..width.max(2)).collect();
        let mut net = if width == 1 {
            after
                .constant("one", &[], &[1.0])
                .node("Sigmoid", &["z"], "q")
                .node("Sub", &["one", "q"], "r")
                .with(node("Concat", &["r", "q"], &["p"]).int("axis", 1))
        } else {
            after.node("Softmax", &["z"], "p")
        };
        net.0 = net.0.ints("names", &classes).ints("rows", &[-1]);
        let net = net
            .with(node("ArgMax", &["p"], &["l"]).int("axis", 1))
            .with(node("ArrayFeatureExtractor", &["names", "l"], &["e"]).learning())
            .node("Reshape", &["e", "rows"], "label")
            .with(
                node("ZipMap", &["p"], &["named"])
                    .learning()
                    .ints("classlabels_int64s", &classes),
            )
            .output("label")
            .output("named");
        let network = net.agreed();
        assert_eq!(widths(&network), [5], "{operator}");
        assert_eq!(network.fitted.task, Some(Task::Classification));
        // Of the scaler: five deviations around the means.
        let ranges = network.fitted.ranges.unwrap();
        assert!(
            (ranges[1].0 + 18.0).abs() < 1e-3 && (ranges[1].1 - 22.0).abs() < 1e-3,
            "{ranges:?}"
        );
        assert_eq!(network.fitted.coef, vec![vec![0.0; 3]; network.outputs.len()]);
    }
}

/// A network with one hidden layer, of three units of four columns, by which `between` goes from `z` to
/// `h`.
fn between(add: impl Fn(Net) -> Net) -> Net {
    add(Net::new(4).layer("x", "z", [4, 3]))
        .layer("h", "y", [3, 2])
        .output("y")
}

#[test]
fn activations_have_the_values_of_their_operators() {
    let nodes = [
        node("Relu", &["z"], &["h"]),
        node("LeakyRelu", &["z"], &["h"]),
        node("LeakyRelu", &["z"], &["h"]).float("alpha", 1.5),
        node("Elu", &["z"], &["h"]).float("alpha", 0.7),
        node("Selu", &["z"], &["h"]),
        node("Celu", &["z"], &["h"]).float("alpha", 0.6),
        node("Gelu", &["z"], &["h"]),
        node("Gelu", &["z"], &["h"]).text("approximate", "tanh"),
        node("Sigmoid", &["z"], &["h"]),
        node("HardSigmoid", &["z"], &["h"]),
        node("HardSwish", &["z"], &["h"]),
        node("Tanh", &["z"], &["h"]),
        node("Softplus", &["z"], &["h"]),
        node("Softsign", &["z"], &["h"]),
        node("Mish", &["z"], &["h"]),
        node("Swish", &["z"], &["h"]).float("alpha", 1.7),
        node("ThresholdedRelu", &["z"], &["h"]).float("alpha", 0.3),
        node("Shrink", &["z"], &["h"])
            .float("bias", 0.2)
            .float("lambd", 0.4),
        node("Atan", &["z"], &["h"]),
        node("Cos", &["z"], &["h"]),
        node("Erf", &["z"], &["h"]),
        node("Sin", &["z"], &["h"]),
        node("Clip", &["z"], &["h"]).float("min", 0.0).float("max", 0.8),
        node("Exp", &["z"], &["h"]),
        node("Abs", &["z"], &["h"]),
    ];
    for node in nodes {
        let network = between(|net| net.with(node.clone())).agreed();
        assert_eq!(widths(&network), [3]);
    }
}

#[test]
fn activations_of_several_operators_are_one_function() {
    let gelu = |net: Net| {
        net.constant("root", &[], &[2f32.sqrt()])
            .constant("one", &[], &[1.0])
            .constant("half", &[], &[0.5])
            .node("Div", &["z", "root"], "d")
            .node("Erf", &["d"], "e")
            .node("Add", &["e", "one"], "a")
            .node("Mul", &["z", "a"], "m")
            .node("Mul", &["m", "half"], "h")
    };
    let silu = |net: Net| net.node("Sigmoid", &["z"], "s").node("Mul", &["z", "s"], "h");
    let softplus = |net: Net| {
        net.constant("one", &[], &[1.0])
            .node("Exp", &["z"], "e")
            .node("Add", &["e", "one"], "a")
            .node("Log", &["a"], "h")
    };
    let hard_swish = |net: Net| {
        net.constant("three", &[], &[3.0])
            .constant("six", &[], &[6.0])
            .constant("zero", &[], &[0.0])
            .node("Add", &["z", "three"], "a")
            .node("Clip", &["a", "zero", "six"], "c")
            .node("Div", &["c", "six"], "d")
            .node("Mul", &["z", "d"], "h")
    };
    let gelu_by_tanh = |net: Net| {
        net.constant("three", &[], &[3.0])
            .constant("k", &[], &[0.044_715])
            .constant("r", &[], &[0.797_884_6])
            .constant("one", &[], &[1.0])
            .constant("half", &[], &[0.5])
            .node("Mul", &["z", "half"], "n")
            .node("Pow", &["z", "three"], "p")
            .node("Mul", &["p", "k"], "q")
            .node("Add", &["z", "q"], "a")
            .node("Mul", &["a", "r"], "s")
            .node("Tanh", &["s"], "t")
            .node("Add", &["t", "one"], "u")
            .node("Mul", &["n", "u"], "h")
    };
    let square = |net: Net| net.node("Mul", &["z", "z"], "h");
    let centred = |net: Net| {
        net.constant("half", &[], &[0.5])
            .node("Sigmoid", &["z"], "s")
            .node("Sub", &["s", "half"], "h")
    };
    let largest = |net: Net| net.node("Neg", &["z"], "n").node("Max", &["z", "n"], "h");
    let soft_shrink = |net: Net| {
        net.constant("high", &[], &[0.25])
            .constant("low", &[], &[-0.25])
            .constant("zero", &[], &[0.0])
            .node("Greater", &["z", "high"], "g")
            .node("Less", &["z", "low"], "l")
            .node("Or", &["g", "l"], "o")
            .node("Sub", &["z", "high"], "s")
            .node("Add", &["z", "high"], "a")
            .node("Where", &["g", "s", "a"], "w")
            .node("Where", &["o", "w", "zero"], "h")
    };
    let chosen = |net: Net| {
        net.constant("tenth", &[], &[0.1])
            .node("Mul", &["z", "tenth"], "m")
            .node("GreaterOrEqual", &["z", "m"], "g")
            .node("Where", &["g", "z", "m"], "h")
    };
    let slopes = |net: Net| {
        net.constant("slope", &[3], &[0.1, -0.2, 1.3])
            .node("PRelu", &["z", "slope"], "h")
    };
    let all: [&dyn Fn(Net) -> Net; 11] = [
        &gelu,
        &silu,
        &softplus,
        &hard_swish,
        &gelu_by_tanh,
        &square,
        &centred,
        &largest,
        &soft_shrink,
        &chosen,
        &slopes,
    ];
    for add in all {
        let network = between(add).agreed();
        assert_eq!(widths(&network), [3]);
    }
    let network = between(slopes).agreed();
    assert_ne!(network.units[0].curve, network.units[1].curve);
}

#[test]
fn batch_normalisation_around_an_activation_is_folded_in() {
    let normalised = |net: Net, input: &str, output: &str| {
        let name = |what: &str| format!("{what}_{output}");
        let [gain, bias, mean, variance] = ["gain", "bias", "mean", "variance"].map(name);
        net.constant(&gain, &[3], &[0.5, -2.0, 1.5])
            .constant(&bias, &[3], &[0.1, 0.2, -0.3])
            .constant(&mean, &[3], &[1.0, -0.5, 0.25])
            .constant(&variance, &[3], &[0.5, 2.0, 1.0])
            .node(
                "BatchNormalization",
                &[input, &gain, &bias, &mean, &variance],
                output,
            )
    };
    let before = between(|net| normalised(net, "z", "n").node("Relu", &["n"], "h"));
    let after = between(|net| normalised(net.node("Relu", &["z"], "n"), "n", "h"));
    for net in [before, after] {
        assert_eq!(widths(&net.agreed()), [3]);
    }
}

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
fn networks_may_end_in_an_activation() {
    let ends: [(&str, Link); 5] = [
        ("Tanh", Link::Identity),
        ("Relu", Link::Identity),
        ("Sigmoid", Link::Sigmoid),
        ("Softmax", Link::Softmax),
        ("Exp", Link::Exp),
    ];
    for (operator, link) in ends {
        let hidden = || Net::new(3).layer("x", "z", [3, 4]).node("Relu", &["z"], "h");
        let net = hidden()
            .layer("h", "y", [4, 2])
            .node(operator, &["y"], "p")
            .output("p");
        let network = net.agreed();
        assert_eq!(network.fitted.link, link, "{operator}");
        let units = if ["Tanh", "Relu"].contains(&operator) {
            vec![4, 2]
        } else {
            vec![4]
        };
        assert_eq!(widths(&network), units, "{operator}");
        // Directly behind the activation.
        if operator == "Sigmoid" {
            let net = hidden().node(operator, &["h"], "p").output("p");
            assert_eq!(net.agreed().fitted.link, link);
        }
    }
    let clipped = Net::new(3)
        .layer("x", "z", [3, 4])
        .node("Relu", &["z"], "h")
        .layer("h", "y", [4, 1])
        .constant("least", &[], &[0.0])
        .node("Clip", &["y", "least"], "p")
        .output("p");
    assert_eq!(widths(&clipped.agreed()), [4, 1]);
    let scaled = Net::new(3)
        .layer("x", "z", [3, 4])
        .node("Relu", &["z"], "h")
        .layer("h", "y", [4, 1])
        .constant("five", &[], &[5.0])
        .node("Sigmoid", &["y"], "s")
        .node("Mul", &["s", "five"], "p")
        .output("p");
    assert_eq!(widths(&scaled.agreed()), [4, 1]);
    // Answers of two kinds in one output are numbers.
    let mixed = Net::new(3)
        .layer("x", "z", [3, 4])
        .node("Relu", &["z"], "h")
        .layer("h", "y", [4, 1])
        .layer("h", "q", [4, 2])
        .node("Sigmoid", &["q"], "s")
        .with(node("Concat", &["s", "y"], &["p"]).int("axis", 1))
        .output("p");
    assert_eq!(widths(&mixed.agreed()), [4, 2]);
}

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
