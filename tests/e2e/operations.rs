//! Behaviour that operators rely on: metrics, a full disk, limits, and work that nobody waits for.

use anyhow::Result;
use blindscore_client::ClientKey;
use blindscore_protocol::{KEY_HEADER, descriptor::CheckedDescriptor, problem::ProblemCode};
use blindscore_tests::{Api, Server, Tls, User, blindscore_server, digit};
use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    thread,
    time::Duration,
};

/// Returns the number on the line of `/metrics` that starts with `series`.
fn metric(api: &Api, series: &str) -> f64 {
    let body = api.get("/metrics").expect_status(200).body;
    let text = String::from_utf8(body).expect("metrics are text");
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.and_then(|value| value.parse().ok()).unwrap_or_default()
}

#[test]
fn metrics_count_what_happens_and_name_no_one() {
    let server = Server::start();
    let api = server.api();
    let user = User::enrolled(&api);
    for shape in 0..3 {
        user.assert_scores(&api, shape);
    }
    api.get("/v1/models/none").expect_status(404);
    let score = r#"{route="/v1/models/{model}/score",method="POST",status="200"}"#;
    for (series, expected) in [
        (format!("blindscore_requests_total{score}"), 3.0),
        (
            r#"blindscore_queries_total{model="mnist-linear"}"#.to_owned(),
            3.0,
        ),
        (
            r#"blindscore_score_seconds_count{model="mnist-linear"}"#.to_owned(),
            3.0,
        ),
        ("blindscore_queue_seconds_count".to_owned(), 3.0),
        ("blindscore_key_load_seconds_count".to_owned(), 1.0),
        (
            r#"blindscore_key_cache_requests_total{found="false"}"#.to_owned(),
            1.0,
        ),
        (
            r#"blindscore_key_cache_requests_total{found="true"}"#.to_owned(),
            2.0,
        ),
        (
            r#"blindscore_requests_total{route="/v1/models/{model}",method="GET",status="404"}"#.to_owned(),
            1.0,
        ),
        ("blindscore_queued_queries".to_owned(), 0.0),
        (r#"blindscore_body_memory_bytes{body="query"}"#.to_owned(), 0.0),
    ] {
        assert_eq!(metric(&api, &series), expected, "{series}");
    }
    assert!(metric(&api, "blindscore_key_memory_bytes") > 10_000.0);
    let text = String::from_utf8_lossy(&api.get("/metrics").body).into_owned();
    assert!(!text.contains(&user.id().to_string()));
    assert!(!server.log().contains(&user.id().to_string()), "{}", server.log());
}

#[test]
fn a_full_disk_is_said_to_be_full_and_nothing_is_lost() -> Result<()> {
    // Room for some keys of 20 kB and the probe.
    let server = Server::on_small_disk(256 * 1024);
    let api = server.api();
    let first = User::enrolled(&api);
    let mut stored = vec![first];
    let refused = loop {
        let user = User::new(&api);
        let reply = api.put_key(user.id(), &user.public_key);
        if reply.status != 201 {
            break reply;
        }
        stored.push(user);
        assert!(stored.len() < 20, "more than the disk holds");
    };
    assert_eq!(refused.header("retry-after"), "10");
    refused.expect_problem(ProblemCode::StoreFull, "an upload");
    wait_until(|| api.get("/readyz").status == 503);
    api.get("/readyz")
        .expect_problem(ProblemCode::StoreFull, "readiness");
    // Stored keys work, and nothing is left of the key that there was no room for.
    for user in &stored {
        user.assert_scores(&api, 0);
    }
    let last = stored.pop().expect("one was stored");
    api.delete(&format!("/v1/keys/{}", last.id())).expect_status(204);
    api.put_key(last.id(), &last.public_key).expect_status(201);
    last.assert_scores(&api, 1);
    let last = stored.pop().expect("two were stored");
    api.delete(&format!("/v1/keys/{}", last.id())).expect_status(204);
    wait_until(|| api.get("/readyz").status == 200);
    assert!(metric(&api, r#"blindscore_store_errors_total{kind="full"}"#) >= 1.0);
    Ok(())
}

/// Runs `healthy` with a server's variables, and returns what it says if the server is ready, else
/// the error.
fn healthy(server: &Server, variables: &[(&str, String)]) -> Result<String, String> {
    let (_, address) = server.url().split_once("://").expect("a URL");
    let ended = blindscore_server()
        .arg("healthy")
        .env("BLINDSCORE_BIND", address)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .output()
        .expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("words");
    match ended.status.code() {
        Some(0) => Ok(text(ended.stdout)),
        Some(1) => Err(text(ended.stderr)),
        other => panic!("healthy ended with {other:?}"),
    }
}

#[test]
fn healthy_says_whether_a_server_is_ready() -> Result<()> {
    let mut server = Server::start();
    let ready = Ok("ready\n".to_owned());
    assert_eq!(healthy(&server, &[]), ready);

    fs::rename(server.keys_dir(), server.keys_dir().with_extension("moved"))?;
    fs::write(server.keys_dir(), "a file where the directory was")?;
    wait_until(|| server.api().get("/readyz").status == 503);
    assert!(healthy(&server, &[]).is_err_and(|words| words.contains("store_unavailable")));
    server.terminate();
    assert!(healthy(&server, &[]).is_err_and(|words| words.contains("no answer from http://127.0.0.1:")));

    let tls = Tls::new()?;
    let server = Server::start_with(&tls.options().each_ref().map(String::as_str));
    let certificate = tls.certificate().to_string_lossy().into_owned();
    assert_eq!(healthy(&server, &[("BLINDSCORE_TLS_CERT", certificate)]), ready);
    assert!(healthy(&server, &[]).is_err());
    Ok(())
}

/// Stores a network's key, and returns a request to score with it.
fn network_request(server: &Server) -> Vec<u8> {
    let api = server.api();
    let model: CheckedDescriptor = api.get("/v1/models/mnist-net").expect_status(200).json();
    let (client, public) = ClientKey::generate(model.parameters()).expect("randomness");
    let (blob, id) = public.to_blob();
    api.put_key(id, &blob).expect_status(201);
    let query = client.encrypt(&model, &digit(0)).expect("a picture").repeat(8);
    let head = format!(
        "POST /v1/models/mnist-net/score HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/octet-stream\r\n{KEY_HEADER}: {id}\r\n\
         content-length: {}\r\n\r\n",
        query.len()
    );
    [head.as_bytes(), &query].concat()
}

#[test]
fn work_for_clients_that_have_gone_is_not_begun() {
    let server = Server::start_with(&["--workers", "1"]);
    let api = server.api();
    let request = network_request(&server);
    let send = || {
        let mut stream = api.connect();
        stream.write_all(&request).expect("a request is sent");
        stream
    };
    // One request is being scored, 12 wait.
    let mut first = send();
    wait_until(|| metric(&api, "blindscore_queued_queries") == 8.0);
    let others: Vec<TcpStream> = (0..12).map(|_| send()).collect();
    wait_until(|| metric(&api, "blindscore_queued_queries") == 104.0);
    for stream in others {
        stream.shutdown(Shutdown::Both).expect("it was open");
    }
    // They leave the queue. Only the first is answered, and perhaps one whose turn had come.
    wait_until(|| metric(&api, "blindscore_queued_queries") <= 16.0);
    let mut answer = [0; 12];
    first.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 200");
    wait_until(|| metric(&api, "blindscore_queued_queries") == 0.0);
    assert!(metric(&api, r#"blindscore_queries_total{model="mnist-net"}"#) <= 16.0);
}

#[test]
fn a_stop_waits_for_what_is_in_progress_but_not_for_ever() {
    let mut server = Server::start_with(&["--workers", "1", "--shutdown-seconds", "60"]);
    let request = network_request(&server);
    let mut stream = server.api().connect();
    stream.write_all(&request).expect("a request is sent");
    let api = server.api();
    wait_until(|| metric(&api, "blindscore_queued_queries") == 8.0);
    let reader = thread::spawn(move || {
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).map(|()| answer)
    });
    assert!(server.terminate().success(), "{}", server.log());
    let answer = reader.join().expect("the reader lives").expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 200");

    // An upload that never ends is not waited for.
    let mut server = Server::start_with(&["--shutdown-seconds", "1"]);
    let mut stalled = server.api().connect();
    let head = format!(
        "PUT /v1/keys/{} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n",
        "0".repeat(64)
    );
    stalled.write_all(head.as_bytes()).expect("a head is sent");
    wait_until(|| server.log().contains("listening"));
    assert!(server.terminate().success(), "{}", server.log());
}

#[test]
fn an_upload_that_stops_is_given_up_and_gives_its_memory_back() {
    let server = Server::start();
    let api = server.api();
    let mut stalled = api.connect();
    let head = format!(
        "PUT /v1/keys/{} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n",
        "0".repeat(64)
    );
    stalled.write_all(head.as_bytes()).expect("a head is sent");
    stalled.write_all(&[0; 1000]).expect("a part of the body is sent");
    wait_until(|| metric(&api, r#"blindscore_body_memory_bytes{body="upload"}"#) == 1e6);
    let mut answer = String::new();
    // The server disconnects by itself.
    stalled.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(
        answer.contains("\"request_timeout\"") && answer.contains("\"retry\""),
        "{answer}"
    );
    assert_eq!(
        metric(&api, r#"blindscore_body_memory_bytes{body="upload"}"#),
        0.0
    );
}

#[test]
fn the_log_is_json_when_asked_for_with_a_request_id_on_each_line() -> Result<()> {
    let server = Server::start_with(&["--log-format", "json"]);
    let reply = server.api().get("/v1/models/mnist-linear").expect_status(200);
    let id = reply.header("x-request-id").to_owned();
    // The log line is written after the response.
    wait_until(|| server.log().contains(&id));
    let log = server.log();
    let lines = log.lines().map(serde_json::from_str::<serde_json::Value>);
    let lines: Vec<_> = lines.collect::<Result<_, _>>()?;
    let answered = lines.iter().find(|line| line["span"]["id"] == id.as_str());
    let fields = &answered.expect("a line with the id of the request")["fields"];
    assert_eq!(fields["route"], "/v1/models/{model}");
    assert_eq!(fields["status"], 200);
    Ok(())
}

fn wait_until(done: impl Fn() -> bool) {
    while !done() {
        thread::sleep(Duration::from_millis(5));
    }
}
