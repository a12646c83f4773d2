//! Models of the libraries themselves, and files that are changed or made up.

use super::*;
use crate::onnx::Graph;
use blindscore_client::{Cell, Encoder};
use blindscore_protocol::{
    descriptor::{Link, Task},
    encoding::Step,
};
use std::path::Path;

/// A model, rows for it and the library's raw scores.
struct Known {
    name: &'static str,
    model: &'static [u8],
    rows: &'static str,
    scores: &'static str,
}

macro_rules! known {
    ($folder:literal, $model:literal) => {
        Known {
            name: $folder,
            model: include_bytes!(concat!("../../../tests/fixtures/trees/", $folder, "/", $model)),
            rows: include_str!(concat!("../../../tests/fixtures/trees/", $folder, "/rows.csv")),
            scores: include_str!(concat!("../../../tests/fixtures/trees/", $folder, "/scores.csv")),
        }
    };
}

const KNOWN: [Known; 5] = [
    known!("xgboost-missing", "model.ubj"),
    known!("xgboost-categories", "model.json"),
    known!("lightgbm-categories", "model.txt"),
    known!("catboost-classes", "model.json"),
    known!("sklearn-forest", "model.onnx"),
];

fn ensemble(known: &Known) -> Result<Ensemble, ImportError> {
    match read(known.model) {
        Some(ensemble) => ensemble,
        None => Ok(Graph::decode(known.model, Path::new(""))?.ensemble()?.unwrap()),
    }
}

/// Returns the numbers that the trees of a record decide about.
fn numbers(ensemble: &Ensemble, names: &[&str], cells: &[&str]) -> Vec<f64> {
    let cell = |place: usize, name: &Option<String>| {
        let named = |name: &String| names.iter().position(|other| other == name).unwrap();
        cells[name.as_ref().map_or(place, named)]
    };
    match &ensemble.encoding {
        None => {
            let columns = ensemble.columns.iter().enumerate();
            let cells = columns.map(|(place, column)| cell(place, &column.name));
            cells.map(|cell| cell.parse().unwrap_or(f64::NAN)).collect()
        }
        Some(encoding) => {
            let columns = encoding.columns.iter().enumerate();
            let cells: Vec<&str> = columns.map(|(place, column)| cell(place, &column.name)).collect();
            let record = cells
                .iter()
                .zip(&encoding.columns)
                .map(|(cell, column)| match *cell {
                    // Trees know what to do with a missing number, and encoders don't.
                    "" if !column.kind.is_text() => Cell::Number(0.0),
                    "" => Cell::Missing,
                    text if column.kind.is_text() => Cell::Text(text.into()),
                    number => Cell::Number(number.parse().unwrap()),
                });
            let record: Vec<Cell<'_>> = record.collect();
            let mut numbers = Encoder::of(encoding).encode(&record).unwrap().to_vec();
            for (number, slot) in numbers.iter_mut().zip(encoding.features.iter()) {
                if cells.get(slot) == Some(&"") {
                    *number = f64::NAN;
                }
            }
            numbers
        }
    }
}

#[test]
fn scores_are_those_of_the_libraries() {
    for known in &KNOWN {
        let ensemble = ensemble(known).unwrap();
        let mut rows = known.rows.lines();
        let names: Vec<&str> = rows.next().unwrap().split(',').collect();
        let mut compared = 0;
        for (row, expected) in rows.zip(known.scores.lines()) {
            let cells: Vec<&str> = row.split(',').collect();
            let scores = ensemble.raw_scores(&numbers(&ensemble, &names, &cells));
            let expected: Vec<f64> = expected.split(',').map(|score| score.parse().unwrap()).collect();
            assert_eq!(scores.len(), expected.len(), "{}", known.name);
            for (score, expected) in scores.iter().zip(expected) {
                // XGBoost adds up in single precision.
                let near = (score - expected).abs() <= 2e-6 * expected.abs().max(1.0);
                assert!(near, "{}: {row}: {score}, not {expected}", known.name);
            }
            compared += 1;
        }
        assert_eq!(compared, 60, "{}", known.name);
    }
}

#[test]
fn files_say_what_their_scores_are() {
    let texts = |texts: &[&str]| Some(texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>());
    for (known, link, labels, classes) in [
        (&KNOWN[0], Link::Sigmoid, None, texts(&["0", "1"])),
        (&KNOWN[1], Link::Softmax, texts(&["0", "1", "2"]), None),
        (&KNOWN[2], Link::Sigmoid, None, texts(&["0", "1"])),
        (&KNOWN[3], Link::Softmax, texts(&["high", "low", "mid"]), None),
        (&KNOWN[4], Link::Probability, texts(&["high", "low", "mid"]), None),
    ] {
        let ensemble = ensemble(known).unwrap();
        assert_eq!(
            (ensemble.link, ensemble.task, ensemble.labels, ensemble.classes),
            (link, Task::Classification, labels, classes),
            "{}",
            known.name
        );
    }
}

/// Another threshold or leaf is fine. A panic is not.
#[test]
fn changed_and_cut_files_are_ensembles_or_errors() {
    for known in &KNOWN {
        // Each byte of a small file, or every few of a longer one.
        for place in (0..known.model.len()).step_by(1 + known.model.len() / 600) {
            for change in [0x01, 0x80] {
                let mut model = known.model.to_vec();
                model[place] ^= change;
                let read = match read(&model) {
                    Some(read) => read.ok(),
                    None => Graph::decode(&model, Path::new(""))
                        .and_then(|graph| graph.ensemble())
                        .ok()
                        .flatten(),
                };
                if let Some(ensemble) = read {
                    let row = vec![f64::NAN; ensemble.columns.len()];
                    assert_eq!(ensemble.raw_scores(&row).len(), ensemble.base.len());
                }
            }
            // What LightGBM writes after its trees says nothing about scores of numbers.
            let cut = read(&known.model[..place]);
            let is_read = matches!(cut, Some(Ok(_)));
            assert!(
                !is_read || known.name == "lightgbm-categories",
                "{} {place}",
                known.name
            );
        }
    }
}

/// Returns the words of the refusal of a file.
fn refusal(content: &str) -> String {
    match read(content.as_bytes()) {
        None => "no trees".into(),
        Some(Ok(_)) => "read".into(),
        Some(Err(error)) => error.to_string(),
    }
}

fn text(known: &Known) -> &'static str {
    std::str::from_utf8(known.model).unwrap()
}

#[test]
fn what_is_not_served_is_refused_by_its_name() {
    let (xgboost, lightgbm, catboost) = (text(&KNOWN[1]), text(&KNOWN[2]), text(&KNOWN[3]));
    for (content, from, to, words) in [
        (
            xgboost,
            "\"multi:softprob\"",
            "\"rank:ndcg\"",
            "its objective is \"rank:ndcg\"",
        ),
        (
            xgboost,
            "\"num_class\":\"3\"",
            "\"num_class\":\"4\"",
            "base_score is missing or malformed",
        ),
        (
            xgboost,
            "\"size_leaf_vector\":\"1\"",
            "\"size_leaf_vector\":\"3\"",
            "multi-output trees",
        ),
        (
            xgboost,
            "\"attributes\":{",
            "\"attributes\":{\"best_iteration\":\"9\"",
            "best_iteration is missing",
        ),
        (
            lightgbm,
            "objective=binary sigmoid:1.5",
            "objective=lambdarank",
            "its objective is \"lambdarank\"",
        ),
        (
            lightgbm,
            "objective=binary sigmoid:1.5",
            "objective=multiclassova",
            "don't add up to one",
        ),
        (
            lightgbm,
            "objective=binary sigmoid:1.5",
            "objective=regression sqrt",
            "square roots",
        ),
        (
            lightgbm,
            "objective=binary sigmoid:1.5",
            "objective=custom",
            "your own",
        ),
        (lightgbm, "is_linear=0", "is_linear=1", "linear_tree"),
        (
            lightgbm,
            "num_tree_per_iteration=1",
            "num_tree_per_iteration=3",
            "num_tree_per_iteration is missing",
        ),
        (
            catboost,
            "\"type\":\"MultiClass\"",
            "\"type\":\"MultiClassOneVsAll\"",
            "don't add up to one",
        ),
        (
            catboost,
            "\"type\":\"MultiClass\"",
            "\"type\":\"QueryRMSE\"",
            "its loss_function is \"QueryRMSE\"",
        ),
        (
            catboost,
            "\"split_type\":\"FloatFeature\"",
            "\"split_type\":\"OnlineCtr\"",
            "categorical features",
        ),
        (
            catboost,
            "\"AsTrue\"",
            "\"AsMaybe\"",
            "nan_value_treatment is missing",
        ),
    ] {
        assert!(content.contains(from), "{from}");
        let words_of = refusal(&content.replace(from, to));
        assert!(words_of.contains(words), "{words}: {words_of}");
    }
    for (content, words) in [
        ("CBM1", "format=\"json\""),
        ("binf gbtree", "binary format before version 2"),
        ("{\"gbtree_model_param\"", "it is not JSON"),
        ("{\"ebm\":{}}", "no trees"),
    ] {
        let words_of = refusal(content);
        assert!(words_of.contains(words), "{words}: {words_of}");
    }
}

#[test]
fn early_stopping_keeps_the_best_iterations() {
    let early = text(&KNOWN[1]).replace("\"attributes\":{", "\"attributes\":{\"best_iteration\":\"1\"");
    let early = read(early.as_bytes()).unwrap().unwrap();
    let all = ensemble(&KNOWN[1]).unwrap();
    assert_eq!(early.trees, all.trees[..6]);
}

#[test]
fn a_threshold_without_end_is_one_that_an_encoding_may_have() {
    let known = text(&KNOWN[2]);
    for endless in ["1.7976931348623157e+308", "1e+300"] {
        let endless = known.replacen("45.500000000000007", endless, 1);
        assert_ne!(endless, known);
        let endless = read(endless.as_bytes()).unwrap().unwrap();
        let steps = Bits::of(&endless, &[]).unwrap().encoding.steps;
        assert!(steps.iter().all(|step| step.problem().is_none()), "{steps:?}");
        let edges = steps.iter().filter_map(|step| match step {
            Step::Thermometer { edges, .. } => Some(edges),
            _ => None,
        });
        assert!(edges.flatten().any(|edge| *edge == 1e300));
    }
}

#[test]
fn trees_that_lead_nowhere_are_refused() {
    let good = ensemble(&KNOWN[0]).unwrap();
    let broken = |change: &dyn Fn(&mut Vec<TreeNode>)| {
        let mut ensemble = good.clone();
        change(&mut ensemble.trees[0].nodes);
        ensemble.check().unwrap_err().to_string()
    };
    let branch = |to: usize| {
        move |nodes: &mut Vec<TreeNode>| {
            if let TreeNode::Split { branches, .. } = &mut nodes[0] {
                branches[1] = to;
            }
        }
    };
    good.check().unwrap();
    for to in [0, 1, 10_000] {
        assert!(broken(&branch(to)).contains("a branch leads back"));
    }
    assert!(broken(&|nodes| nodes.push(TreeNode::Leaf(vec![0.0]))).contains("reached by no branch"));
    assert!(broken(&|nodes| nodes.clear()).contains("one has no node"));
    assert!(broken(&|nodes| *nodes = vec![TreeNode::Leaf(vec![f64::NAN])]).contains("not finite"));
    assert!(broken(&|nodes| *nodes = vec![TreeNode::Leaf(vec![0.0; 2])]).contains("another number"));
    let with = |change: &dyn Fn(&mut TreeNode)| broken(&|nodes| change(&mut nodes[0]));
    let wrong = |wrong: Test| {
        with(&|node| {
            if let TreeNode::Split { test, .. } = node {
                *test = wrong.clone();
            }
        })
    };
    for test in [
        Test::Among(vec![0]),
        Test::AtMost {
            threshold: f64::INFINITY,
            missing: false,
        },
    ] {
        assert!(wrong(test).contains("doesn't fit its column"));
    }
}
