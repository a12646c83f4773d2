//! Networks with hidden layers from ONNX to decrypted scores: each is imported, served, asked with
//! `blindscore predict`, and compared with scikit-learn's own answers.

use super::{
    Client,
    faults::{imported, refused, text},
    wait_for_metric,
};
use anyhow::{Context, Result, bail, ensure};
use blindscore_tests::{Api, Program, Server, blindscore};
use csv::{Reader, StringRecord};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};
use tempfile::TempDir;

/// Largest accepted difference of a probability, more than seven standard deviations.
const PROBABILITY: f64 = 0.06;
/// Largest accepted difference of a value, as a share of the range of all values.
const VALUE: f64 = 0.02;
/// Difference of the two largest probabilities from which on a decision is clear.
const CLEAR: f64 = 0.1;
/// Bytes before the header of a model file.
const LENGTH_BYTES: usize = 8;
/// Refused files that a running server gets too; it looks for new ones once in a while.
const SERVER_REFUSES: usize = 5;

fn network(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/networks")
        .join(name)
}

/// Imports a network with the rows that it was trained with, and returns the report.
fn imported_network(name: &str, models: &Path, more: &[&str]) -> Result<Value> {
    let (file, train) = (network(name).join("model.onnx"), network(name).join("train.csv"));
    let rows = ["--calibrate", text(&train)?, "--check-rows", "3"];
    imported(&file, name, models, &[&rows, more].concat())
}

/// Reads a table: its header, and its rows.
fn table(path: &Path) -> Result<(StringRecord, Vec<StringRecord>)> {
    let mut reader = Reader::from_path(path).with_context(|| path.display().to_string())?;
    let header = reader.headers()?.clone();
    let rows: Result<_, _> = reader.records().collect();
    Ok((header, rows?))
}

/// Returns what a table holds in a column: labels or numbers.
fn column(path: &Path, name: &str) -> Result<Vec<String>> {
    let (header, rows) = table(path)?;
    let place = header.iter().position(|found| found == name);
    let place = place.with_context(|| format!("{name} is not in {header:?}"))?;
    Ok(rows.iter().map(|row| row[place].to_owned()).collect())
}

fn numbers(path: &Path, name: &str) -> Result<Vec<f64>> {
    let cells = column(path, name)?;
    cells.iter().map(|cell| Ok(cell.parse()?)).collect()
}

/// Asks the rows of a network with the program, and returns the file of answers.
fn answers(program: &Program, name: &str) -> Result<PathBuf> {
    let (rows, key, out) = (
        network(name).join("rows.csv"),
        format!("{name}.key"),
        format!("{name}.csv"),
    );
    let model = ["--model", name, "--key", &key];
    program.run(&[&["keygen"], &model[..]].concat()).expect_success();
    let csv = ["--csv", text(&rows)?, "--out", &out];
    program
        .run(&[&["predict"], &model[..], &csv].concat())
        .expect_success();
    Ok(program.home().join(out))
}

#[test]
fn networks_answer_as_scikit_learn_does() -> Result<()> {
    let models = TempDir::new()?;
    for (name, layers) in [("classifier", vec![6, 4]), ("regressor", vec![4])] {
        let report = imported_network(name, models.path(), &[])?;
        assert_eq!(report["layers"], Value::from(layers), "{report}");
        assert_eq!(report["compared_rows"], 300, "{report}");
    }
    let server = Server::start_with(&["--models-dir", text(models.path())?]);
    let (program, api) = (Program::new(server.url()), Api::new(server.url()));

    let (ours, theirs) = (
        answers(&program, "classifier")?,
        network("classifier").join("expected.csv"),
    );
    let labels = ["high", "low", "mid"];
    let read = |path: &Path| -> Result<Vec<Vec<f64>>> {
        labels
            .iter()
            .map(|label| numbers(path, &format!("proba_{label}")))
            .collect()
    };
    let (our_shares, their_shares) = (read(&ours)?, read(&theirs)?);
    let (our_labels, their_labels) = (column(&ours, "label")?, column(&theirs, "predicted")?);
    ensure!(our_labels.len() == 20, "{} answers", our_labels.len());
    let (mut clear, mut worst) = (0, 0.0f64);
    for row in 0..our_labels.len() {
        let mut sorted: Vec<f64> = their_shares.iter().map(|shares| shares[row]).collect();
        sorted.sort_by(|a, b| b.total_cmp(a));
        if sorted[0] - sorted[1] > CLEAR {
            clear += 1;
            assert_eq!(our_labels[row], their_labels[row], "row {row}");
        }
        for (ours, theirs) in our_shares.iter().zip(&their_shares) {
            worst = worst.max((ours[row] - theirs[row]).abs());
        }
    }
    println!("probabilities: largest difference {worst:.1e}");
    ensure!(worst <= PROBABILITY, "a probability is off by {worst}");
    ensure!(clear >= 15, "{clear} rows are clear");

    let (ours, theirs) = (
        answers(&program, "regressor")?,
        network("regressor").join("expected.csv"),
    );
    let label = &api.model("regressor").outputs[0].label;
    let (ours, theirs) = (
        numbers(&ours, &format!("predicted_{label}"))?,
        numbers(&theirs, "predicted")?,
    );
    ensure!(ours.len() == 20, "{} answers", ours.len());
    let most = theirs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let least = theirs.iter().copied().fold(f64::INFINITY, f64::min);
    let worst = ours
        .iter()
        .zip(&theirs)
        .map(|(ours, theirs)| (ours - theirs).abs() / (most - least))
        .fold(0.0, f64::max);
    println!("values: largest difference {worst:.1e} of their range");
    ensure!(worst <= VALUE, "a value is off by {worst} of the range");
    Ok(())
}

#[test]
fn the_callers_own_predictions_agree_or_refuse_a_network() -> Result<()> {
    let folder = TempDir::new()?;
    for name in ["classifier", "regressor"] {
        let (file, rows, expected) = (
            network(name).join("model.onnx"),
            network(name).join("rows.csv"),
            network(name).join("expected.csv"),
        );
        let rows = text(&rows)?;
        let import = ["--calibrate", rows, "--check-rows", "1", "--expect"];
        let report = imported(
            &file,
            name,
            folder.path(),
            &[&import[..], &[text(&expected)?]].concat(),
        )?;
        assert_eq!(
            (&report["expected_rows"], &report["rows"]),
            (&20.into(), &1.into())
        );

        // The last row's prediction becomes the first one's.
        let mut lines: Vec<String> = fs::read_to_string(&expected)?
            .lines()
            .map(str::to_owned)
            .collect();
        lines[20] = lines[1].clone();
        let wrong = folder.path().join(format!("{name}.csv"));
        fs::write(&wrong, lines.join("\n"))?;
        refused(&file, &[&import[..], &[text(&wrong)?]].concat(), &["row 20"])?;
    }
    Ok(())
}

#[test]
fn networks_that_cannot_be_served_are_refused_with_advice() -> Result<()> {
    let (file, train) = (
        network("classifier").join("model.onnx"),
        network("classifier").join("train.csv"),
    );
    refused(
        &file,
        &[],
        &["a network with hidden layers", "--calibrate", "trained with"],
    )?;
    let cases: [(&[&str], &[&str]); 4] = [
        (
            &["--max-seconds", "0.001"],
            &[
                "--max-seconds allows 0.001 s",
                "blind rotations",
                "smaller network",
            ],
        ),
        (
            &["--structure", "public"],
            &["--structure is not for networks with hidden layers", "trees"],
        ),
        (
            &["--max-error", "1e-6"],
            &["out of reach", "blind rotations", "of its range"],
        ),
        (&["--check-rows", "0"], &["--check-rows is 0"]),
    ];
    for (more, words) in cases {
        let options = [&["--calibrate", text(&train)?], more].concat();
        refused(&file, &options, words)?;
    }
    Ok(())
}

#[test]
fn a_networks_layers_and_rotations_are_shown() -> Result<()> {
    let models = TempDir::new()?;
    let report = imported_network("classifier", models.path(), &[])?;
    assert_eq!(report["layers"], Value::from(vec![6, 4]));
    assert_eq!(report["parameter_set"], "network-n832-k2-v3");
    let rotations = report["rotations"].as_u64().context("rotations")?;
    // Ten units, each at least once, and the linear part.
    ensure!(rotations >= 10, "{rotations} rotations");
    let stated = report["stated_error"].as_f64().context("a stated error")?;
    let largest = report["largest_error"].as_f64().context("an error")?;
    ensure!(largest <= stated, "{largest} is more than {stated}");
    let file = models.path().join("classifier@1.safetensors");
    let output = blindscore().arg("inspect").arg(&file).output()?;
    let shown = String::from_utf8(output.stdout)?;
    let value = |name: &str| {
        let line = shown.lines().find_map(|line| line.trim().strip_prefix(name));
        line.map(str::trim)
            .with_context(|| format!("{name} is not in {shown}"))
    };
    assert_eq!(value("layers of units")?, "2");
    assert_eq!(value("blind rotations")?, rotations.to_string());
    let units: u64 = value("units")?.parse()?;
    ensure!((10..=rotations).contains(&units), "{units} units");
    Ok(())
}

/// Returns copies of a model file that differ in one byte: digits and letters of each tensor's
/// type, shape and place, and the last byte of each tensor.
fn mutated(file: &[u8]) -> Result<Vec<(String, Vec<u8>)>> {
    let length = u64::from_le_bytes(file[..LENGTH_BYTES].try_into()?) as usize;
    let header = std::str::from_utf8(&file[LENGTH_BYTES..][..length])?;
    let described: serde_json::Map<String, Value> = serde_json::from_str(header)?;
    let mut copies = Vec::new();
    for (name, tensor) in described {
        let Some(offsets) = tensor.get("data_offsets") else {
            continue;
        };
        let start = header.find(&format!("\"{name}\":{{")).context("a tensor")? + name.len() + 3;
        let end = start + header[start..].find('}').context("its end")?;
        let mut change = |place: usize, byte: u8| {
            let mut copy = file.to_vec();
            copy[place] = byte;
            copies.push((format!("{name}, byte {place} is {:?}", char::from(byte)), copy));
        };
        for place in start..end {
            match header.as_bytes()[place] {
                b'9' => change(LENGTH_BYTES + place, b'1'),
                digit @ b'0'..=b'8' => change(LENGTH_BYTES + place, digit + 1),
                b'F' => change(LENGTH_BYTES + place, b'I'),
                b'I' => change(LENGTH_BYTES + place, b'U'),
                _ => (),
            }
        }
        let last = offsets[1].as_u64().context("an end")? as usize + LENGTH_BYTES + length - 1;
        change(last, file[last] ^ 0x80);
        change(last, file[last] ^ 1);
    }
    Ok(copies)
}

#[test]
fn changed_model_files_are_refused_or_served_and_stop_no_server() -> Result<()> {
    let (models, made) = (TempDir::new()?, TempDir::new()?);
    imported_network("classifier", made.path(), &[])?;
    let name = |version: usize| format!("classifier@{version}.safetensors");
    let file = fs::read(made.path().join(name(1)))?;
    fs::write(models.path().join(name(1)), &file)?;
    let server = Server::start_with(&["--models-dir", text(models.path())?]);
    let api = server.api();
    let mut client = Client::new(&api, "classifier")?;

    let copies = mutated(&file)?;
    ensure!(copies.len() >= 50, "{} copies", copies.len());
    let (mut served, mut wrong) = (Vec::new(), Vec::new());
    for (index, (what, copy)) in copies.iter().enumerate() {
        let (version, made) = (index + 2, made.path().join("changed.safetensors"));
        fs::write(&made, copy)?;
        let output = blindscore().arg("inspect").arg(&made).output()?;
        let message = String::from_utf8_lossy(&output.stderr);
        match output.status.code() {
            Some(0) => served.push((version, what)),
            Some(1) if message.starts_with("error: ") => wrong.push((version, copy)),
            code => bail!("{what}: {code:?}: {message}"),
        }
    }
    println!("{} are served, {} refused", served.len(), wrong.len());
    ensure!(
        wrong.len() >= 20,
        "of {}, {} are refused",
        copies.len(),
        wrong.len()
    );
    ensure!(!served.is_empty(), "some weights may be others");
    // One at a time: each keeps the server from taking over the folder.
    for (errors, (version, copy)) in wrong.iter().step_by(wrong.len() / SERVER_REFUSES).enumerate() {
        fs::write(models.path().join(name(*version)), copy)?;
        wait_for_metric(&api, &format!("blindscore_model_errors_total {}", errors + 1));
        fs::remove_file(models.path().join(name(*version)))?;
    }
    for (version, _) in &served {
        fs::write(models.path().join(name(*version)), &copies[*version - 2].1)?;
    }
    let last = served.last().map_or(1, |(version, _)| *version);
    while api.get(&format!("/v1/models/classifier@{last}")).status != 200 {
        thread::sleep(Duration::from_millis(20));
    }
    let row: Vec<f64> = table(&network("classifier").join("rows.csv"))?.1[0]
        .iter()
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    for (version, what) in served {
        client.model = api.model(&format!("classifier@{version}"));
        // The answer of another model, but an answer.
        let scores = client.predict(&row);
        ensure!(scores.is_ok(), "{what}: {:?}", scores.err());
    }
    client.model = api.model("classifier@1");
    assert_eq!(client.predict(&row)?.label(), Some("low"));
    Ok(())
}
