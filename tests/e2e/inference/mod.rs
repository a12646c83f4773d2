//! The Open Inference Protocol, case by case as its specification has them.

mod refusals;
mod served;

use base64::{Engine, engine::general_purpose::STANDARD};
use blindscore_protocol::problem::ProblemCode;
use blindscore_tests::{Api, Reply, User};
use serde_json::{Value, json};

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
