//! Graphs that are linear models, and graphs that only look like ones.

mod blocks;
mod combined;
mod graphs;
mod isotonic;
mod networks;
mod refusals;
mod repairs;
mod transformers;
mod trees;

use super::*;
use crate::{Choice, Ranges, choose, compare, settle};
use blindscore_engine::model::{LinearModel, Salt};
use blindscore_protocol::{
    descriptor::{FEATURES, Link, Task},
    params::LinearParams,
};
use graphs::{Builder, node};

const MODELS: [&[u8]; 4] = [
    include_bytes!("../../../../tests/fixtures/models/iris/model.onnx"),
    include_bytes!("../../../../tests/fixtures/models/iris-rest/model.onnx"),
    include_bytes!("../../../../tests/fixtures/models/breast-cancer-frame/model.onnx"),
    include_bytes!("../../../../tests/fixtures/models/diabetes-double/model.onnx"),
];

fn read(bytes: &[u8]) -> Result<Fitted, ImportError> {
    Graph::decode(bytes, Path::new(""))?.fitted()
}

/// Returns a fitted model that is ready to be served, with features between -3 and 3.
fn chosen(fitted: &Fitted) -> Choice {
    let settled = settle(fitted.clone(), None, fitted.task.or(Some(Task::Regression))).unwrap();
    let ranges = Ranges::find(fitted, Some((-3.0, 3.0)), None, 0.0).unwrap();
    let model = LinearModel {
        params: LinearParams::N2048,
        salt: Salt::none(),
        name: "test".parse().unwrap(),
        title: "test".into(),
        inputs: ranges.inputs(None, 65_536),
        labels: settled.labels,
        task: settled.task,
        classes: settled.fitted.classes,
        link: fitted.link,
        members: fitted.members.clone(),
        input_rounding: true,
        accuracy: None,
        coef: fitted.coef.clone(),
        intercept: fitted.intercept.clone(),
    };
    choose(model, 0.01).unwrap()
}

/// Returns the model of a graph, after comparing it with the graph run in the clear.
fn compared(graph: &Builder) -> Fitted {
    let bytes = graph.bytes();
    let graph = Graph::decode(&bytes, Path::new("")).unwrap();
    let fitted = graph.fitted().unwrap();
    let compared = compare(&graph, &fitted, &chosen(&fitted).stated(), None)
        .unwrap()
        .unwrap();
    assert_eq!(compared.rows, 200);
    fitted
}

/// Changed weights and labels are fine. A panic is not, nor an allocation that a file of some
/// kilobytes can't fill.
#[test]
fn changed_and_cut_files_are_models_or_errors() {
    for model in MODELS {
        read(model).unwrap();
        for place in 0..model.len() {
            for change in [0x01, 0x80, 0xff] {
                let mut changed = model.to_vec();
                changed[place] ^= change;
                if let Ok(fitted) = read(&changed) {
                    assert!(FEATURES.contains(&fitted.count()));
                    assert!(fitted.coef.iter().all(|row| row.len() == fitted.count()));
                    assert_eq!(fitted.coef.len(), fitted.intercept.len());
                }
            }
            let _ = read(&model[..place]);
        }
    }
}

/// Returns a graph of `z` `[rows, 3]`, which is `x` `[rows, 2]` times weights, followed by `nodes`.
fn after_scores(nodes: &[graphs::Node]) -> Builder {
    nodes
        .iter()
        .fold(Builder::scores(3), |graph, node| graph.node(node.clone()))
}

#[test]
fn what_changes_nothing_is_passed() {
    let shapes: [(&str, &[&str], Builder); 6] = [
        ("Reshape", &["z", "s"], Builder::scores(3).ints("s", &[-1, 3])),
        ("Reshape", &["z", "s"], Builder::scores(3).ints("s", &[0, -1])),
        ("Flatten", &["z"], Builder::scores(3)),
        ("Identity", &["z"], Builder::scores(3)),
        ("Dropout", &["z"], Builder::scores(3)),
        ("Cast", &["z"], Builder::scores(3)),
    ];
    for (operator, inputs, graph) in shapes {
        let mut passed = node(operator, inputs, &["y"]);
        if operator == "Cast" {
            passed = passed.int("to", 11);
        }
        let fitted = compared(
            &graph
                .node(passed)
                .node(node("Softmax", &["y"], &["p"]))
                .output("p"),
        );
        assert_eq!((fitted.link, fitted.coef.len()), (Link::Softmax, 3), "{operator}");
    }
    let one_row = Builder::scores(3)
        .of_rows(1)
        .ints("s", &[1, -1])
        .node(node("Reshape", &["z", "s"], &["y"]))
        .node(node("Softmax", &["y"], &["p"]))
        .output("p");
    compared(&one_row);
    let squeezed = Builder::scores(1)
        .ints("s", &[-1])
        .node(node("Reshape", &["z", "s"], &["v"]))
        .node(node("Sigmoid", &["v"], &["p"]))
        .output("p");
    let fitted = compared(&squeezed);
    assert_eq!(fitted.classes, Some(["0", "1"].map(str::to_owned).to_vec()));
}

#[test]
fn linear_maps_one_after_the_other_are_one() {
    let graph = Builder::new(2)
        .floats("m", &[2], &[0.5, -1.0])
        .node(node("Sub", &["m", "x"], &["a"]))
        .floats("W", &[2, 3], &[1.0, 2.0, 3.0, -1.0, 0.5, 0.25])
        .node(node("MatMul", &["a", "W"], &["b"]))
        .floats("d", &[1, 3], &[2.0, 4.0, 8.0])
        .node(node("Div", &["b", "d"], &["c"]))
        .floats("V", &[2, 3], &[1.0, 0.0, -2.0, 0.5, 1.0, 3.0])
        .floats("k", &[2], &[0.1, 0.2])
        .node(
            node("Gemm", &["c", "V", "k"], &["y"])
                .int("transB", 1)
                .float("alpha", 0.5)
                .float("beta", 2.0),
        )
        .output("y");
    let fitted = compared(&graph);
    assert_eq!((fitted.coef.len(), fitted.task), (2, None));
}

#[test]
fn two_heads_are_two_targets_always_in_the_same_order() {
    let graph = Builder::two_heads();
    let fitted = compared(&graph);
    assert_eq!(
        fitted.labels.as_deref(),
        Some(&["price".to_owned(), "rent".to_owned()][..])
    );
    assert_eq!(fitted.coef, [[1.0, 2.0], [-5.0, 0.5]]);
    assert_eq!(fitted.task, Some(Task::Regression));
    // The order of hash maps varies from run to run.
    for _ in 0..50 {
        assert_eq!(read(&graph.bytes()).unwrap(), fitted);
    }
}

#[test]
fn columns_of_several_heads_are_called_after_them() {
    let graph = Builder::scores(3)
        .floats("V", &[2, 1], &[3.0, 1.0])
        .node(node("MatMul", &["x", "V"], &["rent"]))
        .output("z")
        .output("rent");
    let fitted = compared(&graph);
    let names = ["z_0", "z_1", "z_2", "rent"].map(str::to_owned);
    assert_eq!((fitted.labels.as_deref(), fitted.task), (Some(&names[..]), None));
    let error = settle(fitted, None, None).unwrap_err().to_string();
    assert!(
        error.contains(r#"4 scores ("z_0", "z_1", "z_2", "rent")"#),
        "{error}"
    );
}

#[test]
fn a_graph_that_takes_too_many_rows_at_once_is_not_run() {
    let graph = |rows| {
        let graph = Builder::scores(3).of_rows(rows);
        graph.node(node("Softmax", &["z"], &["p"])).output("p")
    };
    compared(&graph(1_000));
    let graph = Graph::decode(&graph(1 << 40).bytes(), Path::new("")).unwrap();
    let fitted = graph.fitted().unwrap();
    let why = compare(&graph, &fitted, &chosen(&fitted).stated(), None)
        .unwrap()
        .unwrap_err();
    assert!(
        why.to_string().contains("rows at once, which are too many"),
        "{why}"
    );
}

#[test]
fn outputs_that_are_not_of_the_same_scores_are_named() {
    let softmax = |input: &str, output: &str| node("Softmax", &[input], &[output]);
    let other = || {
        Builder::scores(3)
            .floats("V", &[2, 3], &[3.0, 1.0, 2.0, 0.5, 1.5, -1.0])
            .node(node("MatMul", &["x", "V"], &["u"]))
    };
    let two_softmaxes = other()
        .node(softmax("z", "p"))
        .node(softmax("u", "q"))
        .output("p")
        .output("q");
    let label_of_others = other()
        .node(softmax("z", "p"))
        .node(node("ArgMax", &["u"], &["q"]).int("axis", 1))
        .output("p")
        .output("q");
    for graph in [two_softmaxes, label_of_others] {
        let error = read(&graph.bytes()).unwrap_err().to_string();
        assert!(
            error.contains("\"q\"") && error.contains("xport one of them"),
            "{error}"
        );
    }
    // Raw scores with their probabilities and labels are one model, in any order.
    let all = |order: [&str; 3]| {
        let graph = Builder::scores(3)
            .node(softmax("z", "p"))
            .node(node("ArgMax", &["z"], &["l"]).int("axis", 1));
        order.into_iter().fold(graph, Builder::output)
    };
    for order in [["z", "p", "l"], ["l", "p", "z"], ["p", "l", "z"]] {
        let fitted = compared(&all(order));
        assert_eq!(
            (fitted.task, fitted.link),
            (Some(Task::Classification), Link::Softmax)
        );
    }
    let missing = Builder::scores(3).output("nowhere");
    assert!(
        read(&missing.bytes())
            .unwrap_err()
            .to_string()
            .contains("\"nowhere\"")
    );
}

#[test]
fn batch_normalisation_is_folded_in() {
    let graph = |gain: &[f32], training: i64| {
        Builder::new(2)
            .floats("gain", &[gain.len() as i64], gain)
            .floats("bias", &[2], &[0.5, -1.0])
            .floats("mean", &[2], &[1.0, 2.0])
            .floats("variance", &[2], &[4.0, 0.25])
            .floats("W", &[2, 1], &[3.0, -1.0])
            .node(
                node(
                    "BatchNormalization",
                    &["x", "gain", "bias", "mean", "variance"],
                    &["n"],
                )
                .float("epsilon", 0.5)
                .int("training_mode", training),
            )
            .node(node("MatMul", &["n", "W"], &["y"]))
            .output("y")
    };
    let fitted = compared(&graph(&[2.0, 0.5], 0));
    assert!((fitted.coef[0][0] - 6.0 / 4.5f64.sqrt()).abs() < 1e-12);
    for (graph, words) in [
        (graph(&[2.0], 0), "of 2 columns"),
        (graph(&[2.0, 0.5], 1), "training mode"),
    ] {
        let error = read(&graph.bytes()).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn classifiers_say_what_their_operators_mean() {
    let classifier = |rows: usize, classes: &[i64], transform: &str| {
        let coefficients: Vec<f32> = (0..2 * rows)
            .map(|index| [1.0, -0.5, 0.25, 2.0, -1.0, 0.75][index])
            .collect();
        Builder::new(2)
            .node(
                node("LinearClassifier", &["x"], &["l", "p"])
                    .learning()
                    .floats("coefficients", &coefficients)
                    .floats("intercepts", &vec![0.1; rows])
                    .ints("classlabels_ints", classes)
                    .text("post_transform", transform),
            )
            .output("l")
            .output("p")
    };
    let binary = compared(&classifier(1, &[5, 7], "LOGISTIC"));
    assert_eq!(
        (binary.classes, binary.link),
        (Some(["5", "7"].map(str::to_owned).to_vec()), Link::Sigmoid)
    );
    let two = compared(&classifier(2, &[0, 1], "SOFTMAX"));
    assert_eq!(
        (two.labels.map(|labels| labels.len()), two.link),
        (Some(2), Link::Softmax)
    );
    assert_eq!(compared(&classifier(3, &[0, 1, 2], "NONE")).link, Link::Identity);
    for (graph, words) in [
        (
            classifier(1, &[0, 1], "SOFTMAX"),
            "one row of coefficients for two classes",
        ),
        (
            classifier(1, &[0, 1], "NONE"),
            "one row of coefficients for two classes",
        ),
        (classifier(1, &[0], "LOGISTIC"), "names of 1 classes"),
        (classifier(2, &[0, 1, 2], "SOFTMAX"), "names of 3 classes"),
        (classifier(3, &[0, 1, 2], "PROBIT"), "PROBIT"),
        (classifier(3, &[0, 1, 2], "SOFTMAX_ZERO"), "SOFTMAX_ZERO"),
        (classifier(3, &[0, 1, 2], "LOGISTIC"), "don't add up to one"),
    ] {
        let error = read(&graph.bytes()).unwrap_err().to_string();
        assert!(error.contains(words), "{words}: {error}");
    }
}

#[test]
fn a_model_that_is_not_its_file_is_found() {
    let bytes = Builder::scores(3)
        .node(node("Softmax", &["z"], &["p"]))
        .output("p")
        .bytes();
    let graph = Graph::decode(&bytes, Path::new("")).unwrap();
    let fitted = graph.fitted().unwrap();
    let mut swapped = fitted.clone();
    swapped.coef.swap(0, 1);
    let mut moved = fitted.clone();
    moved.intercept[2] += 0.05;
    let mut linked = fitted.clone();
    linked.link = Link::OneVsRest;
    for wrong in [swapped, moved, linked] {
        let error = compare(&graph, &fitted, &chosen(&wrong).stated(), None)
            .unwrap_err()
            .to_string();
        assert!(error.contains("The first is row"), "{error}");
    }
    // A graph that can't be run is reported, not skipped.
    let other = Builder::scores(3)
        .node(node("Cosh", &["z"], &["p"]))
        .output("p")
        .bytes();
    let other = Graph::decode(&other, Path::new("")).unwrap();
    let why = compare(&other, &fitted, &chosen(&fitted).stated(), None)
        .unwrap()
        .unwrap_err()
        .to_string();
    assert!(why.contains("Cosh"), "{why}");
}

#[test]
fn ranges_of_scalers_hold_what_they_were_fitted_on() {
    let scaled = |operators: [(&str, f32); 2]| {
        let (mut graph, mut before) = (Builder::new(1), "x".to_owned());
        for (index, (operator, value)) in operators.into_iter().enumerate() {
            let (constant, after) = (format!("c{index}"), format!("x{index}"));
            graph = graph.floats(&constant, &[1], &[value]).node(node(
                operator,
                &[&before, &constant],
                &[&after],
            ));
            before = after;
        }
        let graph = graph
            .floats("W", &[1, 1], &[1.0])
            .node(node("MatMul", &[&before, "W"], &["y"]))
            .output("y");
        read(&graph.bytes()).unwrap().ranges
    };
    // Data from 1990 to 2020 mapped to -1 to 1, in single precision: the range has both ends, and
    // little more.
    let (scale, offset) = (2.0 / 30.0, -1.0 - 1990.0 * 2.0 / 30.0);
    let range = scaled([("Mul", scale), ("Add", offset)]).unwrap()[0];
    assert!(
        range.0 <= 1990.0 && range.0 > 1989.9 && range.1 >= 2020.0 && range.1 < 2020.1,
        "{range:?}"
    );
    // The same data mapped to 0 to 1.
    let (scale, offset) = (1.0 / 30.0, -1990.0 / 30.0);
    let range = scaled([("Mul", scale), ("Add", offset)]).unwrap()[0];
    assert!(range.0 <= 1990.0 && range.1 >= 2020.0, "{range:?}");
    let range = scaled([("Sub", 10.0), ("Div", 2.0)]).unwrap()[0];
    assert!(
        (range.0, range.1) == (range.0.min(0.0), range.1.max(20.0)),
        "{range:?}"
    );
    assert_eq!(
        scaled([("Sub", 10.0), ("Div", 1.0)]),
        None,
        "no deviation is known"
    );
}
