//! The Open Inference Protocol, case by case as its specification has them.

use anyhow::Result;
use base64::{Engine, engine::general_purpose::STANDARD};
use blindscore_protocol::{
    KEY_HEADER,
    problem::ProblemCode::{self, *},
};
use blindscore_tests::{Api, Reply, Server, User, token, wide_model};
use serde_json::{Value, json};
use std::{fs, sync::Arc, thread, time::Duration};
use tempfile::TempDir;

const INFER: &str = "/v2/models/mnist-linear/infer";
const LENGTH: &str = "inference-header-content-length";

/// A request with these queries as JSON, in a row.
fn in_json(user: &User, queries: &[Vec<u8>]) -> Value {
    let data: Vec<String> = queries.iter().map(|query| STANDARD.encode(query)).collect();
    json!({
        "parameters": { "key_id": user.id() },
        "inputs": [{ "name": "query", "shape": [data.len()], "datatype": "BYTES", "data": data }],
    })
}

/// The elements of binary data.
fn elements(blobs: &[Vec<u8>]) -> Vec<u8> {
    let element = |blob: &Vec<u8>| [&(blob.len() as u32).to_le_bytes()[..], blob].concat();
    blobs.iter().flat_map(element).collect()
}

/// The JSON of a request with `size` bytes of binary data, for `shape` queries.
fn before_binary(user: &User, shape: Value, size: usize) -> Value {
    json!({
        "parameters": { "key_id": user.id(), "binary_data_output": true },
        "inputs": [{
            "name": "query", "shape": shape, "datatype": "BYTES", "parameters": { "binary_data_size": size },
        }],
    })
}

/// Sends JSON and binary data.
fn send_binary(api: &Api, json: &Value, data: &[u8]) -> Reply {
    let json = json.to_string();
    let headers = [(LENGTH, &*json.len().to_string())];
    api.send("POST", INFER, &headers, &[json.as_bytes(), data].concat())
}

/// Splits a response into its JSON and the blobs in its binary data.
fn split(reply: &Reply) -> (Value, Vec<Vec<u8>>) {
    let length: usize = reply.header(LENGTH).parse().expect("the length of the JSON");
    let (head, mut rest) = reply.body.split_at(length);
    let head: Value = serde_json::from_slice(head).expect("JSON");
    assert_eq!(
        head["outputs"][0]["parameters"]["binary_data_size"],
        rest.len(),
        "{head}"
    );
    let mut blobs = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk() {
        let (blob, after) = after.split_at(u32::from_le_bytes(*length) as usize);
        blobs.push(blob.to_vec());
        rest = after;
    }
    (head, blobs)
}

/// Returns the response blobs in JSON.
fn blobs(answer: &Value) -> Vec<Vec<u8>> {
    let data = answer["outputs"][0]["data"].as_array().expect("data");
    let decode = |text: &Value| STANDARD.decode(text.as_str().expect("text")).expect("base64");
    data.iter().map(decode).collect()
}

/// Checks an error: a problem in JSON with the words in `error`.
#[track_caller]
fn refused(reply: &Reply, code: ProblemCode, words: &str) {
    assert_eq!(
        reply.header("content-type"),
        "application/json",
        "{words}: {reply:?}"
    );
    assert_eq!(reply.status, code.status(), "{words}: {reply:?}");
    let error: Value = reply.json();
    assert_eq!(error["code"], code.as_str(), "{words}: {error}");
    assert_eq!(error["error"], error["detail"], "{error}");
    let text = error["error"].as_str().expect("a message");
    assert!(text.contains(words), "{words}: {text}");
    assert!(text.len() < 2000, "{} bytes", text.len());
}

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

#[test]
fn what_is_not_served_is_refused_in_words() {
    let server = Server::start();
    let api = server.api();
    let (user, stranger) = (User::enrolled(&api), User::new(&api));
    let good = in_json(&user, &[user.query(0)]);
    let changed = |pointer: &str, value: Value| {
        let mut request = good.clone();
        let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
        request.pointer_mut(parent).expect("a place")[name] = value;
        request.to_string()
    };
    let other = stranger.id().to_string();
    for (request, code, words) in [
        (String::new(), MalformedRequest, "no inference request"),
        ("[]".into(), MalformedRequest, "no inference request"),
        ("[".repeat(5000), MalformedRequest, "no inference request"),
        (
            changed("/inputs", json!([])),
            MalformedRequest,
            "one input, query, not 0",
        ),
        (
            changed("/inputs/0/name", json!("x")),
            MalformedRequest,
            "none named \"x\"",
        ),
        (
            changed("/inputs/0/datatype", json!("FP32")),
            MalformedRequest,
            "datatype BYTES",
        ),
        (
            changed("/inputs/0/shape", json!([2])),
            MalformedRequest,
            "2 elements, its data has 1",
        ),
        (
            changed("/inputs/0/shape", json!([1, 1, 1])),
            MalformedRequest,
            "[n] or [n, 1]",
        ),
        (
            changed("/inputs/0/shape", json!([65])),
            PayloadTooLarge,
            "at most 64",
        ),
        (
            changed("/inputs/0/shape", json!([u64::MAX])),
            PayloadTooLarge,
            "at most 64",
        ),
        (
            changed("/inputs/0/data", json!(["AA AA"])),
            MalformedCiphertext,
            "not valid base64",
        ),
        (
            changed("/inputs/0/data", json!(["AAAA"])),
            MalformedCiphertext,
            "query 0",
        ),
        (
            changed("/inputs/0/data", json!([[1]])),
            MalformedRequest,
            "a blob in base64",
        ),
        (
            changed("/inputs/0/parameters", json!({ "shared_memory_region": "x" })),
            MalformedRequest,
            "unknown field",
        ),
        (
            changed("/outputs", json!([{ "name": "scores" }])),
            MalformedRequest,
            "none named \"scores\"",
        ),
        (
            changed("/parameters", json!({})),
            MalformedRequest,
            "no key is named",
        ),
        (
            changed("/parameters/key_id", json!("x")),
            MalformedRequest,
            "not a key id",
        ),
        (
            changed("/parameters/key_id", json!(stranger.id())),
            KeyMismatch,
            "the request names",
        ),
        (
            changed("/parameters/priority", json!(1)),
            MalformedRequest,
            "unknown field `priority`",
        ),
        (
            changed("/parameters/sequence_id", json!(1)),
            MalformedRequest,
            "unknown field `sequence_id`",
        ),
        (
            changed("/model_name", json!("mnist-net")),
            MalformedRequest,
            "not the model in the path",
        ),
        (
            changed("/model_version", json!("1")),
            MalformedRequest,
            "not the version",
        ),
        (
            changed(&format!("/{}", "x".repeat(9000)), json!(1)),
            MalformedRequest,
            "unknown field",
        ),
    ] {
        refused(&api.post_json(INFER, request), code, words);
    }
    let good = good.to_string();
    let json_type = ("content-type", "application/json");
    for (header, code, words) in [
        (
            ("content-type", "text/plain"),
            UnsupportedMediaType,
            "application/json",
        ),
        (
            ("content-encoding", "gzip"),
            UnsupportedMediaType,
            "not compressed",
        ),
        ((KEY_HEADER, &*other), MalformedRequest, "name different keys"),
        ((LENGTH, "-1"), MalformedRequest, "is not a length"),
        (
            (LENGTH, "99999999999999999999"),
            MalformedRequest,
            "is not a length",
        ),
        (
            (LENGTH, "18446744073709551615"),
            MalformedRequest,
            "but the body has",
        ),
        ((LENGTH, "5"), MalformedRequest, "no inference request"),
    ] {
        let headers = [json_type, header];
        let headers = if header.0 == "content-type" {
            &headers[1..]
        } else {
            &headers[..]
        };
        refused(&api.send("POST", INFER, headers, good.as_bytes()), code, words);
    }
    let twice = [json_type, (LENGTH, "5"), (LENGTH, "6")];
    let reply = api.send("POST", INFER, &twice, good.as_bytes());
    refused(&reply, MalformedRequest, "is there twice");
    let by_stranger = in_json(&stranger, &[stranger.query(0)]).to_string();
    refused(&api.post_json(INFER, by_stranger), KeyNotFound, "is not stored");
    let foreign =
        "POST /v2/models/mnist-linear/infer HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n";
    let answer = api.raw(foreign.as_bytes());
    assert!(
        answer.contains("\"error\":") && answer.contains("host_not_allowed"),
        "{answer}"
    );
    api.post_json(INFER, good).expect_status(200);
}

#[test]
fn lying_binary_data_is_refused_and_takes_no_memory() {
    let server = Server::with_one_heap();
    let api = server.api();
    let user = User::enrolled(&api);
    let query = user.query(0);
    let data = elements(std::slice::from_ref(&query));
    let size = data.len();
    send_binary(&api, &before_binary(&user, json!([1]), size), &data).expect_status(200);
    // What the allocator keeps for later requests is there by now.
    let longest = json!({ "inputs": "x".repeat(400_000) }).to_string();
    refused(&api.post_json(INFER, &longest), MalformedRequest, "invalid type");
    let memory = || ["VmHWM", "VmPeak"].map(|field| server.memory(field));
    let before = memory();

    let huge = [&[0xff; 4][..], &query].concat();
    let short = [&(query.len() as u32 - 1).to_le_bytes()[..], &query].concat();
    let cut = [&(query.len() as u32 - 1).to_le_bytes()[..], &query[1..]].concat();
    for (shape, declared, data, code, words) in [
        (
            json!([1]),
            size + 1,
            &data,
            MalformedRequest,
            "bytes follow the JSON",
        ),
        (
            json!([1]),
            usize::MAX,
            &data,
            MalformedRequest,
            "bytes follow the JSON",
        ),
        (json!([1]), 0, &data, MalformedRequest, "bytes follow the JSON"),
        (
            json!([2]),
            size,
            &data,
            MalformedRequest,
            "end before element 1 of 2",
        ),
        (
            json!([1]),
            size,
            &huge,
            MalformedRequest,
            "declares 4294967295 bytes",
        ),
        (json!([1]), size, &short, MalformedRequest, "1 bytes follow"),
        (json!([1]), size - 1, &cut, MalformedCiphertext, "query 0"),
        (
            json!([1]),
            0,
            &Vec::new(),
            MalformedRequest,
            "end before element 0 of 1",
        ),
        (
            json!([1]),
            3,
            &vec![0; 3],
            MalformedRequest,
            "end before element 0 of 1",
        ),
        (json!([1]), 4, &vec![0; 4], MalformedCiphertext, "query 0"),
        (json!([u64::MAX]), size, &data, PayloadTooLarge, "at most 64"),
    ] {
        refused(
            &send_binary(&api, &before_binary(&user, shape, declared), data),
            code,
            words,
        );
    }
    let head = before_binary(&user, json!([1]), size).to_string();
    let whole = [head.as_bytes(), &data].concat();
    for (length, words) in [
        (head.len() - 1, "no inference request"),
        (head.len() + 1, "no inference request"),
        (whole.len() + 1, "but the body has"),
    ] {
        let reply = api.send("POST", INFER, &[(LENGTH, &length.to_string())], &whole);
        refused(&reply, MalformedRequest, words);
    }
    refused(
        &api.post_json(INFER, &head),
        MalformedRequest,
        "has to say where the JSON ends",
    );
    let empties = vec!["\"\""; 130_000].join(",");
    let tiny =
        format!(r#"{{"inputs":[{{"name":"query","datatype":"BYTES","shape":[1],"data":[{empties}]}}]}}"#);
    refused(&api.post_json(INFER, &tiny), PayloadTooLarge, "not 130000");
    let shape = format!(
        r#"{{"inputs":[{{"name":"query","datatype":"BYTES","shape":[{}1]}}]}}"#,
        "1,".repeat(190_000)
    );
    refused(&api.post_json(INFER, &shape), MalformedRequest, "[n] or [n, 1]");
    refused(
        &api.post_json(INFER, vec![b' '; 3_000_000]),
        PayloadTooLarge,
        "the body may be at most",
    );
    let announced = format!(
        "POST {INFER} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999999\r\nconnection: close\r\n\r\n"
    );
    assert!(api.raw(announced.as_bytes()).starts_with("HTTP/1.1 413 "));

    let after = memory();
    let [grown, addresses] = [0, 1].map(|field| after[field].saturating_sub(before[field]));
    assert!(grown < 16 << 20, "{} kB more", grown >> 10);
    // Threads that start in the meantime have stacks of their own.
    assert!(
        addresses < 450_000_000,
        "{} MB of addresses",
        addresses / 1_000_000
    );
    user.assert_scores(&api, 1);
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

#[test]
fn a_tenants_limits_are_those_of_every_path() {
    let server = Server::start_with(&["--tenant-rate", "1", "--tenant-burst", "64"]);
    let api = server.api();
    let user = User::enrolled(&api);
    let queries = vec![user.query(0); 62];
    api.post_json(INFER, in_json(&user, &queries).to_string())
        .expect_status(200);
    let reply = api.post_json(INFER, in_json(&user, &queries).to_string());
    refused(&reply, RateLimited, "too many queries");
    assert!(!reply.header("retry-after").is_empty());

    let server = Server::start_with(&["--tenant-daily-queries", "65"]);
    let api = server.api();
    let user = User::enrolled(&api);
    let queries = vec![user.query(0); 63];
    api.post_json(INFER, in_json(&user, &queries).to_string())
        .expect_status(200);
    let three = in_json(&user, &queries[..3]).to_string();
    let reply = api.post_json(INFER, &three);
    refused(&reply, QueryBudgetSpent, "");
    assert!(!reply.header("retry-after").is_empty());
}
