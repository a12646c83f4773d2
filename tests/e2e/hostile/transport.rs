//! Bodies that are too long or incomplete, and bytes that aren't HTTP.

use super::Bench;
use base64::{Engine, engine::general_purpose::STANDARD};
use blindscore_protocol::{params::ParameterSet, problem::ProblemCode::*, wire::EvaluationKey};
use serde_json::json;
use std::{
    io::{Read, Write},
    net::Shutdown,
    time::Duration,
};

/// Time after which a server that hasn't disconnected never will.
const HANG: Duration = Duration::from_secs(30);

/// Returns how many chunks of 4 KiB are more than the longest key.
fn more_than_a_key() -> usize {
    let lengths = ParameterSet::ALL.iter().map(EvaluationKey::blob_len);
    lengths.max().unwrap_or(0) / 0x1000 + 60
}

pub(crate) fn too_much(bench: &Bench) {
    let id = bench.user.id();
    bench.api.score(id, &bench.query.repeat(64)).expect_status(200);
    bench
        .api
        .score(id, &bench.query.repeat(65))
        .expect_problem(PayloadTooLarge, "65 queries");
    for text in [STANDARD.encode(&bench.query), "AAAA".into()] {
        let request = json!({ "key_id": id, "data": vec![text; 65] }).to_string();
        bench
            .api
            .post_json("/score", request)
            .expect_problem(PayloadTooLarge, "65 queries in JSON");
    }
    let indented = json!({ "key_id": id, "data": vec![STANDARD.encode(&bench.query); 64] });
    bench
        .api
        .post_json("/score", format!("{indented:#}"))
        .expect_status(200);

    let stranger = bench.stranger.id();
    let heads = [
        format!("PUT /v1/keys/{stranger} HTTP/1.1\r\ncontent-type: application/octet-stream"),
        format!(
            "POST /v1/models/mnist-linear/score HTTP/1.1\r\nblindscore-key: {id}\r\ncontent-type: application/octet-stream"
        ),
        "POST /score HTTP/1.1\r\ncontent-type: application/json".to_owned(),
    ];
    for head in heads {
        // Refused for its announced length: not a byte of the body is sent.
        let announced = format!(
            "{head}\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 1000000000000\r\n\r\n"
        );
        let answer = bench.api.raw(announced.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        assert!(answer.contains("\"payload_too_large\""), "{answer}");

        // Endless and unannounced: refused as soon as it is too long.
        let mut stream = bench.api.connect();
        let opening =
            format!("{head}\r\nhost: localhost\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n");
        stream.write_all(opening.as_bytes()).expect("the head is read");
        let chunk = [b"1000\r\n", &[b' '; 0x1000][..], b"\r\n"].concat();
        let chunks = if head.starts_with("PUT") {
            more_than_a_key()
        } else {
            256
        };
        stream
            .write_all(&chunk.repeat(chunks))
            .expect("what is too long is read or in buffers");
        // The body never ends, but the server still responds and disconnects. The timeout turns an
        // endless wait into a failure.
        stream.set_read_timeout(Some(HANG)).expect("a timeout can be set");
        let mut answer = Vec::new();
        let end = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.starts_with("HTTP/1.1 413 ") && end.is_ok(),
            "{end:?} {answer}"
        );
    }
    bench.assert_only_the_users_key_is_stored();
}

pub(crate) fn uploads_that_stop_half_way(bench: &Bench) {
    let key = &bench.stranger.public_key;
    let id = bench.stranger.id();
    let head = format!(
        "PUT /v1/keys/{id} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/octet-stream\r\n"
    );
    let openings = [
        format!("{head}content-length: {}\r\n\r\n", key.len()),
        format!("{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n", key.len()),
    ];
    for opening in openings {
        for part in [0, 1, key.len() / 2, key.len() - 1] {
            for hang_up in [Shutdown::Write, Shutdown::Both] {
                let mut stream = bench.api.connect();
                stream.write_all(opening.as_bytes()).expect("the head is read");
                stream.write_all(&key[..part]).expect("the body is read");
                stream.shutdown(hang_up).expect("the connection was open");
                // Until the server has disconnected as well, and so is done with this upload.
                let _ = stream.read_to_end(&mut Vec::new());
                bench.api.head(&format!("/v1/keys/{id}")).expect_status(404);
                bench.assert_only_the_users_key_is_stored();
            }
        }
    }
    // After several attempts, the complete upload works.
    bench.api.put_key(id, key).expect_status(201);
    bench.stranger.assert_scores(&bench.api, 2);
    bench.api.delete(&format!("/v1/keys/{id}")).expect_status(204);
}

pub(crate) fn bytes_that_are_not_http(bench: &Bench) {
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(1 << 20));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(10_000));
    let requests: [&[u8]; 9] = [
        b"\r\n\r\n",
        b"hello\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /score HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n",
        b"POST /score HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST /score HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\ncontent-type: application/json\r\n\r\nzz\r\n",
        long.as_bytes(),
        many.as_bytes(),
    ];
    for request in requests {
        let mut stream = bench.api.connect();
        let _ = stream.write_all(request);
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer);
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 4"), "{text}");
        bench.api.get("/healthz").expect_status(200);
    }
}
