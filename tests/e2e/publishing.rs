//! Models that operators publish and remove while servers run.

use anyhow::{Context, Result};
use blindscore_engine::model::Model;
use blindscore_protocol::problem::ProblemCode;
use blindscore_tests::{Api, Program, Reply, Server, monitor_token, operator_token, token};
use safetensors::{Dtype, serialize, tensor::TensorView};
use serde_json::Value;
use std::{collections::HashMap, fs, path::Path, sync::Arc, thread, time::Duration};
use tempfile::TempDir;

/// Returns the file of a linear model with three features from 0 to 9, which says `red` if the
/// first one is above `threshold`, and `blue` otherwise.
pub(crate) fn model(name: &str, threshold: f64) -> Result<Vec<u8>> {
    let bytes = |numbers: &[f64]| -> Vec<u8> { numbers.iter().flat_map(|n| n.to_le_bytes()).collect() };
    let (coef, intercept) = (
        bytes(&[1.0, 0.0, 0.0, -1.0, 0.0, 0.0]),
        bytes(&[-threshold, threshold]),
    );
    let tensors = [
        ("coef", TensorView::new(Dtype::F64, vec![2, 3], &coef)?),
        ("intercept", TensorView::new(Dtype::F64, vec![2], &intercept)?),
    ];
    let metadata = [
        ("name", name),
        ("title", "A toy"),
        ("link", "softmax"),
        ("labels", r#"["red", "blue"]"#),
        ("input_min", "0"),
        ("input_max", "9"),
        ("input_levels", "10"),
    ];
    let metadata: HashMap<_, _> = metadata.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    Ok(serialize(tensors, Some(metadata))?)
}

/// A folder for models, and a server with an operator.
struct Service {
    models: TempDir,
    data: Arc<TempDir>,
    operator: String,
}

impl Service {
    fn new() -> Result<Self> {
        let data = Arc::new(TempDir::new()?);
        let operator = operator_token(data.path())?;
        let models = TempDir::new()?;
        Ok(Self {
            models,
            data,
            operator,
        })
    }

    fn start(&self) -> Server {
        Server::on(
            self.data.clone(),
            &["--models-dir", &self.models.path().to_string_lossy()],
        )
    }

    fn api(&self, server: &Server) -> Api {
        server.api().with_token(&self.operator)
    }

    fn files(&self) -> Result<Vec<String>> {
        files(self.models.path())
    }
}

fn files(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

pub(crate) fn put(api: &Api, address: &str, file: &[u8]) -> Reply {
    let headers = [("content-type", "application/octet-stream")];
    api.send("PUT", &format!("/v1/models/{address}"), &headers, file)
}

pub(crate) fn delete(api: &Api, address: &str) -> Reply {
    api.delete(&format!("/v1/models/{address}"))
}

fn get(api: &Api, address: &str) -> Reply {
    api.get(&format!("/v1/models/{address}"))
}

/// Waits for what another server does within seconds.
fn wait_until(mut done: impl FnMut() -> bool) {
    while !done() {
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_model_is_published_in_versions_and_removed() -> Result<()> {
    let service = Service::new()?;
    let server = service.start();
    let api = service.api(&server);
    let (one, two) = (model("churn", 1.0)?, model("churn", 2.0)?);

    let reply = put(&api, "churn", &one).expect_status(201);
    assert_eq!(reply.header("location"), "/v1/models/churn@1");
    let id = |file: &[u8]| Ok::<_, anyhow::Error>(Model::from_safetensors(file)?.descriptor().id.to_string());
    let answer: Value = reply.json();
    assert_eq!(
        answer,
        serde_json::json!({"name": "churn", "version": 1, "id": id(&one)?})
    );
    // A repeated request changes nothing.
    assert_eq!(
        put(&api, "churn", &one).expect_status(200).json::<Value>(),
        answer
    );
    assert_eq!(
        put(&api, "churn@1", &one).expect_status(200).json::<Value>(),
        answer
    );
    let answer: Value = put(&api, "churn", &two).expect_status(201).json();
    assert_eq!(answer["version"], 2);
    put(&api, "churn@1", &two).expect_problem(ProblemCode::ModelExists, "a version is never replaced");
    put(&api, "churn@7", &two).expect_status(201);
    // Served at once, and after a restart.
    assert_eq!(api.model("churn@1").id.to_string(), id(&one)?);
    assert_eq!(api.model("churn").version, Some(7));
    let names = ["churn@1", "churn@2", "churn@7"].map(|name| format!("{name}.safetensors"));
    assert_eq!(service.files()?, names);
    drop(server);
    let server = service.start();
    let api = service.api(&server);
    assert_eq!(api.model("churn").version, Some(7));

    delete(&api, "churn@2").expect_status(204);
    get(&api, "churn@2").expect_problem(ProblemCode::ModelRetired, "a removed version");
    delete(&api, "churn@2").expect_problem(ProblemCode::ModelNotFound, "removed twice");
    assert_eq!(api.model("churn").version, Some(7));
    delete(&api, "churn@7").expect_status(204);
    assert_eq!(api.model("churn").version, Some(1));
    delete(&api, "churn").expect_status(204);
    get(&api, "churn").expect_problem(ProblemCode::ModelNotFound, "a removed model");
    delete(&api, "churn").expect_problem(ProblemCode::ModelNotFound, "removed twice");
    assert!(service.files()?.is_empty());
    Ok(())
}

#[test]
fn a_model_goes_with_all_its_files() -> Result<()> {
    let service = Service::new()?;
    let folder = service.models.path();
    for name in ["called otherwise", "churn", "churn@3", "other"] {
        let of = if name == "other" { "other" } else { "churn" };
        // A file without a version is not served beside those of its name that have one, so that
        // the first of these would be a second model `churn`.
        if name != "called otherwise" {
            fs::write(folder.join(format!("{name}.safetensors")), model(of, 1.0)?)?;
        }
    }
    let server = service.start();
    let api = service.api(&server);
    delete(&api, "churn").expect_status(204);
    get(&api, "churn").expect_problem(ProblemCode::ModelNotFound, "a removed model");
    assert_eq!(service.files()?, ["other.safetensors"]);

    fs::write(folder.join("called otherwise.safetensors"), model("churn", 1.0)?)?;
    wait_until(|| get(&api, "churn").status == 200);
    delete(&api, "churn").expect_status(204);
    assert_eq!(service.files()?, ["other.safetensors"]);
    Ok(())
}

#[test]
fn only_operators_change_models_and_only_good_ones_are_served() -> Result<()> {
    let service = Service::new()?;
    let tenant = token(service.data.path(), "clinic")?;
    let monitor = monitor_token(service.data.path())?;
    let server = service.start();
    let [tenant, monitor] = [tenant, monitor].map(|token| server.api().with_token(&token));
    let api = service.api(&server);
    let file = model("churn", 1.0)?;
    for (who, code) in [
        (&server.api(), ProblemCode::Unauthorized),
        (&tenant, ProblemCode::Forbidden),
        (&monitor, ProblemCode::Forbidden),
    ] {
        put(who, "churn", &file).expect_problem(code, "not an operator");
        delete(who, "churn").expect_problem(code, "not an operator");
    }
    monitor.get("/metrics").expect_status(200);
    tenant
        .get("/metrics")
        .expect_problem(ProblemCode::Forbidden, "a tenant's token");
    let refused = [
        ("mnist-linear", &file[..], ProblemCode::Forbidden),
        ("churn@0", &file, ProblemCode::MalformedRequest),
        ("Churn", &file, ProblemCode::MalformedRequest),
        ("%2e%2e%2fchurn", &file, ProblemCode::MalformedRequest),
        (&"a".repeat(201), &file, ProblemCode::MalformedRequest),
        ("other", &file, ProblemCode::ModelRefused),
        ("churn", &file[..file.len() - 1], ProblemCode::ModelRefused),
        ("churn", b"", ProblemCode::ModelRefused),
        (
            "churn",
            b"\xff\xff\xff\xff\xff\xff\xff\xff",
            ProblemCode::ModelRefused,
        ),
    ];
    for (address, content, code) in refused {
        put(&api, address, content).expect_problem(code, address);
    }
    let condition = [
        ("content-type", "application/octet-stream"),
        ("if-none-match", "*"),
    ];
    api.send("PUT", "/v1/models/churn", &condition, &file)
        .expect_problem(ProblemCode::MalformedRequest, "a condition");
    let json = [("content-type", "application/json")];
    api.send("PUT", "/v1/models/churn", &json, b"{}")
        .expect_problem(ProblemCode::UnsupportedMediaType, "JSON");
    let long = format!(
        "PUT /v1/models/churn HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Length: 200000001\r\n\r\n",
        service.operator
    );
    assert!(api.raw(long.as_bytes()).starts_with("HTTP/1.1 413"));
    delete(&api, "mnist-linear").expect_problem(ProblemCode::Forbidden, "a bundled model");
    assert!(service.files()?.is_empty());
    drop(server);

    // Without a place for models, and without tokens.
    let server = Server::on(service.data.clone(), &[]);
    put(&service.api(&server), "churn", &file).expect_problem(ProblemCode::Forbidden, "no place");
    let folder = service.models.path().to_string_lossy().into_owned();
    let open = Server::start_with(&["--models-dir", &folder]);
    put(&open.api(), "churn", &file).expect_problem(ProblemCode::Forbidden, "no tokens");
    delete(&open.api(), "churn").expect_problem(ProblemCode::Forbidden, "no tokens");
    Ok(())
}

#[test]
fn what_would_break_the_folder_is_not_stored() -> Result<()> {
    let service = Service::new()?;
    fs::write(
        service.models.path().join("called otherwise.safetensors"),
        model("churn", 1.0)?,
    )?;
    let server = service.start();
    let api = service.api(&server);
    for address in ["churn", "churn@3"] {
        let problem =
            put(&api, address, &model("churn", 2.0)?).expect_problem(ProblemCode::ModelRefused, address);
        assert!(problem.detail.contains("two models"), "{}", problem.detail);
    }
    assert_eq!(service.files()?, ["called otherwise.safetensors"]);
    put(&api, "other", &model("other", 1.0)?).expect_status(201);
    // A file without a version is no longer served once its name has versions: here by the same
    // name, and not by another.
    fs::write(
        service.models.path().join("third.safetensors"),
        model("third", 1.0)?,
    )?;
    wait_until(|| get(&api, "third").status == 200);
    put(&api, "third", &model("third", 2.0)?).expect_status(201);
    assert_eq!(api.model("third").version, Some(1));
    let misnamed = service.models.path().join("fourth.safetensors");
    fs::write(&misnamed, model("fifth", 1.0)?)?;
    wait_until(|| get(&api, "fifth").status == 200);
    let problem = put(&api, "fourth", &model("fourth", 2.0)?)
        .expect_problem(ProblemCode::ModelRefused, "another model would be hidden");
    assert!(
        problem.detail.contains("fourth.safetensors"),
        "{}",
        problem.detail
    );
    delete(&api, "fourth").expect_problem(ProblemCode::ModelNotFound, "the name of a file only");
    assert_eq!(get(&api, "fifth").status, 200);
    delete(&api, "fifth").expect_status(204);
    assert!(!misnamed.exists());
    // What a removal would uncover is checked before.
    fs::write(service.models.path().join("third.safetensors"), "bad")?;
    delete(&api, "third@1").expect_problem(ProblemCode::ModelsBroken, "a bad file would be served");
    assert_eq!(api.model("third").version, Some(1));
    delete(&api, "third").expect_status(204);
    assert_eq!(
        service.files()?,
        ["called otherwise.safetensors", "other@1.safetensors"]
    );
    Ok(())
}

#[test]
fn a_broken_file_is_named_and_can_be_removed() -> Result<()> {
    let service = Service::new()?;
    let server = service.start();
    let api = service.api(&server);
    put(&api, "churn", &model("churn", 1.0)?).expect_status(201);
    fs::write(service.models.path().join("bad@2.safetensors"), "bad")?;
    let file = model("churn", 2.0)?;
    for _ in 0..2 {
        let problem = put(&api, "churn", &file).expect_problem(ProblemCode::ModelsBroken, "a broken file");
        assert!(problem.detail.contains("bad@2.safetensors"), "{}", problem.detail);
    }
    assert_eq!(api.model("churn").version, Some(1));
    let metrics = String::from_utf8(api.get("/metrics").expect_status(200).body)?;
    assert!(metrics.contains("blindscore_models_broken 1"), "{metrics}");
    delete(&api, "bad@2").expect_status(204);
    // So can one that has the name of a bundled model.
    fs::write(
        service.models.path().join("mnist-linear@3.safetensors"),
        model("mnist-linear", 1.0)?,
    )?;
    let problem = put(&api, "churn", &file).expect_problem(ProblemCode::ModelsBroken, "a bundled name");
    assert!(
        problem.detail.contains("mnist-linear@3.safetensors"),
        "{}",
        problem.detail
    );
    delete(&api, "mnist-linear@3").expect_status(204);
    // Until all are gone, a removed model is still served, and a repeated request says so again.
    fs::write(service.models.path().join("bad@2.safetensors"), "bad")?;
    for _ in 0..2 {
        delete(&api, "churn@1").expect_problem(ProblemCode::ModelsBroken, "another broken file");
    }
    delete(&api, "bad@2").expect_status(204);
    get(&api, "churn").expect_problem(ProblemCode::ModelNotFound, "a removed model");
    put(&api, "churn", &model("churn", 3.0)?).expect_status(201);
    put(&api, "churn", &file).expect_status(201);
    assert_eq!(api.model("churn").version, Some(2));
    Ok(())
}

#[test]
fn two_servers_publish_into_one_folder() -> Result<()> {
    let service = Service::new()?;
    let servers = [service.start(), service.start()];
    let apis = servers.each_ref().map(|server| service.api(server));
    let versions: Vec<u64> = thread::scope(|scope| {
        let published = (0..8).map(|place| {
            let api = &apis[place % 2];
            scope.spawn(move || {
                let file = model("churn", place as f64)?;
                let answer: Value = put(api, "churn", &file).expect_status(201).json();
                answer["version"].as_u64().context("a version")
            })
        });
        let published: Vec<_> = published.collect();
        let mut versions = Vec::new();
        for thread in published {
            versions.push(thread.join().expect("no panic")?);
        }
        versions.sort_unstable();
        Ok::<_, anyhow::Error>(versions)
    })?;
    assert_eq!(versions, (1..=8).collect::<Vec<_>>());
    for api in &apis {
        wait_until(|| api.model("churn").version == Some(8));
    }
    Ok(())
}

#[test]
fn an_operator_publishes_from_the_command_line() -> Result<()> {
    let service = Service::new()?;
    let server = service.start();
    let program = Program::new(server.url());
    let folder = TempDir::new()?;
    let file = folder.path().join("model.safetensors");
    fs::write(&file, model("churn", 4.5)?)?;
    let path = file.to_string_lossy();
    let token = [("BLINDSCORE_TOKEN", service.operator.as_str())];
    program
        .run(&["publish", &path])
        .expect_failure("a valid token is needed");
    let ended = program.run_with(&token, &["publish", &path]).expect_success();
    assert!(ended.stdout.contains("published: churn@1"), "{}", ended.stdout);
    let ended = program
        .run_with(&token, &["publish", &path, "--version", "5"])
        .expect_success();
    assert!(ended.stdout.contains("published: churn@5"), "{}", ended.stdout);
    fs::write(&file, "bad")?;
    program
        .run_with(&token, &["publish", &path])
        .expect_failure("can't be served");

    fs::write(program.home().join("rows.csv"), "9,0,0\n0,9,9\n")?;
    let predict = [
        "predict",
        "--model",
        "churn",
        "--csv",
        "rows.csv",
        "--out",
        "scores.csv",
        "--no-header",
    ];
    program
        .run_with(&token, &["keygen", "--model", "churn"])
        .expect_success();
    program.run_with(&token, &predict).expect_success();
    let scores = fs::read_to_string(program.home().join("scores.csv"))?;
    let labels: Vec<_> = scores
        .lines()
        .skip(1)
        .filter_map(|line| line.split(',').nth(1))
        .collect();
    assert_eq!(labels, ["red", "blue"]);

    program
        .run_with(&token, &["unpublish", "churn"])
        .expect_failure("--all");
    program
        .run_with(&token, &["unpublish", "churn@1"])
        .expect_success();
    program
        .run_with(&token, &["unpublish", "churn", "--all"])
        .expect_success();
    program
        .run_with(&token, &["unpublish", "churn", "--all"])
        .expect_failure("no model churn");
    assert!(service.files()?.is_empty());
    Ok(())
}
