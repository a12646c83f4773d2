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
    }
    let server = Server::start_with(&["--models-dir", text(models.path())?]);
    let (program, api) = (Program::new(server.url()), server.api());
    for (name, from, _) in &cases {
        let model = api.model(name);
        assert_eq!((model.answer, model.link), (Answer::Label, Link::Identity));
        assert_eq!((model.score_error, model.fine), (0.0, None));
        let (csv, expected) = questions(from, rows.path(), name)?;
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
        let mut answered = 0;
        for (record, expected) in reader.records().zip(&expected) {
            let record = record?;
            if !record[1].is_empty() {
                answered += 1;
                assert_eq!(&record[1], expected, "{name}, {record:?}");
            }
        }
        ensure!(
            answered + 1 >= expected.len() && answered > 10,
            "{name}: {answered} answers"
        );
    }
    Ok(())
}

/// Returns a file of up to 20 rows whose classes aren't close, and their classes by scikit-learn.
fn questions(from: &Path, into: &Path, name: &str) -> Result<(String, Vec<String>)> {
    let (mut lines, mut classes) = (Vec::new(), Vec::new());
    let mut add = |line: String, class: String, mut shares: Vec<f64>| {
        shares.sort_by(|a, b| b.total_cmp(a));
        if classes.len() < 20 && shares[0] - shares[1] > 0.1 {
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
fn what_has_no_label_of_its_own_is_refused() -> Result<()> {
    for (from, file, words) in [
        (
            "models/diabetes",
            "model.onnx",
            "its scores are values, not of classes",
        ),
        (
            "networks/regressor",
            "model.onnx",
            "its scores are values, not of classes",
        ),
        (
            "pipelines/multilabel-ovr",
            "model.onnx",
            "labels that each hold or not",
        ),
        ("models/trees", "model.json", "the file holds trees"),
        (
            "models/digits-net",
            "model.safetensors",
            "the file holds a projection network",
        ),
    ] {
        let from = folder(from);
        let train = from.join("train.csv");
        let mut options = vec!["--answer", "label"];
        if train.exists() {
            options.extend(["--calibrate", text(&train)?]);
        }
        refused(&from.join(file), &options, &["--answer label", words])?;
    }
    let iris = fixture("iris").join("model.onnx");
    refused(
        &iris,
        &["--answer", "label"],
        &["--answer label", "give some with --calibrate"],
    )?;
    Ok(())
}
