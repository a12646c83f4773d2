//! Invalid HTTP requests: JSON, media types, methods, paths.

use super::Bench;
use base64::{Engine, engine::general_purpose::STANDARD};
use blindscore_protocol::problem::ProblemCode::*;
use serde_json::json;

pub(crate) fn json_of_the_wrong_shape(bench: &Bench) {
    let id = bench.user.id();
    let deep = |open: &str| format!("{{\"key_id\":\"{id}\",\"data\":{}", open.repeat(4_000));
    let bodies = [
        String::new(),
        "null".into(),
        "7".into(),
        "[]".into(),
        "{}".into(),
        "\"text\"".into(),
        "{\"key_id\":".into(),
        json!({ "key_id": id }).to_string(),
        json!({ "data": [] }).to_string(),
        json!({ "key_id": 7, "data": [] }).to_string(),
        json!({ "key_id": null, "data": ["AAAA"] }).to_string(),
        json!({ "key_id": id, "data": [] }).to_string(),
        json!({ "key_id": id, "data": null }).to_string(),
        json!({ "key_id": id, "data": "AAAA" }).to_string(),
        json!({ "key_id": id, "data": { "0": "AAAA" } }).to_string(),
        json!({ "key_id": id, "data": [7] }).to_string(),
        json!({ "key_id": id, "data": [["AAAA"]] }).to_string(),
        json!({ "key_id": id, "data": [null] }).to_string(),
        json!({ "key_id": id, "data": ["AAAA"] }).to_string() + "x",
        deep("["),
        deep("{\"a\":"),
        format!("{{\"extra\":{}", "[".repeat(4_000)),
        format!("{{\"key_id\":\"{id}\",\"key_id\":\"{id}\",\"data\":[]}}"),
    ];
    for path in ["/score", "/v1/models/mnist-linear/score"] {
        for body in &bodies {
            let what = format!("{path}: {:.80}", body);
            bench
                .api
                .post_json(path, body)
                .expect_problem(MalformedRequest, what);
        }
        let reply = bench
            .api
            .post_json(path, b"{\"key_id\":\"\xff\xfe\",\"data\":[]}");
        reply.expect_problem(MalformedRequest, "not UTF-8");
    }

    let good = STANDARD.encode(&bench.query);
    let texts = [
        "",
        "A",
        "AAA",
        "AAAA=",
        "!!!!",
        "AA AA",
        "\u{e9}AAA",
        &good[1..],
        &good[..good.len() - 1],
        &format!(" {good}"),
        &format!("{good}\n"),
        &good.replace('A', "-"),
    ];
    for text in texts {
        let request = json!({ "key_id": id, "data": [text] }).to_string();
        let what = format!("base64 {text:.20?}");
        bench
            .api
            .post_json("/score", request)
            .expect_problem(MalformedCiphertext, what);
    }
}

pub(crate) fn wrong_media_types(bench: &Bench) {
    let id = bench.user.id().to_string();
    let key_path = format!("/v1/keys/{}", bench.stranger.id());
    let key = &bench.stranger.public_key;
    let types = [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application",
        "*/*",
        "",
    ];
    for media_type in types {
        let headers = [("content-type", media_type), ("blindscore-key", &*id)];
        for path in ["/score", "/v1/models/mnist-linear/score"] {
            let reply = bench.api.send("POST", path, &headers, &bench.query);
            reply.expect_problem(UnsupportedMediaType, format!("{path} {media_type:?}"));
        }
        let reply = bench.api.send("PUT", &key_path, &headers, key);
        reply.expect_problem(UnsupportedMediaType, format!("PUT {media_type:?}"));
    }
    let json = ("content-type", "application/json");
    bench
        .api
        .send("PUT", &key_path, &[json], key)
        .expect_problem(UnsupportedMediaType, "a key in JSON");
    let octets = [
        ("content-type", "application/octet-stream"),
        ("blindscore-key", &*id),
    ];
    bench
        .api
        .send("POST", "/score", &octets, &bench.query)
        .expect_problem(UnsupportedMediaType, "raw to /score");
    // A body without a type is raw bytes.
    let none = format!(
        "PUT {key_path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    );
    assert!(bench.api.raw(none.as_bytes()).contains("\"key_hash_mismatch\""));

    // Parameters and case are ignored.
    let headers = [
        ("content-type", "Application/Octet-Stream; x=y"),
        ("blindscore-key", &*id),
    ];
    bench
        .api
        .send("POST", "/v1/models/mnist-linear/score", &headers, &bench.query)
        .expect_status(200);
}

pub(crate) fn wrong_methods_and_paths(bench: &Bench) {
    let key = format!("/v1/keys/{}", bench.user.id());
    for (method, path, allowed) in [
        ("POST", "/v1/models", "GET, HEAD"),
        ("POST", "/v1/models/mnist-linear", "GET, HEAD, PUT, DELETE"),
        ("GET", "/v1/models/mnist-linear/score", "POST"),
        ("PUT", "/v1/models/mnist-linear/score", "POST"),
        ("GET", "/score", "POST"),
        ("POST", &key, "PUT, GET, HEAD, DELETE"),
        ("PATCH", &key, "PUT, GET, HEAD, DELETE"),
        ("POST", "/healthz", "GET, HEAD"),
        ("DELETE", "/readyz", "GET, HEAD"),
        ("POST", "/", "GET, HEAD"),
    ] {
        let reply = bench.api.send(method, path, &[], b"");
        assert_eq!(reply.header("allow"), allowed, "{method} {path}");
        reply.expect_problem(MethodNotAllowed, format!("{method} {path}"));
    }
    for path in [
        "/v1",
        "/v1/",
        "/v1/keys",
        "/v1/keys/",
        "/v1/models/",
        "/v1/models/a/b",
        "/scores",
        "/%00",
        "/..",
        "//",
    ] {
        bench.api.get(path).expect_problem(NotFound, path);
    }
    for name in [
        "none",
        "MNIST-LINEAR",
        "%2e%2e%2f",
        "%00",
        "%ff",
        "mnist-linear%20",
        &"x".repeat(4000),
    ] {
        bench
            .api
            .get(&format!("/v1/models/{name}"))
            .expect_problem(ModelNotFound, name);
        let path = format!("/v1/models/{name}/score");
        let headers = [("content-type", "application/octet-stream")];
        bench
            .api
            .send("POST", &path, &headers, &bench.query)
            .expect_problem(ModelNotFound, name);
    }
    for id in [
        "x",
        "probe",
        "%2e%2e%2fprobe",
        "..%2fkeys",
        "%00",
        &"0".repeat(63),
        &"0".repeat(65),
        &"A".repeat(64),
    ] {
        for method in ["GET", "HEAD", "DELETE"] {
            let reply = bench.api.send(method, &format!("/v1/keys/{id}"), &[], &[]);
            if method == "HEAD" {
                reply.expect_status(400);
            } else {
                reply.expect_problem(MalformedRequest, format!("{method} {id}"));
            }
        }
    }
    bench.api.get("/readyz").expect_status(200);
    bench.assert_only_the_users_key_is_stored();
}
