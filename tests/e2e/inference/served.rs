//! What is served: descriptions, versions, and scores in every form.

use super::{INFER, LENGTH, before_binary, blobs, elements, in_json, refused, send_binary, split};
use anyhow::Result;
use base64::{Engine, engine::general_purpose::STANDARD};
use blindscore_protocol::{KEY_HEADER, problem::ProblemCode::*};
use blindscore_tests::{Server, User, token, wide_model};
use serde_json::{Value, json};
use std::{fs, sync::Arc, thread, time::Duration};
use tempfile::TempDir;

#[test]
fn the_server_and_its_models_describe_themselves() -> Result<()> {
    let data = Arc::new(TempDir::new()?);
    let token = token(data.path(), "clinic")?;
    let server = Server::on(data.clone(), &[]);
    let (open, api) = (server.api(), server.api().with_token(&token));
    for path in ["/v2", "/v2/"] {
        let server: Value = open.get(path).expect_status(200).json();
        assert_eq!(server["name"], "blindscore-server");
        assert_eq!(server["extensions"], json!(["binary_tensor_data"]));
        assert!(server["version"].is_string());
    }
    let live: Value = open.get("/v2/health/live").expect_status(200).json();
    assert_eq!(live, json!({ "live": true }));
    let ready: Value = open.get("/v2/health/ready").expect_status(200).json();
    assert_eq!(ready, json!({ "live": true, "ready": true }));
    let model: Value = api.get("/v2/models/mnist-net").expect_status(200).json();
    let tensor = |name| json!([{ "name": name, "datatype": "BYTES", "shape": [-1], "parameters": { "content_type": "base64" } }]);
    let expected = json!({
        "name": "mnist-net", "platform": "blindscore_safetensors",
        "inputs": tensor("query"), "outputs": tensor("response"),
    });
    assert_eq!(model, expected);
    let ready: Value = api.get("/v2/models/mnist%2Dnet/ready").expect_status(200).json();
    assert_eq!(ready, json!({ "name": "mnist-net", "ready": true }));
    api.head("/v2/models/mnist-net").expect_status(200);

    for path in ["/v2/models/mnist-net", "/v2/models/mnist-net/ready"] {
        refused(&open.get(path), Unauthorized, "a valid token is needed");
        let post = api.send("POST", path, &[], b"");
        assert_eq!(post.header("allow"), "GET, HEAD");
        refused(&post, MethodNotAllowed, "accepts only GET, HEAD");
    }
    refused(
        &open.post_json(INFER, "{}"),
        Unauthorized,
        "a valid token is needed",
    );
    let get = api.get(INFER);
    assert_eq!(get.header("allow"), "POST");
    refused(&get, MethodNotAllowed, "accepts only POST");
    for path in ["/v2/models", "/v2/repository/index", "/v2/models/mnist-net/stats"] {
        refused(&api.get(path), NotFound, "no resource has this path");
    }
    for path in ["/v2/models/x", "/v2/models/x/ready", "/v2/models/x/versions/1"] {
        refused(&api.get(path), ModelNotFound, "no model of this name");
    }
    api.get("/v1/models/x")
        .expect_problem(ModelNotFound, "v1 has problem documents still");

    fs::write(data.path().join("tokens.json"), "no tokens")?;
    while open.get("/v2/health/ready").status == 200 {
        thread::sleep(Duration::from_millis(50));
    }
    for path in ["/v2/health/ready", "/v2/models/mnist-net/ready"] {
        let reply = api.get(path);
        refused(&reply, StoreUnavailable, "can't read which tokens are valid");
        assert!(!reply.header("retry-after").is_empty());
    }
    open.get("/v2/health/live").expect_status(200);
    Ok(())
}

#[test]
fn versions_are_addressed_by_path() -> Result<()> {
    let folder = TempDir::new()?;
    let models = wide_model(folder.path())?;
    for version in [2, 3] {
        fs::copy(
            models.join("wide@1.safetensors"),
            models.join(format!("wide@{version}.safetensors")),
        )?;
    }
    fs::remove_file(models.join("wide@1.safetensors"))?;
    let server = Server::start_with(&["--models-dir", &models.to_string_lossy()]);
    let api = server.api();
    for path in ["/v2/models/wide", "/v2/models/wide/versions/2"] {
        let model: Value = api.get(path).expect_status(200).json();
        assert_eq!(
            (&model["name"], &model["versions"]),
            (&json!("wide"), &json!(["2", "3"]))
        );
    }
    api.get("/v2/models/wide/versions/3/ready").expect_status(200);
    for version in ["4", "02", "x", "2@2"] {
        let path = format!("/v2/models/wide/versions/{version}");
        refused(&api.get(&path), ModelNotFound, "no such version");
        refused(
            &api.get(&format!("{path}/ready")),
            ModelNotFound,
            "no such version",
        );
        refused(
            &api.post_json(&format!("{path}/infer"), "{}"),
            ModelNotFound,
            "no such version",
        );
    }
    refused(
        &api.get("/v2/models/mnist-linear/versions/1"),
        ModelNotFound,
        "no such version",
    );
    refused(
        &api.get("/v2/models/wide/versions/1"),
        ModelRetired,
        "the current version is 3",
    );

    // Responses of 2.4 MB, which are sent in pieces.
    let user = User::of(&api.model("wide"));
    api.put_key(user.id(), &user.public_key).expect_status(201);
    let query = user.key.encrypt(&user.model, &[0.5; 8])?;
    let mut request = in_json(&user, &[query.clone(), query.clone(), query]);
    request["model_version"] = json!("2");
    request["model_name"] = json!("wide");
    let path = "/v2/models/wide/versions/2/infer";
    let answer: Value = api.post_json(path, request.to_string()).expect_status(200).json();
    assert_eq!(
        (&answer["model_name"], &answer["model_version"]),
        (&json!("wide"), &json!("2"))
    );
    request["parameters"]["binary_data_output"] = json!(true);
    let (_, binary) = split(&api.post_json(path, request.to_string()).expect_status(200));
    let scores = |blobs: &[Vec<u8>]| -> Vec<usize> {
        let decrypt = |blob: &Vec<u8>| user.decrypt(blob).expect("a whole response").scores.len();
        blobs.iter().map(decrypt).collect()
    };
    assert_eq!(scores(&blobs(&answer)), [1000; 3]);
    assert_eq!(scores(&binary), [1000; 3]);
    request["model_version"] = json!("3");
    refused(
        &api.post_json(path, request.to_string()),
        MalformedRequest,
        "model_version",
    );
    request["inputs"][0]["shape"] = json!([4]);
    refused(
        &api.post_json(path, request.to_string()),
        PayloadTooLarge,
        "at most 3 queries, not 4",
    );
    Ok(())
}

#[test]
fn every_form_scores() {
    let server = Server::start();
    let api = server.api();
    let user = User::enrolled(&api);
    let queries: Vec<Vec<u8>> = (0..3).map(|shape| user.query(shape)).collect();
    let check = |blobs: &[Vec<u8>]| {
        assert_eq!(blobs.len(), queries.len());
        blobs
            .iter()
            .enumerate()
            .for_each(|(shape, blob)| drop(user.check(shape, blob)));
    };

    let mut request = in_json(&user, &queries);
    request["id"] = json!("a \"quoted\" id, \u{e9}");
    let reply = api.post_json(INFER, request.to_string()).expect_status(200);
    assert!(!reply.header("server-timing").is_empty() && reply.header(LENGTH).is_empty());
    let answer: Value = reply.json();
    check(&blobs(&answer));
    assert_eq!(
        (&answer["id"], &answer["model_name"]),
        (&request["id"], &json!("mnist-linear"))
    );
    assert!(
        answer.get("model_version").is_none(),
        "bundled models have no versions"
    );
    let output = &answer["outputs"][0];
    assert_eq!(
        (&output["name"], &output["datatype"]),
        (&json!("response"), &json!("BYTES"))
    );
    assert_eq!(output["shape"], json!([3]));

    // A column, nested; the header names the key, too.
    let nested: Vec<Value> = queries
        .iter()
        .map(|query| json!([STANDARD.encode(query)]))
        .collect();
    request["inputs"][0]["shape"] = json!([3, 1]);
    request["inputs"][0]["data"] = json!(nested);
    request["inputs"][0]["parameters"] = json!({ "content_type": "base64" });
    let id = user.id().to_string();
    let headers = [("content-type", "application/json"), (KEY_HEADER, &*id)];
    let reply = api.send("POST", INFER, &headers, request.to_string().as_bytes());
    let answer: Value = reply.expect_status(200).json();
    assert_eq!(answer["outputs"][0]["shape"], json!([3, 1]));
    check(&blobs(&answer));

    // Binary both ways, and the key in the header only.
    let data = elements(&queries);
    let mut head = before_binary(&user, json!([3, 1]), data.len());
    let reply = send_binary(&api, &head, &data).expect_status(200);
    assert_eq!(reply.header("content-type"), "application/octet-stream");
    let (answer, responses) = split(&reply);
    assert!(answer.get("id").is_none());
    assert_eq!(answer["outputs"][0]["shape"], json!([3, 1]));
    check(&responses);
    head["parameters"] = json!(null);
    let text = head.to_string();
    let headers = [(KEY_HEADER, &*id), (LENGTH, &*text.len().to_string())];
    let reply = api.send("POST", INFER, &headers, &[text.as_bytes(), &data].concat());
    check(&blobs(&reply.expect_status(200).json()));

    // The same blobs as the ones of /v1.
    user.check(1, &api.score(user.id(), &queries[1]).expect_status(200).body);
}
