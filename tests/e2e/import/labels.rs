//! Models of which only the label leaves the server: imported, served and asked like all others.

use super::{Expected, faults::imported, faults::refused, faults::text, fixture};
use anyhow::{Context, Result, ensure};
use blindscore_protocol::descriptor::{Answer, Link};
use blindscore_tests::{Program, Server};
use serde_json::Value;
use std::{fs, path::Path};
use tempfile::TempDir;

/// Folder of a network or a pipeline.
fn folder(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(path)
}

/// Imports a file of a folder, with its training rows.
fn label_only(folder: &Path, name: &str, models: &Path) -> Result<Value> {
    let train = folder.join("train.csv");
    let options = [
        "--calibrate",
        text(&train)?,
        "--answer",
        "label",
        "--check-rows",
        "25",
    ];
    imported(&folder.join("model.onnx"), name, models, &options)
}

#[test]
fn only_the_label_is_sent_and_it_is_scikit_learns() -> Result<()> {
    let (models, rows) = (TempDir::new()?, TempDir::new()?);
    // Three classes, two, and a network with hidden layers.
    let cases = [
        ("iris", fixture("iris"), 0),
        ("breast-cancer", fixture("breast-cancer"), 0),
        ("classifier", folder("networks/classifier"), 2),
    ];
    let mut close = Vec::new();
    for (name, from, layers) in &cases {
        let report = label_only(from, name, models.path())?;
        assert_eq!(report["answer"], "label", "{report}");
        assert_eq!(
            report["layers"].as_array().map(Vec::len),
            Some(*layers),
            "{report}"
        );
        let (same, of) = (&report["same_decision"], &report["rows"]);
        ensure!(
            same.as_u64() >= of.as_u64().map(|of| of - 1),
            "{same} of {of} rows"
        );
        close.push(report["close"].as_f64().context("close")?);
    }
    let server = Server::start_with(&["--models-dir", text(models.path())?]);
    let (program, api) = (Program::new(server.url()), server.api());
    for ((name, from, _), close) in cases.iter().zip(close) {
        let model = api.model(name);
        assert_eq!((model.answer, model.link), (Answer::Label, Link::Identity));
        assert_eq!((model.score_error, model.fine), (0.0, None));
        let (csv, expected) = questions(from, rows.path(), name, close)?;
        let (key, out) = (format!("{name}.key"), format!("{name}.csv"));
        let of_model = ["--model", name, "--key", &key];
        program
            .run(&[&["keygen"], &of_model[..]].concat())
            .expect_success();
        let files = ["--csv", &csv, "--out", &out];
        program
            .run(&[&["predict"], &of_model[..], &files].concat())
            .expect_success();
        let mut reader = csv::Reader::from_path(program.home().join(out))?;
        // No scores and no probabilities.
        let header = reader.headers()?.clone();
        assert_eq!(
            header.iter().filter(|name| *name != "error").collect::<Vec<_>>(),
            ["row", "label"]
        );
        ensure!(expected.len() > 10, "{name}: {} rows", expected.len());
        let found: Vec<String> = reader
            .records()
            .map(|record| Ok(record?[1].to_owned()))
            .collect::<Result<_>>()?;
        assert_eq!(found, expected, "{name}");
    }
    Ok(())
}

/// Returns a file of up to 20 rows, and their classes by scikit-learn. The two largest scores of
/// each differ by more than `close`.
fn questions(from: &Path, into: &Path, name: &str, close: f64) -> Result<(String, Vec<String>)> {
    let (mut lines, mut classes) = (Vec::new(), Vec::new());
    let mut add = |line: String, class: String, mut shares: Vec<f64>| {
        shares.sort_by(|a, b| b.total_cmp(a));
        // Of probabilities, scores are logarithms.
        if classes.len() < 20 && (shares[0] / shares[1]).ln() > close {
            lines.push(line);
            classes.push(class);
        }
    };
    if from.join("expected.json").exists() {
        let expected: Expected = serde_json::from_str(&fs::read_to_string(from.join("expected.json"))?)?;
        let shares = expected.probabilities.context("probabilities")?;
        for ((row, class), shares) in expected.rows.iter().zip(&expected.predict).zip(shares) {
            let cells: Vec<String> = row.iter().map(f64::to_string).collect();
            let class = class.as_str().map_or_else(|| class.to_string(), str::to_owned);
            add(cells.join(","), class, shares);
        }
    } else {
        let rows = fs::read_to_string(from.join("rows.csv"))?;
        let (header, rows) = rows.split_once('\n').context("rows")?;
        let mut expected = csv::Reader::from_path(from.join("expected.csv"))?;
        for (row, expected) in rows.lines().zip(expected.records()) {
            let expected = expected?;
            let shares: Vec<f64> = expected
                .iter()
                .skip(1)
                .map(str::parse)
                .collect::<Result<_, _>>()?;
            add(row.to_owned(), expected[0].to_owned(), shares);
        }
        lines.insert(0, header.to_owned());
    }
    let file = into.join(format!("{name}.csv"));
    fs::write(&file, lines.join("\n"))?;
    Ok((text(&file)?.to_owned(), classes))
}

#[test]
fn only_the_label_of_trees_is_sent_and_it_is_the_librarys() -> Result<()> {
    let models = TempDir::new()?;
    let cases = [("xgboost-missing", "model.ubj"), ("sklearn-forest", "model.onnx")];
    let mut close = Vec::new();
    for (name, file) in cases {
        let from = folder("trees").join(name);
        let rows = from.join("rows.csv");
        let options = [
            "--calibrate",
            text(&rows)?,
            "--answer",
            "label",
            "--check-rows",
            "20",
        ];
        let report = imported(&from.join(file), name, models.path(), &options)?;
        assert_eq!(
            (&report["answer"], &report["structure"]),
            (&"label".into(), &"private".into()),
            "{report}"
        );
        assert!(report["stated_error"].is_null(), "{report}");
        let (same, of) = (&report["same_decision"], &report["rows"]);
        ensure!(
            same.as_u64() >= of.as_u64().map(|of| of - 1),
            "{same} of {of} rows"
        );
        close.push(report["close"].as_f64().context("close")?);
    }
    let server = Server::start_with(&["--models-dir", text(models.path())?]);
    let (program, api) = (Program::new(server.url()), server.api());
    for ((name, _), close) in cases.iter().zip(close) {
        let model = api.model(name);
        assert_eq!((model.answer, model.link), (Answer::Label, Link::Identity));
        assert_eq!(model.parameter_set, "network-n832-k2-v3");
        let from = folder("trees").join(name);
        let table = fs::read_to_string(from.join("rows.csv"))?;
        let (header, rows) = table.split_once('\n').context("rows")?;
        let scores = fs::read_to_string(from.join("scores.csv"))?;
        // The classes of rows that aren't close, by the library's scores.
        let (mut asked, mut expected) = (vec![header], Vec::new());
        for (row, scores) in rows.lines().zip(scores.lines()).step_by(3) {
            let scores: Vec<f64> = scores.split(',').map(str::parse).collect::<Result<_, _>>()?;
            let (class, margin) = match scores.as_slice() {
                [score] => (usize::from(*score > 0.0), score.abs()),
                scores => {
                    let mut order: Vec<usize> = (0..scores.len()).collect();
                    order.sort_by(|one, other| scores[*other].total_cmp(&scores[*one]));
                    (order[0], scores[order[0]] - scores[order[1]])
                }
            };
            if margin > close && expected.len() < 12 {
                asked.push(row);
                expected.push(class);
            }
        }
        ensure!(expected.len() > 8, "{name}: {} rows", expected.len());
        fs::write(program.home().join("rows.csv"), asked.join("\n"))?;
        let key = format!("{name}.key");
        let of_model = ["--model", name, "--key", &key];
        program
            .run(&[&["keygen"], &of_model[..]].concat())
            .expect_success();
        let files = ["--csv", "rows.csv", "--out", "labels.csv"];
        program
            .run(&[&["predict"], &of_model[..], &files].concat())
            .expect_success();
        let labels = match &model.classes {
            Some(classes) => classes.clone(),
            None => model.outputs.iter().map(|output| output.label.clone()).collect(),
        };
        let mut reader = csv::Reader::from_path(program.home().join("labels.csv"))?;
        let place = reader.headers()?.iter().position(|name| name == "label");
        let place = place.context("a column of labels")?;
        let found: Vec<String> = reader
            .records()
            .map(|record| Ok(record?[place].to_owned()))
            .collect::<Result<_>>()?;
        let expected: Vec<String> = expected.iter().map(|class| labels[*class].clone()).collect();
        assert_eq!(found, expected, "{name}");
    }
    Ok(())
}

#[test]
fn what_has_no_label_of_its_own_is_refused() -> Result<()> {
    for (from, words) in [
        ("models/diabetes", "its scores are values, not of classes"),
        ("networks/regressor", "its scores are values, not of classes"),
        ("pipelines/multilabel-ovr", "labels that each hold or not"),
    ] {
        let from = folder(from);
        let train = from.join("train.csv");
        let mut options = vec!["--answer", "label"];
        if train.exists() {
            options.extend(["--calibrate", text(&train)?]);
        }
        refused(&from.join("model.onnx"), &options, &["--answer label", words])?;
    }
    let iris = fixture("iris").join("model.onnx");
    refused(
        &iris,
        &["--answer", "label"],
        &["--answer label", "give some with --calibrate"],
    )?;
    Ok(())
}
