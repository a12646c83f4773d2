//! Networks with hidden layers, compared with their graphs run in the clear.

mod activations;
mod refusals;
mod shapes;

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
