//! Whole pipelines from records to answers: each is imported, served, asked with `blindscore
//! predict`, and compared with the answers of the library that it was fitted with.

use super::import;
use anyhow::{Context, Result, ensure};
use blindscore_tests::{Program, Server};
use csv::{Reader, StringRecord};
use std::{
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// Largest accepted difference of a probability, and of a value as a share of the values' spread.
const ALLOWED: f64 = 1e-3;

/// A table with named columns.
struct Table {
    header: Vec<String>,
    rows: Vec<StringRecord>,
}

impl Table {
    fn read(path: &Path) -> Result<Self> {
        let mut reader = Reader::from_path(path)?;
        Ok(Self {
            header: reader.headers()?.iter().map(str::to_owned).collect(),
            rows: reader.records().collect::<Result<_, _>>()?,
        })
    }

    /// Returns the columns whose names start with `prefix`.
    fn columns(&self, prefix: &str) -> Vec<usize> {
        (0..self.header.len())
            .filter(|&place| self.header[place].starts_with(prefix))
            .collect()
    }
}

fn folders() -> Result<Vec<PathBuf>> {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/pipelines");
    let mut folders: Vec<PathBuf> = fs::read_dir(all)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    folders.sort();
    Ok(folders)
}

fn name(folder: &Path) -> String {
    folder
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn numbers(record: &StringRecord, columns: &[usize]) -> Result<Vec<f64>> {
    columns
        .iter()
        .map(|&column| Ok(record[column].trim().parse()?))
        .collect()
}

/// Compares the program's answers with those of the original.
fn compare(answers: &Table, expected: &Table) -> Result<()> {
    ensure!(
        answers.rows.len() == expected.rows.len(),
        "{} answers",
        answers.rows.len()
    );
    let shares = expected.columns("proba_");
    let labels = answers.columns("label");
    let predicted = answers.columns("predicted");
    let right = expected.columns("predicted")[0];
    let values: Vec<Vec<f64>> = expected
        .rows
        .iter()
        .filter_map(|row| serde_json::from_str(&format!("[{}]", row[right].trim_matches(['[', ']']))).ok())
        .collect();
    let all = || values.iter().flatten().copied();
    let spread = all().fold(f64::MIN, f64::max) - all().fold(f64::MAX, f64::min);
    for (place, (answer, row)) in answers.rows.iter().zip(&expected.rows).enumerate() {
        ensure!(answers.columns("error").is_empty(), "row {place}: {answer:?}");
        let theirs = numbers(row, &shares)?;
        if !shares.is_empty() {
            let ours = numbers(answer, &answers.columns("proba_"))?;
            ensure!(ours.len() == theirs.len(), "row {place}: {ours:?} for {theirs:?}");
            let off = ours
                .iter()
                .zip(&theirs)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f64::max);
            ensure!(off <= ALLOWED, "row {place}: a probability is off by {off}");
        }
        let mut sorted = theirs.clone();
        sorted.sort_by(f64::total_cmp);
        let is_close =
            sorted.len() > 1 && sorted[sorted.len() - 1] - sorted[sorted.len() - 2] < 2.0 * ALLOWED;
        if let [label] = *labels {
            ensure!(
                is_close || answer[label] == row[right],
                "row {place}: {answer:?} for {row:?}"
            );
        } else {
            let ours = numbers(answer, &predicted)?;
            ensure!(ours.len() == values[place].len(), "row {place}: {ours:?}");
            let off = ours
                .iter()
                .zip(&values[place])
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f64::max);
            ensure!(
                off <= ALLOWED * spread.max(1.0),
                "row {place}: a value is off by {off}"
            );
        }
    }
    Ok(())
}

#[test]
fn pipelines_answer_as_what_they_were_fitted_with() -> Result<()> {
    let models = TempDir::new()?;
    let folders = folders()?;
    ensure!(folders.len() >= 22, "{} pipelines", folders.len());
    for folder in &folders {
        let onnx = folder.join("model.onnx");
        let file = if onnx.exists() {
            onnx
        } else {
            folder.join("model.json")
        };
        let train = folder.join("train.csv");
        let train = train.to_str().context("a path in UTF-8")?;
        let output = import(&file, &name(folder), models.path(), &["--calibrate", train]);
        let words = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {words}", name(folder));
    }
    let server = Server::start_with(&["--models-dir", models.path().to_str().context("a path")?]);
    let program = Program::new(server.url());
    for folder in &folders {
        let name = name(folder);
        let rows = folder.join("rows.csv");
        let key = format!("{name}.key");
        let model = ["--model", &name, "--key", &key];
        program.run(&[&["keygen"], &model[..]].concat()).expect_success();
        let csv = ["--csv", rows.to_str().context("a path")?, "--out", "scores.csv"];
        program
            .run(&[&["predict"], &model[..], &csv].concat())
            .expect_success();
        let answers = Table::read(&program.home().join("scores.csv"))?;
        let expected = Table::read(&folder.join("expected.csv"))?;
        compare(&answers, &expected).with_context(|| name.clone())?;
    }
    records_that_have_no_features(&program)?;
    types_of_records(&program, server.url())
}

/// Rows that the original refuses are refused with the column's name, and the others are scored.
fn records_that_have_no_features(program: &Program) -> Result<()> {
    let ask = |model: &str, rows: &str| -> Result<(Option<i32>, Table)> {
        fs::write(program.home().join("rows.csv"), rows)?;
        let key = format!("{model}.key");
        let ended = program.run(&[
            "predict",
            "--model",
            model,
            "--key",
            &key,
            "--csv",
            "rows.csv",
            "--out",
            "scores.csv",
        ]);
        Ok((ended.code, Table::read(&program.home().join("scores.csv"))?))
    };
    // Columns in another order, an unknown category, which the original ignores, and a missing
    // number, which it doesn't fill in.
    let rows =
        "job,visits,income,debt ratio,age\nclerk,1,3000,0.5,40\npilot,1,3000,0.5,40\nclerk,,3000,0.5,40\n";
    let (code, answers) = ask("mixed-onehot-logistic", rows)?;
    ensure!(code == Some(3), "{code:?}");
    let error = answers.columns("error")[0];
    ensure!(answers.rows[0][error].is_empty() && answers.rows[1][error].is_empty());
    ensure!(
        answers.rows[2][error] == *"column \"visits\": is empty",
        "{:?}",
        answers.rows[2]
    );
    // Missing numbers that the pipeline fills in, however they are written.
    let rows = "age,income,debt ratio,visits\n,3000,NaN,2\n40,,0.5,NA\n";
    let (code, answers) = ask("imputer-scaler-logistic", rows)?;
    ensure!(code == Some(0) && answers.rows.len() == 2, "{code:?}");
    // A fraction in a column of whole numbers.
    let (code, answers) = ask("int64-frame-ridge", "visits,age\n1.5,40\n1,40\n")?;
    ensure!(code == Some(3), "{code:?}");
    let error = answers.columns("error")[0];
    ensure!(answers.rows[0][error].contains("\"visits\": 1.5 is not a whole number"));
    // Texts with words that the model doesn't know.
    let (code, _) = ask("tfidf-text-logistic", "text\ngreat\n\"nothing of it, known\"\n")?;
    ensure!(code == Some(0), "{code:?}");
    Ok(())
}

fn types_of_records(program: &Program, url: &str) -> Result<()> {
    let ended = program
        .run(&["types", url, "mixed-onehot-logistic"])
        .expect_success();
    for line in [
        "export type MixedOnehotLogisticRecord = {",
        "  \"debt ratio\": number;",
        "  \"job\"?: \"Bäcker\" | \"clerk\" | \"n/a\" | \"nurse\" | \"self-employed\" | (string & {}) | null;",
    ] {
        ensure!(ended.stdout.contains(line), "{line}\n{}", ended.stdout);
    }
    Ok(())
}
