//! From a fitted model to a decrypted score: `import`, `serve` and the client, compared with
//! scikit-learn.

mod evaluation;
mod faults;
mod hostile;
mod labels;
mod networks;
mod onnx;
mod pipelines;
mod trees;
mod words;

use anyhow::{Context, Result};
use blindscore_client::{ClientError, ClientKey, Scores};
use blindscore_protocol::{descriptor::CheckedDescriptor, problem::ProblemCode, wire::QueryId};
use blindscore_tests::{Api, Server, blindscore};
use serde::Deserialize;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
    thread,
    time::Duration,
};
use tempfile::TempDir;

/// Largest accepted difference of a probability.
const PROBABILITY: f64 = 1e-3;

/// Results of scikit-learn for test rows.
#[derive(Deserialize)]
struct Expected {
    rows: Vec<Vec<f64>>,
    #[serde(default)]
    predict: Vec<Value>,
    probabilities: Option<Vec<Vec<f64>>>,
    values: Option<Vec<Vec<f64>>>,
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/models")
        .join(name)
}

fn import(file: &Path, name: &str, models: &Path, more: &[&str]) -> Output {
    blindscore()
        .arg("import")
        .arg(file)
        .args(["--name", name, "--json", "--models-dir"])
        .arg(models)
        .args(more)
        .output()
        .expect("the program runs")
}

fn import_fixture(name: &str, models: &Path) -> Result<Value> {
    let folder = fixture(name);
    let train = folder.join("train.csv");
    let train = train.to_str().context("a path in UTF-8")?;
    let output = import(&folder.join("model.onnx"), name, models, &["--calibrate", train]);
    anyhow::ensure!(
        output.status.success(),
        "{name}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Client of one model, with its key on the server.
struct Client<'a> {
    api: &'a Api,
    model: CheckedDescriptor,
    key: ClientKey,
}

impl<'a> Client<'a> {
    fn new(api: &'a Api, name: &str) -> Result<Self> {
        let model: CheckedDescriptor = api.get(&format!("/v1/models/{name}")).expect_status(200).json();
        let (key, public) = ClientKey::generate(model.parameters())?;
        let (blob, id) = public.to_blob();
        api.put_key(id, &blob).expect_status(201);
        Ok(Self { api, model, key })
    }

    fn predict(&self, row: &[f64]) -> Result<Scores, ClientError> {
        let query = self.key.encrypt(&self.model, row)?;
        let key = self.key.key_id().to_string();
        let headers = [
            ("content-type", "application/octet-stream"),
            ("blindscore-key", &key),
        ];
        let path = format!("/v1/models/{}/score", self.model.name);
        let reply = self.api.send("POST", &path, &headers, &query).expect_status(200);
        self.key.decrypt(&self.model, QueryId::of(&query)?, &reply.body)
    }
}

/// Checks whether the two best scores are closer than their errors.
fn is_close(scores: &Scores, error: f64) -> bool {
    match scores.scores.as_slice() {
        [score] => score.abs() < error,
        scores => {
            let mut sorted = scores.to_vec();
            sorted.sort_by(|a, b| b.total_cmp(a));
            sorted[0] - sorted[1] < 2.0 * error
        }
    }
}

#[test]
fn fitted_models_decide_as_scikit_learn_does() -> Result<()> {
    let models = TempDir::new()?;
    let names = [
        "iris",
        "iris-rest",
        "iris-torch",
        "wine",
        "breast-cancer",
        "breast-cancer-frame",
        "digits",
        "digits-torch",
        "diabetes",
        "diabetes-double",
        "diabetes-two",
    ];
    let reports: Vec<Value> = names
        .iter()
        .map(|name| import_fixture(name, models.path()))
        .collect::<Result<_>>()?;
    let folder = models.path().to_str().context("a path in UTF-8")?;
    let server = Server::start_with(&["--models-dir", folder]);
    let api = server.api();
    for (name, report) in names.iter().zip(&reports) {
        let stated = report["stated_error"].as_f64().context("a stated error")?;
        let expected: Expected = serde_json::from_slice(&fs::read(fixture(name).join("expected.json"))?)?;
        let client = Client::new(&api, name)?;
        let (mut close, mut refused, mut worst) = (0, 0, 0.0f64);
        for (index, row) in expected.rows.iter().enumerate() {
            let scores = match client.predict(row) {
                Ok(scores) => scores,
                Err(ClientError::FeatureRange { .. } | ClientError::FeatureNorm { .. }) => {
                    refused += 1;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            if let Some(values) = &expected.values {
                for (score, value) in scores.scores.iter().zip(&values[index]) {
                    worst = worst.max((score - value).abs());
                    // ONNX stores these weights in single precision.
                    let single = 1e-5 * value.abs();
                    assert!(
                        (score - value).abs() <= stated + single,
                        "{name}, row {index}: {score}, not {value}"
                    );
                }
                continue;
            }
            let probabilities = expected.probabilities.as_ref().context("probabilities")?;
            assert_eq!(scores.probabilities.len(), probabilities[index].len(), "{name}");
            for (ours, theirs) in scores.probabilities.iter().zip(&probabilities[index]) {
                worst = worst.max((ours - theirs).abs());
                assert!(
                    (ours - theirs).abs() <= PROBABILITY,
                    "{name}, row {index}: {ours}, not {theirs}"
                );
            }
            if is_close(&scores, stated) {
                close += 1;
            } else {
                assert_eq!(
                    Value::from(scores.label()),
                    expected.predict[index],
                    "{name}, row {index}"
                );
            }
        }
        println!(
            "{name}: {} rows, {close} too close to call, {refused} out of range, largest error {worst:.1e}, stated {stated:.1e}",
            expected.rows.len()
        );
        assert!(
            close * 10 <= expected.rows.len(),
            "{name}: {close} rows are too close to call"
        );
        assert!(
            refused * 10 <= expected.rows.len(),
            "{name}: {refused} rows are out of range"
        );
    }
    Ok(())
}

/// Imports iris with another range, which makes it another model.
fn import_wider_iris(models: &Path) {
    let onnx = fixture("iris").join("model.onnx");
    let output = import(&onnx, "iris", models, &["--input-min", "0", "--input-max", "9"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn versions_come_and_go_while_the_server_runs() -> Result<()> {
    let models = TempDir::new()?;
    let folder = models.path().to_str().context("a path in UTF-8")?;
    let expected: Expected = serde_json::from_slice(&fs::read(fixture("iris").join("expected.json"))?)?;
    import_fixture("iris", models.path())?;
    let server = Server::start_with(&["--models-dir", folder]);
    let api = server.api();
    let client = Client::new(&api, "iris")?;
    assert_eq!(client.model.version, Some(1));
    let before = api.get("/v1/models/iris").header("etag").to_owned();
    let row = &expected.rows[0];
    let old = client.key.encrypt(&client.model, row)?;

    // The old version answers while the file is incomplete, and until the complete one has been
    // noticed.
    fs::write(models.path().join("iris@2.safetensors"), b"\x08\0\0\0\0\0\0\0{")?;
    wait_for_metric(&api, "blindscore_model_errors_total 1");
    client.predict(row)?;
    fs::remove_file(models.path().join("iris@2.safetensors"))?;
    import_wider_iris(models.path());
    assert!(models.path().join("iris@2.safetensors").is_file());
    let score = |path: &str| {
        let key = client.key.key_id().to_string();
        let headers = [
            ("content-type", "application/octet-stream"),
            ("blindscore-key", key.as_str()),
        ];
        api.send("POST", path, &headers, &old)
    };
    loop {
        // Each response is the old version's and right, or reports a new version.
        let reply = score("/v1/models/iris/score");
        if reply.status == 410 {
            reply.expect_problem(ProblemCode::ModelChanged, "a query for the version before");
            break;
        }
        let scores = client
            .key
            .decrypt(&client.model, QueryId::of(&old)?, &reply.expect_status(200).body)?;
        assert_eq!(Value::from(scores.label()), expected.predict[0]);
    }
    let reply = api.get("/v1/models/iris").expect_status(200);
    assert_ne!(reply.header("etag"), before);
    let model: CheckedDescriptor = reply.json();
    assert_ne!(model.id, client.model.id);
    assert_eq!((model.version, model.inputs.max), (Some(2), 9.0));

    // The old version has an address of its own for as long as its file exists.
    let pinned: CheckedDescriptor = api.get("/v1/models/iris%401").expect_status(200).json();
    assert_eq!((pinned.name.as_str(), pinned.id), ("iris@1", client.model.id));
    score("/v1/models/iris@1/score").expect_status(200);
    fs::remove_file(models.path().join("iris@1.safetensors"))?;
    while api.get("/v1/models/iris@1").status == 200 {
        thread::sleep(Duration::from_millis(20));
    }
    api.get("/v1/models/iris@1")
        .expect_problem(ProblemCode::ModelRetired, "a version that is gone");
    score("/v1/models/iris@1/score").expect_problem(ProblemCode::ModelRetired, "a query for it");
    api.get("/v1/models/iris@3")
        .expect_problem(ProblemCode::ModelNotFound, "a version yet to come");
    Ok(())
}

fn wait_for_metric(api: &Api, line: &str) {
    loop {
        let metrics = api.get("/metrics").expect_status(200);
        if String::from_utf8_lossy(&metrics.body)
            .lines()
            .any(|found| found == line)
        {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn features_out_of_range_are_named() -> Result<()> {
    let models = TempDir::new()?;
    import_fixture("iris", models.path())?;
    let folder = models.path().to_str().context("a path in UTF-8")?;
    let server = Server::start_with(&["--models-dir", folder]);
    let api = server.api();
    let client = Client::new(&api, "iris")?;
    let error = client
        .predict(&[5.0, 3.0, 100.0, 0.2])
        .expect_err("an iris is not that large");
    assert!(
        error.to_string().starts_with("feature 2 is 100, outside "),
        "{error}"
    );
    Ok(())
}

#[test]
fn what_is_no_linear_model_is_refused_with_the_operators_name() -> Result<()> {
    let models = TempDir::new()?;
    let onnx = fs::read(fixture("iris-torch").join("model.onnx"))?;
    // The same file, with the softmax renamed to an unknown operator of the same length.
    let position = onnx
        .windows(8)
        .rposition(|window| *window == b"\"\x07Softmax"[..8]);
    let position = position.context("the operator's name")?;
    let mut other = onnx.clone();
    other[position + 2..position + 9].copy_from_slice(b"HardMax");
    let file = models.path().join("other.onnx");
    fs::write(&file, other)?;
    let cases: [(&Path, &[&str], &str); 4] = [
        (&file, &["--input-min", "0", "--input-max", "1"], "HardMax"),
        (&fixture("iris-torch").join("model.onnx"), &[], "--calibrate"),
        (&fixture("iris").join("expected.json"), &[], "interpret"),
        (
            &fixture("iris").join("model.onnx"),
            &["--labels", "a,b"],
            "--labels",
        ),
    ];
    for (file, more, word) in cases {
        let output = import(file, "other", models.path(), more);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && message.contains(word),
            "{word}: {message}"
        );
    }
    for (name, words) in [
        ("Churn", "a-z, 0-9"),
        ("", "a-z, 0-9"),
        ("mnist-linear", "reserved for a bundled model"),
    ] {
        let output = import(
            &fixture("iris").join("model.onnx"),
            name,
            models.path(),
            &["--input-min", "0", "--input-max", "9"],
        );
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && message.contains(words),
            "{name}: {message}"
        );
    }
    fs::write(&file, &onnx[..onnx.len() / 2])?;
    assert!(!import(&file, "other", models.path(), &[]).status.success());
    assert_eq!(fs::read_dir(models.path())?.count(), 1, "nothing was written");
    Ok(())
}
