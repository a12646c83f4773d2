//! A projection network for a user's own table: `import`, `serve` and the client, compared with the
//! reference arithmetic of `models/net/evaluate.py`.

use anyhow::{Context, Result, ensure};
use blindscore_client::{ClientError, ClientKey};
use blindscore_engine::model::Model;
use blindscore_protocol::{
    descriptor::{self, Answer, Link},
    wire::QueryId,
};
use blindscore_tests::{Server, blindscore};
use serde::Deserialize;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};
use tempfile::TempDir;

/// Number of rows to score through the server.
const SCORED: usize = 20;

/// Results of plain numpy for test rows.
#[derive(Deserialize)]
struct Expected {
    rows: Vec<Vec<f64>>,
    scores: Vec<Vec<f64>>,
    decisions: Vec<usize>,
    classes: Vec<usize>,
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/models/digits-net")
        .join(name)
}

fn expected() -> Result<Expected> {
    Ok(serde_json::from_slice(&fs::read(fixture("expected.json"))?)?)
}

fn import(file: &Path, models: &Path, more: &[&str]) -> Output {
    blindscore()
        .arg("import")
        .arg(file)
        .args(["--name", "digits-net", "--json", "--models-dir"])
        .arg(models)
        .args(more)
        .output()
        .expect("the server binary runs")
}

/// Writes the expected rows to a CSV file, with one more that is out of range.
fn write_table(path: &Path, expected: &Expected) -> Result<()> {
    let features = expected.rows[0].len();
    let header: Vec<String> = (0..features).map(|index| format!("x{index}")).collect();
    let mut text = header.join(",") + "\n";
    for row in expected.rows.iter().chain([&vec![1e3; features]]) {
        let cells: Vec<String> = row.iter().map(f64::to_string).collect();
        text += &(cells.join(",") + "\n");
    }
    Ok(fs::write(path, text)?)
}

#[test]
fn an_imported_network_decides_as_its_reference_does() -> Result<()> {
    let models = TempDir::new()?;
    let expected = expected()?;
    let table = models.path().join("test.csv");
    write_table(&table, &expected)?;
    let table = table.to_str().context("a path in UTF-8")?;
    let more = [
        "--calibrate",
        table,
        "--check-rows",
        "4",
        "--title",
        "Small digits",
    ];
    let output = import(&fixture("model.safetensors"), models.path(), &more);
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report: Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!((&report["rows"], &report["refused"]), (&4.into(), &1.into()));
    let (largest, stated) = (report["largest_error"].as_f64(), report["stated_error"].as_f64());
    assert!(largest > Some(0.0) && largest < stated, "{largest:?}, {stated:?}");

    // In the clear, the served model computes the same as numpy.
    let plain = Model::load(&models.path().join("digits-net@1.safetensors"))?;
    for (row, expected) in expected.rows.iter().zip(&expected.scores) {
        for (score, expected) in plain.plain_scores(row).iter().zip(expected) {
            assert!((score - expected).abs() < 1e-6, "{score}, not {expected}");
        }
    }

    let folder = models.path().to_str().context("a path in UTF-8")?;
    let server = Server::start_with(&["--models-dir", folder]);
    let api = server.api();
    let model: descriptor::CheckedDescriptor = api.get("/v1/models/digits-net").expect_status(200).json();
    assert_eq!(
        (&*model.title, model.id.to_string()),
        ("Small digits", report["id"].as_str().context("an id")?.to_owned())
    );
    let (key, public) = ClientKey::generate(model.parameters())?;
    let (blob, id) = public.to_blob();
    api.put_key(id, &blob).expect_status(201);
    let id = id.to_string();
    let headers = [
        ("content-type", "application/octet-stream"),
        ("blindscore-key", &*id),
    ];
    let (mut right, mut close) = (0, 0);
    for (index, row) in expected.rows.iter().enumerate().take(SCORED) {
        let query = key.encrypt(&model, row)?;
        let reply = api
            .send("POST", "/v1/models/digits-net/score", &headers, &query)
            .expect_status(200);
        let scores = key.decrypt(&model, QueryId::of(&query)?, &reply.body)?;
        let errors: Vec<f64> = plain
            .deviations(row)
            .iter()
            .map(|deviation| 7.0 * deviation)
            .collect();
        let wanted = &expected.scores[index];
        for ((score, wanted), error) in scores.scores.iter().zip(wanted).zip(&errors) {
            assert!(
                (score - wanted).abs() < *error,
                "row {index}: {score}, in the clear {wanted}, largest error {error}"
            );
        }
        let decision = expected.decisions[index];
        let decided = scores.index().expect("a decision");
        if decided != decision {
            let margin = wanted[decision] - wanted[decided];
            let error = errors[decision] + errors[decided];
            assert!(
                margin < error,
                "row {index}: {decided} instead of {decision}, by {margin}, largest error {error}"
            );
            close += 1;
        }
        right += usize::from(decided == expected.classes[index]);
    }
    println!("{SCORED} rows, {right} right, {close} decided otherwise than in the clear");
    assert!(right * 10 >= SCORED * 9, "{right} of {SCORED} rows are right");
    let error = key
        .encrypt(&model, &vec![1e3; 64])
        .expect_err("no pixel is as dark");
    assert!(matches!(error, ClientError::FeatureRange { .. }), "{error}");
    Ok(())
}

#[test]
fn only_the_label_of_a_network_is_sent() -> Result<()> {
    let models = TempDir::new()?;
    let expected = expected()?;
    let table = models.path().join("test.csv");
    write_table(&table, &expected)?;
    let table = table.to_str().context("a path in UTF-8")?;
    let output = import(
        &fixture("model.safetensors"),
        models.path(),
        &["--calibrate", table, "--check-rows", "4", "--answer", "label"],
    );
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report: Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(
        (
            &report["answer"],
            &report["largest_error"],
            &report["same_decision"]
        ),
        (&"label".into(), &Value::Null, &4.into()),
        "{report}"
    );
    let close = report["close"].as_f64().context("a margin")?;

    let folder = models.path().to_str().context("a path in UTF-8")?;
    let server = Server::start_with(&["--models-dir", folder]);
    let api = server.api();
    let model = api.model("digits-net");
    assert_eq!((model.answer, model.link), (Answer::Label, Link::Identity));
    assert_eq!(
        (model.parameters().name(), model.score_error),
        ("network-n704-k4-switch-v3", 0.0)
    );
    let (key, public) = ClientKey::generate(model.parameters())?;
    let (blob, id) = public.to_blob();
    api.put_key(id, &blob).expect_status(201);
    let id = id.to_string();
    let headers = [
        ("content-type", "application/octet-stream"),
        ("blindscore-key", &*id),
    ];
    let mut told = 0;
    for (row, wanted) in expected.rows.iter().zip(&expected.scores).take(SCORED) {
        let query = key.encrypt(&model, row)?;
        let reply = api
            .send("POST", "/v1/models/digits-net/score", &headers, &query)
            .expect_status(200);
        let answer = key.decrypt(&model, QueryId::of(&query)?, &reply.body)?;
        let mut sorted = wanted.clone();
        sorted.sort_by(|one, other| other.total_cmp(one));
        if sorted[0] - sorted[1] > close {
            let decision = wanted.iter().position(|score| *score == sorted[0]);
            assert_eq!(answer.index(), decision, "{wanted:?}");
            let signs = (0..wanted.len()).map(|class| if Some(class) == decision { 1.0 } else { -1.0 });
            assert!(answer.scores.iter().copied().eq(signs), "{:?}", answer.scores);
            told += 1;
        }
        assert!(answer.probabilities.is_empty());
    }
    assert!(told * 2 > SCORED, "only {told} rows aren't close");

    let without = import(
        &fixture("model.safetensors"),
        models.path(),
        &["--answer", "label"],
    );
    let words = String::from_utf8_lossy(&without.stderr).into_owned();
    assert!(
        !without.status.success() && words.contains("give some with --calibrate"),
        "{words}"
    );
    Ok(())
}

#[test]
fn what_makes_no_sense_for_a_network_is_refused() -> Result<()> {
    let models = TempDir::new()?;
    let model = fixture("model.safetensors");
    let table = models.path().join("far.csv");
    fs::write(&table, ["1000"; 64].join(",") + "\n")?;
    let table = table.to_str().context("a path in UTF-8")?;
    let cases: [(&[&str], &str); 6] = [
        (
            &["--input-min", "0", "--input-max", "1"],
            "--input-min is not for a projection network",
        ),
        (&["--widen", "0.5"], "--widen is not for a projection network"),
        (
            &["--max-error", "0.1"],
            "--max-error is not for a projection network",
        ),
        (&["--check-rows", "0"], "--check-rows"),
        (&["--labels", "a,b"], "2 labels for 10 outputs"),
        (&["--calibrate", table], "out of range"),
    ];
    for (more, words) in cases {
        let output = import(&model, models.path(), more);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && message.contains(words),
            "{words}: {message}"
        );
    }
    // The last bytes of the file are missing.
    let bytes = fs::read(&model)?;
    let cut = models.path().join("cut.safetensors");
    fs::write(&cut, &bytes[..bytes.len() - 1])?;
    assert!(!import(&cut, models.path(), &[]).status.success());
    assert_eq!(fs::read_dir(models.path())?.count(), 2, "nothing was written");
    Ok(())
}
