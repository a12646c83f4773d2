//! Traces: what reaches a collector, what doesn't, and that no request waits for one.

use anyhow::Result;
use blindscore_protocol::{KEY_HEADER, OCTET_STREAM, problem::ProblemCode};
use blindscore_tests::{Api, Server, User, token};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use prost::Message;
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};
use tempfile::TempDir;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
const SCORE_ROUTE: &str = "/v1/models/{model}/score";

/// How a collector treats what it receives.
#[derive(Clone, Copy)]
enum Manner {
    /// Takes everything.
    Takes,
    /// Takes requests, and says that it rejected one span.
    RejectsOne,
    /// Answers 500.
    Fails,
    /// Answers 503 to the first request, then takes everything.
    FailsOnce,
    /// Reads requests, and never answers.
    Hangs,
}

/// A request that a collector has received.
struct Received {
    head: String,
    body: Vec<u8>,
}

/// A collector on a free port.
struct Collector {
    url: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Collector {
    fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let received = Arc::<Mutex<Vec<Received>>>::default();
        let sink = received.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let sink = sink.clone();
                // It ends when the server disconnects.
                thread::spawn(move || serve(&stream, manner, &sink));
            }
        });
        Self { url, received }
    }

    /// Starts a server that sends its traces here.
    fn traced(&self, arguments: &[&str]) -> Server {
        Server::start_with(&[&["--otlp-endpoint", &self.url], arguments].concat())
    }

    fn with<T>(&self, look: impl FnOnce(&[Received]) -> T) -> T {
        look(&self.received.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the spans so far.
    fn spans(&self) -> Vec<Span> {
        self.with(|received| {
            let messages = received.iter().map(|request| {
                ExportTraceServiceRequest::decode(request.body.as_slice()).expect("a message of OTLP")
            });
            let resources = messages.flat_map(|message| message.resource_spans);
            let scopes = resources.flat_map(|resource| resource.scope_spans);
            scopes.flat_map(|scope| scope.spans).collect()
        })
    }

    /// Waits for the span of a request to this route, and returns it.
    fn await_request(&self, route: &str) -> Span {
        loop {
            let found = self
                .spans()
                .into_iter()
                .find(|span| text(&span.attributes, "http.route") == route);
            match found {
                Some(span) => return span,
                None => thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// Returns the spans below this one, by name.
    fn below(&self, parent: &Span) -> BTreeMap<String, Span> {
        let spans = self.spans().into_iter();
        let below = spans.filter(|span| span.parent_span_id == parent.span_id);
        below.map(|span| (span.name.clone(), span)).collect()
    }
}

/// Reads requests and answers them.
fn serve(stream: &TcpStream, manner: Manner, received: &Mutex<Vec<Received>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let length = head.to_lowercase();
        let length = length.split("content-length: ").nth(1)?.lines().next()?;
        let mut body = vec![0; length.parse().ok()?];
        reader.read_exact(&mut body).ok()?;
        let mut received = received.lock().unwrap_or_else(PoisonError::into_inner);
        let status = match manner {
            Manner::Fails => "500 Internal Server Error",
            Manner::FailsOnce if received.is_empty() => "503 Service Unavailable",
            _ => "200 OK",
        };
        received.push(Received { head, body });
        drop(received);
        let answer: &[u8] = match manner {
            Manner::Hangs => continue,
            // partial_success { rejected_spans: 1, error_message: "no" }
            Manner::RejectsOne => b"\x0a\x06\x08\x01\x12\x02no",
            _ => b"",
        };
        let length = answer.len();
        write!(writer, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n").ok()?;
        writer.write_all(answer).ok()?;
    }
}

fn value<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    found.value.as_ref()?.value.as_ref()
}

fn text<'a>(attributes: &'a [KeyValue], key: &str) -> &'a str {
    match value(attributes, key) {
        Some(Value::StringValue(text)) => text,
        _ => "",
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Scores as `user`, as a client does that traces its calls.
fn score_within(api: &Api, user: &User, headers: &[(&str, &str)]) {
    let id = user.id().to_string();
    let always = [("content-type", OCTET_STREAM), (KEY_HEADER, id.as_str())];
    let headers = [&always, headers].concat();
    let query = user.query(0);
    let path = "/v1/models/mnist-linear/score";
    let reply = api.send("POST", path, &headers, &query).expect_status(200);
    user.check(0, &reply.body);
}

fn lost(api: &Api, kind: &str) -> f64 {
    let body = api.get("/metrics").expect_status(200).body;
    let series = format!("blindscore_lost_spans_total{{kind=\"{kind}\"}} ");
    let text = String::from_utf8(body).expect("metrics are text");
    let value = text.lines().find_map(|line| line.strip_prefix(&series));
    value.and_then(|value| value.parse().ok()).unwrap_or_default()
}

fn wait_until(done: impl Fn() -> bool) {
    while !done() {
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_score_is_a_part_of_its_clients_trace() {
    let collector = Collector::start(Manner::Takes);
    let server = collector.traced(&["--log-format", "json"]);
    let api = server.api();
    let user = User::enrolled(&api);
    let traceparent = format!("00-{TRACE}-{CALLER}-01");
    let sent = [("traceparent", traceparent.as_str()), ("tracestate", "vendor=1")];
    score_within(&api, &user, &sent);

    let request = collector.await_request(SCORE_ROUTE);
    assert_eq!(request.name, format!("POST {SCORE_ROUTE}"));
    assert_eq!(request.kind(), SpanKind::Server);
    assert_eq!(hex(&request.trace_id), TRACE);
    assert_eq!(hex(&request.parent_span_id), CALLER);
    assert_eq!(request.trace_state, "vendor=1");
    assert_eq!(
        request.status.as_ref().expect("a status").code(),
        StatusCode::Unset
    );
    let attributes = &request.attributes;
    for (key, expected) in [
        ("http.request.method", "POST"),
        ("http.route", SCORE_ROUTE),
        ("url.scheme", "http"),
        ("server.address", "127.0.0.1"),
        ("blindscore.model", "mnist-linear"),
        ("blindscore.tenant", "-"),
    ] {
        assert_eq!(text(attributes, key), expected, "{key}");
    }
    let number = |key| value(attributes, key).cloned();
    assert_eq!(number("http.response.status_code"), Some(Value::IntValue(200)));
    assert_eq!(number("blindscore.queries"), Some(Value::IntValue(1)));

    let parts = collector.below(&request);
    let names: Vec<&str> = parts.keys().map(String::as_str).collect();
    let expected = ["load key", "read body", "score", "send response", "wait for turn"];
    assert_eq!(names, expected);
    for part in parts.values() {
        assert_eq!(hex(&part.trace_id), TRACE);
        assert!(
            part.start_time_unix_nano >= request.start_time_unix_nano,
            "{}",
            part.name
        );
        assert!(
            part.end_time_unix_nano <= request.end_time_unix_nano,
            "{}",
            part.name
        );
    }
    let load = &parts["load key"];
    let found = value(&load.attributes, "blindscore.key.found");
    assert_eq!(found, Some(&Value::BoolValue(false)));
    let steps: Vec<String> = collector.below(load).into_keys().collect();
    assert_eq!(steps, ["prepare key", "read key"]);

    // The log names the trace, beside the id that the span has.
    let id = text(attributes, "blindscore.request_id");
    wait_until(|| server.log().contains(id));
    let log = server.log();
    let line = log.lines().find(|line| line.contains(id)).expect("a line");
    assert!(line.contains(&format!("\"trace_id\":\"{TRACE}\"")), "{line}");
}

#[test]
fn nothing_exported_names_a_key_a_token_or_a_query() -> Result<()> {
    let collector = Collector::start(Manner::Takes);
    let data = Arc::new(TempDir::new()?);
    let token = token(data.path(), "clinic")?;
    let headers = "authorization=Bearer for-the-collector,x-scope=clinics";
    let server = Server::on(
        data,
        &["--otlp-endpoint", &collector.url, "--otlp-headers", headers],
    );
    let api = server.api().with_token(&token);
    let user = User::enrolled(&api);
    let path = "/v1/models/mnist-linear/score?secret=in-the-query";
    api.send("POST", path, &[("x-private", "in-a-header")], b"in-the-body")
        .expect_status(400);
    let key = format!("/v1/keys/{}?secret=in-the-query", user.id());
    api.get(&key).expect_status(200);
    let refused = api.raw(b"SECRET /in-the-path HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    assert!(refused.starts_with("HTTP/1.1 404 "), "{refused}");
    score_within(&api, &user, &[]);
    drop_after_flush(server);

    let mut bytes = collector.with(|received| {
        for request in received {
            assert!(request.head.starts_with("POST /v1/traces HTTP/1.1\r\n"));
            assert!(
                request
                    .head
                    .contains("authorization: Bearer for-the-collector\r\n")
            );
            assert!(request.head.contains("x-scope: clinics\r\n"));
            assert!(request.head.contains("content-type: application/x-protobuf\r\n"));
        }
        let bodies = received.iter().map(|request| request.body.clone());
        bodies.collect::<Vec<_>>().concat()
    });
    bytes.make_ascii_lowercase();
    let id = user.id().to_string();
    let raw: Vec<u8> = (0..id.len() / 2)
        .map(|at| u8::from_str_radix(&id[2 * at..2 * at + 2], 16))
        .collect::<Result<_, _>>()?;
    let mut secrets: Vec<Vec<u8>> = [id.as_str(), &token.to_lowercase(), "secret", "in-the-", "in-a-"]
        .iter()
        .map(|text| text.as_bytes().to_vec())
        .collect();
    secrets.extend([raw.to_ascii_lowercase(), b"for-the-collector".to_vec()]);
    for secret in secrets {
        let found = bytes.windows(secret.len()).any(|window| window == secret);
        assert!(!found, "{}", String::from_utf8_lossy(&secret));
    }
    // The tenant is there, as it is in the log, and so are the requests.
    assert!(bytes.windows(6).any(|window| window == b"clinic"));
    let mut names: Vec<String> = collector.spans().into_iter().map(|span| span.name).collect();
    names.retain(|name| name.contains('/') || name == "HTTP");
    assert_eq!(
        names,
        [
            "GET /v1/models/{model}",
            "PUT /v1/keys/{key_id}",
            &format!("POST {SCORE_ROUTE}"),
            "GET /v1/keys/{key_id}",
            "HTTP",
            &format!("POST {SCORE_ROUTE}"),
        ]
    );
    Ok(())
}

/// Stops a server, which sends the spans that are left.
fn drop_after_flush(mut server: Server) {
    assert!(server.terminate().success(), "{}", server.log());
}

#[test]
fn a_malformed_parent_begins_a_trace_and_a_parent_decides_whether_there_is_one() {
    let collector = Collector::start(Manner::Takes);
    let server = collector.traced(&["--otlp-sample", "0"]);
    let api = server.api();
    let get = |path: &str, parent: &str| {
        api.send("GET", path, &[("traceparent", parent)], b"")
            .expect_status(200);
    };
    get("/v1/models", &format!("00-{TRACE}-{CALLER}-00"));
    get("/healthz", &format!("00-{TRACE}-{CALLER}"));
    get("/v1/models/mnist-linear", &format!("00-{TRACE}-{CALLER}-01"));
    drop_after_flush(server);
    // The share is 0: only the request whose client says so is traced.
    let traced = collector.spans();
    let routes: Vec<&str> = traced
        .iter()
        .map(|span| text(&span.attributes, "http.route"))
        .collect();
    assert_eq!(
        routes
            .into_iter()
            .filter(|route| !route.is_empty())
            .collect::<Vec<_>>(),
        ["/v1/models/{model}"]
    );

    let collector = Collector::start(Manner::Takes);
    let server = collector.traced(&[]);
    let api = server.api();
    let get = |path: &str, parent: &str| {
        api.send("GET", path, &[("traceparent", parent)], b"")
            .expect_status(200);
    };
    get("/v1/models", &format!("00-{TRACE}-{CALLER}-00"));
    get("/healthz", &format!("00-{TRACE}-{CALLER}"));
    drop_after_flush(server);
    let spans = collector.spans();
    let request = spans
        .iter()
        .find(|span| span.parent_span_id.is_empty())
        .expect("a root");
    assert_eq!(text(&request.attributes, "http.route"), "/healthz");
    assert_ne!(hex(&request.trace_id), TRACE);
    assert!(spans.iter().all(|span| span.trace_id == request.trace_id));
}

#[test]
fn errors_of_the_server_are_errors_of_the_span() {
    let collector = Collector::start(Manner::Takes);
    // No readiness without a store.
    let server = collector.traced(&[]);
    let api = server.api();
    std::fs::remove_dir_all(server.keys_dir()).expect("a folder");
    std::fs::write(server.keys_dir(), "a file where the directory was").expect("a file");
    wait_until(|| api.get("/readyz").status == 503);
    api.get("/readyz")
        .expect_problem(ProblemCode::StoreUnavailable, "readiness");
    api.get("/v1/models/none").expect_status(404);
    drop_after_flush(server);
    let spans = collector.spans();
    let code = |route: &str, status: i64| {
        let found = spans.iter().find(|span| {
            text(&span.attributes, "http.route") == route
                && value(&span.attributes, "http.response.status_code") == Some(&Value::IntValue(status))
        });
        found
            .and_then(|span| span.status.as_ref())
            .map(|status| status.code())
    };
    assert_eq!(code("/readyz", 503), Some(StatusCode::Error));
    assert_eq!(code("/v1/models/{model}", 404), Some(StatusCode::Unset));
}

#[test]
fn a_collector_that_fails_or_hangs_costs_no_request_anything() {
    for (manner, kind) in [(Manner::Fails, "refused"), (Manner::Hangs, "unreachable")] {
        let collector = Collector::start(manner);
        let server = collector.traced(&[]);
        let api = server.api();
        let user = User::enrolled(&api);
        for shape in 0..3 {
            user.assert_scores(&api, shape);
        }
        // While the collector has a batch that it never answers, requests are.
        wait_until(|| collector.with(|received| !received.is_empty()));
        user.assert_scores(&api, 3);
        wait_until(|| lost(&api, kind) >= 3.0);
        wait_until(|| server.log().contains("spans of traces were lost"));
        drop_after_flush(server);
    }
}

#[test]
fn spans_that_a_collector_rejects_are_counted_and_a_busy_one_is_asked_again() {
    let collector = Collector::start(Manner::RejectsOne);
    let server = collector.traced(&[]);
    let api = server.api();
    api.get("/v1/models").expect_status(200);
    wait_until(|| lost(&api, "refused") >= 1.0);
    wait_until(|| server.log().contains("rejected some spans: no"));

    let collector = Collector::start(Manner::FailsOnce);
    let server = collector.traced(&[]);
    let api = server.api();
    api.get("/v1/models").expect_status(200);
    wait_until(|| collector.with(|received| received.len() >= 2));
    let same = collector.with(|received| received[0].body == received[1].body);
    assert!(same, "the first batch is sent again");
    assert_eq!(lost(&api, "refused"), 0.0);
}

#[test]
fn a_queue_that_nobody_empties_takes_no_more_and_a_stop_does_not_wait_for_ever() {
    let collector = Collector::start(Manner::Hangs);
    let server = collector.traced(&["--shutdown-seconds", "1"]);
    let api = server.api();
    while lost(&api, "queue_full") == 0.0 {
        for _ in 0..100 {
            api.get("/healthz").expect_status(200);
        }
    }
    drop_after_flush(server);
}

#[test]
fn a_stop_sends_the_last_spans() {
    let collector = Collector::start(Manner::Takes);
    let server = collector.traced(&[]);
    server.api().get("/v1/models").expect_status(200);
    drop_after_flush(server);
    let spans = collector.spans();
    let route = |span: &Span| text(&span.attributes, "http.route") == "/v1/models";
    assert!(spans.iter().any(route), "{spans:?}");
    let resources = collector.with(|received| {
        let message = ExportTraceServiceRequest::decode(received[0].body.as_slice());
        message.expect("a message of OTLP").resource_spans
    });
    let attributes = &resources[0].resource.as_ref().expect("a resource").attributes;
    assert_eq!(text(attributes, "service.name"), "blindscore-server");
    assert_eq!(text(attributes, "service.instance.id").len(), 32);
}

#[test]
fn without_an_endpoint_there_are_no_traces() {
    let collector = Collector::start(Manner::Takes);
    // Other programs' variables don't turn them on.
    let server = Server::start_among(
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url),
        &["--log-format", "json"],
    );
    let api = server.api();
    let user = User::enrolled(&api);
    score_within(
        &api,
        &user,
        &[("traceparent", &format!("00-{TRACE}-{CALLER}-01"))],
    );
    assert!(!server.log().contains("trace_id"), "{}", server.log());
    drop_after_flush(server);
    assert!(collector.with(<[Received]>::is_empty));
}
