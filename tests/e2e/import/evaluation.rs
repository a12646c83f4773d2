//! `blindscore eval` on rows with known answers.

use super::import;
use anyhow::{Context, Result, ensure};
use blindscore_tests::blindscore;
use csv::{Reader, StringRecord, Writer};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};
use tempfile::TempDir;

/// Every how many rows the right answer is another than the original's.
const WRONG: usize = 5;

fn pipeline(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/pipelines")
        .join(name)
}

fn records(path: &Path) -> Result<Vec<StringRecord>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_path(path)?;
    Ok(reader.records().collect::<Result<_, _>>()?)
}

/// Imports a pipeline, and writes its rows with their right answers, which `right` makes of the
/// original's, and with the original's own. Returns the number of rows.
fn prepare(name: &str, home: &Path, right: impl Fn(usize, &str) -> Vec<String>) -> Result<usize> {
    let folder = pipeline(name);
    let train = folder.join("train.csv");
    let train = train.to_str().context("a path in UTF-8")?;
    let output = import(&folder.join("model.onnx"), name, home, &["--calibrate", train]);
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let rows = records(&folder.join("rows.csv"))?;
    let mut expected = Reader::from_path(folder.join("expected.csv"))?;
    let mut table = Writer::from_path(home.join("test.csv"))?;
    let cells = |row: &StringRecord| row.iter().map(str::to_owned).collect::<Vec<_>>();
    for (place, answer) in expected.records().enumerate() {
        let answer = answer?;
        let original: Vec<String> = answer[0]
            .trim_matches(['[', ']'])
            .split(", ")
            .map(str::to_owned)
            .collect();
        if place == 0 {
            let named = |what: &str| {
                (0..original.len())
                    .map(|k| format!("{what}{k}"))
                    .collect::<Vec<_>>()
            };
            table.write_record([named("right"), cells(&rows[0]), named("original")].concat())?;
        }
        table.write_record([right(place, &answer[0]), cells(&rows[place + 1]), original].concat())?;
    }
    table.flush()?;
    Ok(rows.len() - 1)
}

fn eval(name: &str, home: &Path, more: &[&str]) -> Output {
    blindscore()
        .current_dir(home)
        .args(["eval", "--models-dir", ".", "--model", name])
        .args(more)
        .output()
        .expect("the program runs")
}

fn report(name: &str, home: &Path, more: &[&str]) -> Result<Value> {
    let output = eval(name, home, &[&["--json", "--csv", "test.csv"], more].concat());
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}

#[test]
fn eval_tells_how_right_encrypted_answers_are() -> Result<()> {
    let home = TempDir::new()?;
    let home = home.path();
    let rows = prepare("mixed-onehot-logistic", home, |place, answer| {
        let other = if answer == "1" { "0.0" } else { "1.0" };
        vec![if place % WRONG == 0 { other } else { answer }.to_owned()]
    })?;
    let columns = ["--label", "right0", "--original", "original0"];
    let found = report(
        "mixed-onehot-logistic",
        home,
        &[&columns[..], &["--plot", "plot.svg"]].concat(),
    )?;
    let right = 1.0 - rows.div_ceil(WRONG) as f64 / rows as f64;
    for of in ["plain", "encrypted", "original"] {
        let accuracy = found[of]["accuracy"].as_f64().context("an accuracy")?;
        ensure!((accuracy - right).abs() < 1e-9, "{of}: {accuracy}, not {right}");
    }
    ensure!(
        found["encrypted_against_original"]["decided_alike"] == rows && found["refused"] == 0,
        "{found}"
    );
    // Labels that are wrong by design are surprising: the loss is larger than that of a coin.
    let losses = ["plain", "encrypted"].map(|of| found[of]["log_loss"].as_f64().unwrap_or_default());
    ensure!(
        losses[0] > 0.1 && (losses[0] - losses[1]).abs() < 1e-3,
        "{losses:?}"
    );
    let picture = fs::read_to_string(home.join("plot.svg"))?;
    ensure!(picture.starts_with("<svg") && picture.matches("<circle").count() == 10);

    // Cells that are no answer are named, as are columns that are missing, and files that would be
    // lost.
    for (more, words) in [
        (
            &["--label", "income", "--ignore", "right0,original0"][..],
            "no column is called \"income\"",
        ),
        (
            &["--label", "job", "--ignore", "right0,original0"],
            "no column is called \"job\"",
        ),
        (&["--label", "right0,original0"], "take 1"),
        (&["--label", "right0"], "no features named \"original0\""),
        (
            &["--label", "right0", "--ignore", "original0", "--plot", "test.csv"],
            "is the input",
        ),
    ] {
        let output = eval(
            "mixed-onehot-logistic",
            home,
            &[&["--csv", "test.csv"], more].concat(),
        );
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            !output.status.success() && said.contains(words),
            "{more:?}: {said}"
        );
    }
    let damaged = fs::read_to_string(home.join("test.csv"))?.replacen("\n0", "\nperhaps", 1);
    fs::write(home.join("test.csv"), damaged)?;
    let output = eval(
        "mixed-onehot-logistic",
        home,
        &[&["--csv", "test.csv"], &columns[..]].concat(),
    );
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        said.contains("\"perhaps") && said.contains("which is no class of the model: 0, 1"),
        "{said}"
    );
    let output = eval("mixed-onehot-logistic", home, &["--ignore", "a"]);
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        !output.status.success() && said.contains("--csv, which is missing"),
        "{said}"
    );
    Ok(())
}

#[test]
fn eval_measures_values_and_sets_of_labels() -> Result<()> {
    let home = TempDir::new()?;
    let home = home.path();
    let split = |answer: &str| -> Vec<String> {
        answer
            .trim_matches(['[', ']'])
            .split(", ")
            .map(str::to_owned)
            .collect()
    };
    prepare("two-targets", home, |_, answer| split(answer))?;
    let columns = ["--label", "right0,right1", "--original", "original0,original1"];
    let found = report("two-targets", home, &columns)?;
    let r2 = found["encrypted"]["r2"].as_f64().context("r2")?;
    ensure!(
        found["original"]["r2"] == 1.0 && r2 > 0.999 && r2 < 1.0,
        "{found}"
    );
    // Values in the wrong order are another model's.
    let swapped = report(
        "two-targets",
        home,
        &["--label", "right1,right0", "--ignore", "original0,original1"],
    )?;
    ensure!(
        swapped["encrypted"]["r2"].as_f64().context("r2")? < 0.9,
        "{swapped}"
    );

    let rows = prepare("multilabel-ovr", home, |place, answer| {
        let mut right = split(answer);
        if place % WRONG == 0 {
            right[0] = if right[0] == "1" { "0" } else { "1" }.to_owned();
        }
        right
    })?;
    let columns = [
        "--label",
        "right0,right1,right2",
        "--original",
        "original0,original1,original2",
    ];
    let found = report("multilabel-ovr", home, &columns)?;
    let wrong = rows.div_ceil(WRONG) as f64 / rows as f64;
    for (measure, right) in [("accuracy", 1.0 - wrong), ("label_accuracy", 1.0 - wrong / 3.0)] {
        let share = found["encrypted"][measure].as_f64().context("a share")?;
        ensure!((share - right).abs() < 1e-9, "{measure}: {share}, not {right}");
    }
    Ok(())
}
