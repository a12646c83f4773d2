//! Attacks that make a server hold memory, at a limited scale, beside an honest client.

use anyhow::{Context, Result};
use blindscore_client::ClientKey;
use blindscore_protocol::problem::ProblemCode;
use blindscore_tests::{Api, Server, Tls, User, token, wide_model};
use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
    thread,
    time::Duration,
};
use tempfile::TempDir;

/// Memory allowed beyond the cache and `--upload-mib`, in bytes.
const MARGIN: u64 = 200_000_000;
/// Longer than the time after which a client that sends nothing gives way.
const SILENT: Duration = Duration::from_millis(2_500);
/// Longer than the time after which a client that reads nothing gives way.
const DEAF: Duration = Duration::from_millis(5_500);
/// Seconds that a burst may pay for, with some margin.
const PAID: u64 = 12;

/// Opens a connection and sends bytes, without reading.
fn send(api: &Api, bytes: &[u8]) -> Result<TcpStream> {
    let mut stream = api.connect();
    stream.write_all(bytes)?;
    Ok(stream)
}

/// Checks whether the server has closed a connection, or responds on it, within a moment.
fn has_ended(stream: &TcpStream) -> bool {
    let mut stream = stream.try_clone().expect("the same connection");
    stream
        .set_read_timeout(Some(Duration::from_millis(1)))
        .expect("a timeout can be set");
    !matches!(
        stream.read(&mut [0; 1 << 16]),
        Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
    )
}

#[test]
fn answers_that_nobody_reads_stay_within_the_bound_and_give_way() -> Result<()> {
    const UPLOAD_MIB: u64 = 64;
    let folder = TempDir::new()?;
    let models = wide_model(folder.path())?;
    let server = Server::start_with(&[
        "--models-dir",
        models.to_str().context("a path")?,
        "--upload-mib",
        &UPLOAD_MIB.to_string(),
    ]);
    let api = server.api();
    let honest = User::enrolled(&api);
    honest.assert_scores(&api, 0);
    let before = server.memory("VmRSS");

    let wide = api.model("wide");
    let most = wide.queries_per_request();
    assert!(most < 8, "{most} responses of {} bytes", wide.sizes.response);
    let (client, public) = ClientKey::generate(wide.parameters())?;
    let (blob, id) = public.to_blob();
    api.put_key(id, &blob).expect_status(201);
    let query = client.encrypt(&wide, &[0.5; 8])?;
    let post = |queries: usize| {
        let head = format!(
            "POST /v1/models/wide/score HTTP/1.1\r\nhost: localhost\r\nblindscore-key: {}\r\n\
             content-type: application/octet-stream\r\ncontent-length: {}\r\n\r\n",
            id,
            queries * query.len()
        );
        [head.into_bytes(), query.repeat(queries)].concat()
    };
    // More queries than a request may carry are refused.
    let id_text = id.to_string();
    let headers = [
        ("blindscore-key", &*id_text),
        ("content-type", "application/octet-stream"),
    ];
    api.send("POST", "/v1/models/wide/score", &headers, &query.repeat(most + 1))
        .expect_problem(ProblemCode::PayloadTooLarge, "too many long answers");

    let mut unread = Vec::new();
    for round in 0..100 {
        unread.push(send(&api, &post(most))?);
        if round % 10 == 9 {
            honest.assert_scores(&api, round);
        }
    }
    thread::sleep(DEAF);
    // Clients that don't read make room for the next ones.
    for _ in 0..10 {
        unread.push(send(&api, &post(most))?);
        thread::sleep(Duration::from_millis(50));
        honest.assert_scores(&api, 1);
    }
    let grown = server.memory("VmHWM") - before;
    assert!(
        grown < (UPLOAD_MIB << 20) + MARGIN,
        "{} MB more than before",
        grown / 1_000_000
    );
    let answer = api.send("POST", "/v1/models/wide/score", &headers, &query);
    answer.expect_status(200);
    drop(unread);
    honest.assert_scores(&api, 2);
    Ok(())
}

#[test]
fn requests_sent_ahead_take_no_memory() -> Result<()> {
    let server = Server::start_with(&["--upload-mib", "64"]);
    sent_ahead(&server, || Ok(server.api().connect()))
}

#[test]
fn requests_sent_ahead_over_tls_take_no_memory() -> Result<()> {
    let tls = Tls::new()?;
    let options = tls.options();
    let options: Vec<&str> = ["--upload-mib", "64"]
        .into_iter()
        .chain(options.iter().map(String::as_str))
        .collect();
    let server = Server::start_with(&options);
    let address = server.url().trim_start_matches("https://").to_owned();
    sent_ahead(&server, || tls.connect(&address))
}

/// Sends thousands of requests on each connection without reading, then some with reading.
fn sent_ahead<S: Read + Write + Timeouts>(server: &Server, connect: impl Fn() -> Result<S>) -> Result<()> {
    const CONNECTIONS: usize = 300;
    const GET: &[u8] = b"GET /v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let before = server.memory("VmRSS");
    let short = b"HEAD / HTTP/1.1\r\nhost:localhost\r\n\r\n".repeat(20_000);
    let long = GET.repeat(2_000);
    let put = format!(
        "PUT /v1/keys/{:064x} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/octet-stream\r\n",
        7
    );
    let sized = [format!("{put}content-length: 5\r\n\r\n12345").as_bytes(), &short].concat();
    let chunked = format!("{put}transfer-encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n");
    let chunked = [chunked.as_bytes(), &short].concat();
    let requests = [&short[..], &long, &sized, &chunked];
    let mut open = Vec::new();
    for number in 0..CONNECTIONS {
        let mut stream = connect()?;
        stream.write_timeout(Duration::from_millis(30))?;
        // Blocks once the server reads no more.
        let _ = stream.write_all(requests[number % requests.len()]);
        open.push(stream);
    }
    let grown = server.memory("VmHWM").saturating_sub(before);
    assert!(grown < 60_000_000, "{} MB more than before", grown / 1_000_000);

    // Clients that read get every response, each as its own request wants it.
    let few = 100;
    let mixed = [
        GET,
        b"HEAD /v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n",
        &sized[..sized.len() - short.len()],
        &chunked[..chunked.len() - short.len()],
    ]
    .concat();
    let last = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let mut stream = connect()?;
    stream.write_all(&[&mixed.repeat(few)[..], last].concat())?;
    let mut answers = Vec::new();
    stream.read_to_end(&mut answers)?;
    let answers = String::from_utf8(answers)?;
    let heads = answers.matches("HTTP/1.1 200 OK").count();
    let conflicts = answers.matches("HTTP/1.1 409 Conflict").count();
    let lists = answers.matches("{\"models\":[").count();
    assert_eq!((heads, conflicts, lists), (2 * few + 1, 2 * few, few));
    assert_eq!(answers.matches("connection: close").count(), 1);
    assert!(answers.ends_with("ok\n"), "{}", &answers[answers.len() - 300..]);
    drop(open);
    Ok(())
}

trait Timeouts {
    fn write_timeout(&mut self, time: Duration) -> Result<()>;
}

impl Timeouts for TcpStream {
    fn write_timeout(&mut self, time: Duration) -> Result<()> {
        Ok(self.set_write_timeout(Some(time))?)
    }
}

impl Timeouts for rustls::StreamOwned<rustls::ClientConnection, TcpStream> {
    fn write_timeout(&mut self, time: Duration) -> Result<()> {
        Ok(self.sock.set_write_timeout(Some(time))?)
    }
}

#[test]
fn who_reads_slowly_is_not_put_out_by_those_who_send_long_heads() -> Result<()> {
    let server = Server::start_with(&["--upload-mib", "64"]);
    let api = server.api();
    let mut slow = api.connect();
    let request = b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let last = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let mut sender = slow.try_clone()?;
    let sending = thread::spawn(move || {
        // More than the system's buffers hold: the server waits for the reader.
        let ahead = [&request.repeat(2000)[..], last].concat();
        sender.write_all(&ahead)
    });
    let head = format!(
        "GET / HTTP/1.1\r\nhost: localhost\r\ncookie: {}",
        "a".repeat(9_000)
    );
    let mut open = Vec::new();
    for _ in 0..300 {
        open.push(send(&api, head.as_bytes())?);
    }
    thread::sleep(Duration::from_secs(2));
    let mut answers = Vec::new();
    slow.read_to_end(&mut answers)?;
    sending.join().expect("no panic")?;
    assert!(answers.ends_with(b"ok\n"), "cut after {} bytes", answers.len());
    drop(open);
    Ok(())
}

#[test]
fn a_long_head_is_not_held() -> Result<()> {
    let server = Server::start();
    let api = server.api();
    let head = |len: usize| {
        let value = "a".repeat(len);
        format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncookie: {value}\r\n\r\n")
    };
    let answer = api.raw(head(30_000).as_bytes());
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(api.raw(head(50_000).as_bytes()), "");
    // More of them than may be held: the first have to go, the last can still finish.
    let server = Server::start_with(&["--upload-mib", "64"]);
    let api = server.api();
    let whole = head(20_000);
    let (part, rest) = whole.as_bytes().split_at(15_000);
    let mut open = (0..200).map(|_| send(&api, part)).collect::<Result<Vec<_>>>()?;
    thread::sleep(Duration::from_millis(500));
    let gone = open.iter().filter(|stream| has_ended(stream)).count();
    assert_eq!(gone, 200 - 128);
    let last = open.last_mut().context("a connection")?;
    last.set_read_timeout(None)?;
    last.write_all(rest)?;
    let mut answer = String::new();
    last.read_to_string(&mut answer)?;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    Ok(())
}

#[test]
fn stalled_uploads_of_one_tenant_keep_nobody_else_out() -> Result<()> {
    const LEN: usize = 10_421_860;
    let data = Arc::new(TempDir::new()?);
    let (mallory, alice) = (token(data.path(), "mallory")?, token(data.path(), "alice")?);
    let server = Server::on(data, &["--log", "warn"]);
    let alice = server.api().with_token(&alice);
    let user = User::enrolled(&alice);
    user.assert_scores(&alice, 0);

    let head = |number: usize| {
        format!(
            "PUT /v1/keys/{number:064x} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {mallory}\r\n\
             content-type: application/octet-stream\r\ncontent-length: {LEN}\r\n\r\n"
        )
    };
    // Sends all but the last bytes at once, and then one at a time.
    let part = vec![0; LEN - 100_000];
    let mut uploads = Vec::new();
    for number in 0..13 {
        let mut stream = server.api().connect();
        stream.set_write_timeout(Some(Duration::from_secs(20)))?;
        // Uploads without room are refused while they are sent.
        let _ = stream.write_all(head(number).as_bytes());
        let _ = stream.write_all(&part);
        uploads.push(stream);
    }
    thread::sleep(SILENT);
    user.assert_scores(&alice, 1);
    // One byte per second doesn't count as an upload, however much came before.
    for _ in 0..PAID {
        thread::sleep(Duration::from_secs(1));
        for stream in &mut uploads {
            let _ = stream.write_all(&[0]);
        }
        let another = User::new(&alice);
        alice
            .put_key(another.id(), &another.public_key)
            .expect_status(201);
        another.assert_scores(&alice, 2);
    }
    // A network's key finds room as well.
    let network = alice.model("mnist-net-small");
    let mut user = User::of(&network);
    let blob = user.take_public_key();
    alice.put_key(user.id(), &blob).expect_status(201);
    assert!(
        uploads.iter().any(has_ended),
        "someone has to have given way for it"
    );
    Ok(())
}

#[test]
fn a_later_head_that_stops_half_way_is_not_waited_for() -> Result<()> {
    let server = Server::start();
    let api = server.api();
    let mut stream = api.connect();
    let whole = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stream.write_all(whole)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    assert_eq!(&answer, b"HTTP/1.1 200");
    let mut patient = api.connect();
    patient.write_all(whole)?;
    stream.write_all(&whole[..20])?;
    // Reads the rest of the first response, after which nothing comes.
    let rest = stream.read_to_end(&mut Vec::new());
    assert!(
        !matches!(rest, Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)),
        "the server waits for ever"
    );
    // A client that has sent nothing since its response may still send.
    patient.write_all(whole)?;
    patient.set_read_timeout(Some(Duration::from_secs(1)))?;
    let mut answers = Vec::new();
    let _ = patient.read_to_end(&mut answers);
    let answers = String::from_utf8_lossy(&answers);
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 2, "{answers}");
    Ok(())
}

#[test]
fn what_a_client_announces_costs_nothing() -> Result<()> {
    let server = Server::with_one_heap();
    let api = server.api();
    let before = server.memory("VmSize");
    let open: Vec<_> = (0..60)
        .map(|number| {
            let head = format!(
                "PUT /v1/keys/{number:064x} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10000000\r\n\r\nx"
            );
            send(&api, head.as_bytes())
        })
        .collect::<Result<_>>()?;
    api.get("/v1/models").expect_status(200);
    thread::sleep(Duration::from_millis(200));
    let grown = server.memory("VmSize").saturating_sub(before);
    // Threads that start in the meantime have stacks of their own.
    assert!(grown < 450_000_000, "{} MB of addresses", grown / 1_000_000);
    drop(open);
    Ok(())
}

#[test]
fn a_page_that_gives_its_own_name_to_this_machine_gets_nothing() -> Result<()> {
    let server = Server::start();
    let api = server.api();
    let user = User::enrolled(&api);
    let requests = [
        "GET /v1/models HTTP/1.1\r\nhost: evil.example:9251".to_owned(),
        "GET /metrics HTTP/1.1\r\nhost: evil.example".into(),
        "GET http://evil.example/metrics HTTP/1.1\r\nhost: localhost".into(),
        "GET / HTTP/1.1\r\nhost: evil.example".into(),
        "OPTIONS /v1/models HTTP/1.1\r\norigin: http://evil.example\r\naccess-control-request-method: PUT\r\nhost: evil.example"
            .into(),
        format!("DELETE /v1/keys/{} HTTP/1.1\r\nhost: evil.example", user.id()),
        format!("DELETE /v1/keys/{} HTTP/1.1\r\nhost: localhost.evil.example", user.id()),
    ];
    let cors = Server::start_with(&["--cors-origins", "http://evil.example"]);
    for request in requests {
        for server in [&server, &cors] {
            let answer = server
                .api()
                .raw(format!("{request}\r\nconnection: close\r\n\r\n").as_bytes());
            assert!(answer.starts_with("HTTP/1.1 403 "), "{request}: {answer}");
            assert!(answer.contains("\"host_not_allowed\""), "{answer}");
            assert!(answer.to_ascii_lowercase().contains("x-request-id"), "{answer}");
        }
    }
    user.assert_scores(&api, 0);

    let named = Server::start_with(&["--allowed-hosts", "scores.example,other.example:81"]);
    for (host, status) in [
        ("scores.example:9", 200),
        ("other.example:81", 200),
        ("other.example", 403),
        ("127.0.0.1", 200),
    ] {
        let request = format!("GET /v1/models HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let answer = named.api().raw(request.as_bytes());
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{host}: {answer}"
        );
    }
    Ok(())
}
