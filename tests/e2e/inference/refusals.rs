//! What is refused, and in which words.

use super::{INFER, LENGTH, before_binary, elements, in_json, refused, send_binary};
use blindscore_protocol::{KEY_HEADER, problem::ProblemCode::*};
use blindscore_tests::{Server, User};
use serde_json::{Value, json};

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
