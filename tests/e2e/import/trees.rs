//! Trees from their libraries' files to decrypted scores: each is imported with both structures,
//! served, asked with `blindscore predict`, and compared with the library's own raw scores.

use super::{
    faults::{imported, text},
    fixture, import,
};
use anyhow::{Context, Result, ensure};
use blindscore_tests::{Api, Program, Server};
use csv::{Reader, StringRecord};
use std::{
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// Rows of each table that are asked.
const ASKED: usize = 12;
/// Stated errors are one standard deviation: seven of them never happen.
const DEVIATIONS: f64 = 7.0;

fn folders() -> Result<Vec<PathBuf>> {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/trees");
    let folders: std::io::Result<Vec<PathBuf>> = fs::read_dir(all)?.map(|entry| Ok(entry?.path())).collect();
    let mut folders: Vec<PathBuf> = folders?.into_iter().filter(|path| path.is_dir()).collect();
    folders.sort();
    Ok(folders)
}

fn model_file(folder: &Path) -> Result<PathBuf> {
    let files = ["json", "ubj", "txt", "onnx"].map(|extension| folder.join(format!("model.{extension}")));
    files
        .into_iter()
        .find(|file| file.exists())
        .context("a model's file")
}

fn numbers(record: &StringRecord) -> Result<Vec<f64>> {
    record.iter().map(|cell| Ok(cell.parse()?)).collect()
}

/// Returns the probabilities that raw scores stand for: of one score, that of the second class.
fn probabilities(raw: &[f64], link: &str) -> Vec<f64> {
    match (raw, link) {
        ([score], _) => {
            let second = 1.0 / (1.0 + (-score).exp());
            vec![1.0 - second, second]
        }
        (raw, "softmax") => {
            let sum: f64 = raw.iter().map(|score| score.exp()).sum();
            raw.iter().map(|score| score.exp() / sum).collect()
        }
        (raw, _) => raw.to_vec(),
    }
}

#[test]
fn trees_answer_as_their_libraries() -> Result<()> {
    let models = TempDir::new()?;
    let folders = folders()?;
    ensure!(folders.len() == 5, "{} models", folders.len());
    let mut names = Vec::new();
    for folder in &folders {
        let rows = folder.join("rows.csv");
        let rows = rows.to_str().context("a path in UTF-8")?;
        for structure in ["private", "public"] {
            let name = format!(
                "{}-{structure}",
                folder.file_name().unwrap_or_default().to_string_lossy()
            );
            let more = ["--calibrate", rows, "--structure", structure, "--check-rows", "3"];
            let output = import(&model_file(folder)?, &name, models.path(), &more);
            let words = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "{name}: {words}");
            let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
            ensure!(report["structure"] == structure, "{name}: {report}");
            names.push((folder, name));
        }
    }
    let server = Server::start_with(&["--models-dir", models.path().to_str().context("a path")?]);
    let (program, api) = (Program::new(server.url()), Api::new(server.url()));
    for (folder, name) in names {
        let mut table = Reader::from_path(folder.join("rows.csv"))?;
        let header = table.headers()?.clone();
        let all: Vec<StringRecord> = table.records().collect::<Result<_, _>>()?;
        let step = all.len() / ASKED;
        let mut asked = csv::Writer::from_path(program.home().join("rows.csv"))?;
        asked.write_record(&header)?;
        for row in all.iter().step_by(step) {
            asked.write_record(row)?;
        }
        asked.flush()?;
        let key = format!("{name}.key");
        let model = ["--model", &name, "--key", &key];
        program.run(&[&["keygen"], &model[..]].concat()).expect_success();
        let csv = ["--csv", "rows.csv", "--out", "scores.csv"];
        program
            .run(&[&["predict"], &model[..], &csv].concat())
            .expect_success();
        let mut answers = Reader::from_path(program.home().join("scores.csv"))?;
        let places: Vec<usize> = {
            let header = answers.headers()?;
            (0..header.len())
                .filter(|&place| header[place].starts_with("proba_"))
                .collect()
        };
        let descriptor = api.model(&name);
        let link = descriptor.link.name();
        let allowed = DEVIATIONS * descriptor.score_error + 1e-6;
        let mut scores = csv::ReaderBuilder::new()
            .has_headers(false)
            .from_path(folder.join("scores.csv"))?;
        let scores: Vec<StringRecord> = scores.records().collect::<Result<_, _>>()?;
        let answers: Vec<StringRecord> = answers.records().collect::<Result<_, _>>()?;
        let theirs: Vec<&StringRecord> = scores.iter().step_by(step).collect();
        ensure!(answers.len() == theirs.len(), "{name}: {} answers", answers.len());
        for (place, (answer, raw)) in answers.iter().zip(theirs).enumerate() {
            let theirs = probabilities(&numbers(raw)?, link);
            ensure!(places.len() == theirs.len(), "{name}, row {place}: {answer:?}");
            for (column, theirs) in places.iter().zip(theirs) {
                let ours: f64 = answer[*column].parse()?;
                // No link is steeper than the identity.
                ensure!(
                    (ours - theirs).abs() <= allowed,
                    "{name}, row {place}: {ours}, not {theirs}"
                );
            }
        }
    }
    Ok(())
}

#[test]
fn trees_that_take_too_long_are_refused_with_both_ways() -> Result<()> {
    let models = TempDir::new()?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/trees/xgboost-missing");
    let refused = |more: &[&str]| {
        let output = import(&folder.join("model.ubj"), "slow", models.path(), more);
        assert!(!output.status.success(), "{more:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let words = refused(&["--max-seconds", "0.000001"]);
    for part in ["--max-seconds allows", "blind rotations", "--structure public"] {
        ensure!(words.contains(part), "{part}: {words}");
    }
    let words = refused(&["--grid", "quantiles:4"]);
    ensure!(words.contains("the rows of --calibrate"), "{words}");
    let words = refused(&["--widen", "0.5"]);
    ensure!(words.contains("--widen is not for trees"), "{words}");
    let words = refused(&["--structure", "public", "--grid", "used"]);
    ensure!(words.contains("are for --structure private"), "{words}");
    ensure!(
        fs::read_dir(models.path())?.next().is_none(),
        "something was written"
    );
    Ok(())
}

/// Three trees of XGBoost on two columns.
#[test]
fn quantiles_of_the_calibration_rows_hide_which_thresholds_are_used() -> Result<()> {
    let (folder, models) = (fixture("trees"), TempDir::new()?);
    let train = folder.join("train.csv");
    let import = |name: &str, grid: &str| {
        let more = ["--calibrate", text(&train)?, "--check-rows", "2", "--grid", grid];
        imported(&folder.join("model.json"), name, models.path(), &more)
    };
    let (used, hidden) = (import("used", "used")?, import("hidden", "quantiles:3")?);
    assert_eq!(used["grid"], used["grid_used"]);
    assert_eq!(hidden["grid_used"], used["grid_used"]);
    // A quantile may be a threshold already.
    assert!(hidden["grid"].as_u64() > used["grid"].as_u64(), "{hidden}");
    assert_eq!(hidden["compared_rows"], 60);
    Ok(())
}
