//! The ordinary life of a server: models, keys, scores, load, pages.

use anyhow::Result;
use base64::{Engine, engine::general_purpose::STANDARD};
use blindscore_protocol::{descriptor::CheckedDescriptor, problem::ProblemCode};
use blindscore_tests::{Api, Reply, Server, User, digit};
use serde_json::{Value, json};
use std::{fs, sync::Barrier, thread};

#[test]
fn models_are_described_and_cached_by_etag() {
    let server = Server::start();
    let api = server.api();
    let one = api.get("/v1/models/mnist-linear").expect_status(200);
    let descriptor: CheckedDescriptor = one.json();
    assert_eq!(descriptor.inputs.count, digit(0).len());
    assert_eq!(one.header("cache-control"), "no-cache");

    let all: Value = api.get("/v1/models").expect_status(200).json();
    assert_eq!(all["models"][0], one.json::<Value>());

    for path in ["/v1/models", "/v1/models/mnist-linear"] {
        let etag = api.get(path).header("etag").to_owned();
        assert!(etag.starts_with('"'), "{path}: {etag:?}");
        let cached = api
            .send("GET", path, &[("if-none-match", &etag)], &[])
            .expect_status(304);
        assert!(cached.body.is_empty());
        assert_eq!(cached.header("etag"), etag);
        api.send("GET", path, &[("if-none-match", "\"other\"")], &[])
            .expect_status(200);
    }
    api.get("/v1/models/none")
        .expect_problem(ProblemCode::ModelNotFound, "an unknown model");
}

#[test]
fn keys_are_stored_shown_and_removed() {
    let server = Server::start();
    let api = server.api();
    let user = User::new(&api);
    let path = format!("/v1/keys/{}", user.id());
    api.head(&path).expect_status(404);
    api.get(&path)
        .expect_problem(ProblemCode::KeyNotFound, "before the upload");

    let first: Value = api.put_key(user.id(), &user.public_key).expect_status(201).json();
    let second: Value = api.put_key(user.id(), &user.public_key).expect_status(200).json();
    assert_eq!(first["key_id"], user.id().to_string());
    assert_eq!(first, second);
    assert_eq!(server.stored_files(), [user.id().to_string()]);

    api.head(&path).expect_status(200);
    let metadata: Value = api.get(&path).expect_status(200).json();
    assert_eq!(metadata["key_id"], first["key_id"]);
    assert_eq!(metadata["bytes"], user.public_key.len());
    assert_eq!(metadata["expires_at"], first["expires_at"]);
    assert!(metadata["renewed_at"].as_str() < metadata["expires_at"].as_str());

    user.assert_scores(&api, 0);
    assert!(api.delete(&path).expect_status(204).body.is_empty());
    // The prepared copy in memory is gone as well.
    api.score(user.id(), &user.query(0))
        .expect_problem(ProblemCode::KeyNotFound, "removed");
    api.delete(&path)
        .expect_problem(ProblemCode::KeyNotFound, "removed twice");
    assert!(server.stored_files().is_empty());
}

#[test]
fn scores_in_every_form() -> Result<()> {
    let server = Server::start();
    let api = server.api();
    let user = User::enrolled(&api);

    for shape in 0..6 {
        let raw = api.score(user.id(), &user.query(shape)).expect_status(200);
        assert_eq!(raw.header("content-type"), "application/octet-stream");
        assert_eq!(raw.body.len(), user.model.sizes.response);
        user.check(shape, &raw.body);
        assert_timing(&raw);
    }

    let shapes: Vec<usize> = (0..64).map(|index| index % 7).collect();
    let batch: Vec<u8> = shapes.iter().flat_map(|shape| user.query(*shape)).collect();
    let raw = api.score(user.id(), &batch).expect_status(200);
    let responses: Vec<_> = raw.body.chunks(user.model.sizes.response).collect();
    assert_eq!(responses.len(), shapes.len());
    for (shape, response) in shapes.iter().zip(responses) {
        user.check(*shape, response);
    }

    let data: Vec<String> = (0..3).map(|shape| STANDARD.encode(user.query(shape))).collect();
    let request = json!({ "key_id": user.id(), "data": data }).to_string();
    let reply = api
        .post_json("/v1/models/mnist-linear/score", &request)
        .expect_status(200);
    assert_timing(&reply);
    check_all(&user, &reply.json::<Value>()["data"])?;
    let reply = api.post_json("/score", &request).expect_status(200);
    assert_timing(&reply);
    check_all(&user, &reply.json::<Value>())
}

fn check_all(user: &User, responses: &Value) -> Result<()> {
    let texts: Vec<String> = serde_json::from_value(responses.clone())?;
    assert_eq!(texts.len(), 3);
    for (shape, text) in texts.iter().enumerate() {
        user.check(shape, &STANDARD.decode(text)?);
    }
    Ok(())
}

/// Checks `queue;dur=…, key;dur=…, score;dur=…`: all are numbers, and scoring took some time.
fn assert_timing(reply: &Reply) {
    let header = reply.header("server-timing");
    let entries: Vec<(&str, f64)> = header
        .split(", ")
        .filter_map(|entry| entry.split_once(";dur="))
        .filter_map(|(name, ms)| Some((name, ms.parse().ok()?)))
        .collect();
    let names: Vec<_> = entries.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["queue", "key", "score"], "{header:?}");
    assert!(entries[2].1 > 0.0, "{header:?}");
}

#[test]
fn an_exported_key_reads_what_the_original_asked_for() -> Result<()> {
    let server = Server::start();
    let api = server.api();
    let user = User::enrolled(&api);
    let copy = blindscore_client::ClientKey::from_bytes(&user.key.to_bytes())?;
    let query = copy.encrypt(&user.model, &digit(2))?;
    let reply = api.score(copy.key_id(), &query).expect_status(200);
    user.check(2, &reply.body);
    Ok(())
}

#[test]
fn sigterm_ends_it_cleanly() {
    let mut server = Server::start();
    User::enrolled(&server.api()).assert_scores(&server.api(), 0);
    assert!(server.terminate().success(), "{}", server.log());
}

#[test]
fn a_full_queue_turns_requests_away_and_recovers() {
    let server = Server::start_with(&["--workers", "1", "--queue", "64"]);
    let api = server.api();
    let user = User::enrolled(&api);
    let batch = user.query(0).repeat(64);
    // The first batch takes the whole queue. It takes several rounds only if the others arrive too
    // late.
    let turned_away = (0..50).find_map(|_| {
        let mut replies = at_once(&api, 4, |api| api.score(user.id(), &batch));
        replies.retain(|reply| reply.status != 200);
        replies.pop()
    });
    let Some(reply) = turned_away else {
        panic!("a queue of 64 took 256 queries at once");
    };
    let seconds: u32 = reply.header("retry-after").parse().expect("a number of seconds");
    assert!((1..=30).contains(&seconds), "{seconds}");
    reply.expect_problem(ProblemCode::Overloaded, "too many queries");
    user.assert_scores(&api, 3);
}

/// Sends the same request from several connections at the same moment.
fn at_once(api: &Api, count: usize, send: impl Fn(&Api) -> Reply + Sync) -> Vec<Reply> {
    let (barrier, send) = (&Barrier::new(count), &send);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|_| {
                scope.spawn(move || {
                    barrier.wait();
                    send(api)
                })
            })
            .collect();
        threads
            .into_iter()
            .filter_map(|thread| thread.join().ok())
            .collect()
    })
}

#[test]
fn clients_at_once_get_their_own_scores() {
    let server = Server::start();
    let api = server.api();
    let users: Vec<User> = (0..4).map(|_| User::new(&api)).collect();
    thread::scope(|scope| {
        for (index, user) in users.iter().enumerate() {
            let api = &api;
            scope.spawn(move || {
                api.put_key(user.id(), &user.public_key).expect_status(201);
                for round in 0..20 {
                    user.assert_scores(api, (index + round) % 7);
                }
            });
        }
    });
}

#[test]
fn every_response_has_the_security_headers() -> Result<()> {
    let pages = tempfile::tempdir()?;
    fs::create_dir(pages.path().join("assets"))?;
    fs::write(
        pages.path().join("index.html"),
        "<!doctype html><title>page</title>",
    )?;
    fs::write(pages.path().join("assets/app-1234.js"), "export {};")?;
    let directory = pages.path().to_string_lossy().into_owned();
    let server = Server::start_with(&["--web-dir", &directory]);
    let api = server.api();
    let expected = [
        ("/", 200, "no-cache"),
        ("/assets/app-1234.js", 200, "public, max-age=31536000, immutable"),
        ("/assets/none.js", 404, "no-store"),
        ("/../Cargo.toml", 404, "no-store"),
        ("/v1/models", 200, "no-cache"),
        ("/v1/models/none", 404, "no-store"),
        ("/healthz", 200, "no-store"),
        ("/readyz", 200, "no-store"),
        ("/nothing", 404, "no-store"),
    ];
    for (path, status, cache) in expected {
        let reply = api.get(path).expect_status(status);
        assert_eq!(reply.header("cache-control"), cache, "{path}");
        assert!(
            reply
                .header("content-security-policy")
                .starts_with("default-src 'none'; script-src 'self' 'wasm-unsafe-eval';"),
            "{path}"
        );
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(reply.header(name), value, "{path}");
        }
        assert!(!reply.header("x-request-id").is_empty(), "{path}");
        assert!(
            reply.headers.get("access-control-allow-origin").is_none(),
            "{path}"
        );
    }
    Ok(())
}

#[test]
fn the_root_says_what_this_is_or_is_the_page() {
    let server = Server::start();
    let reply = server.api().get("/").expect_status(200);
    assert!(String::from_utf8_lossy(&reply.body).contains("Blindscore"));
}
