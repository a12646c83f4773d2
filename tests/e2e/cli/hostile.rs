//! Malicious servers: what they can do to the program, and where they can redirect it.

use super::toy::{COEF, PREDICT, classes, models, read, serve, write_rows};
use blindscore_tests::{Gate, Passage, Program};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// Starts a server that calls `say` with the connection of every request. Returns its URL and the
/// number of requests so far.
fn answering(say: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = format!("http://{}", listener.local_addr().expect("its address"));
    let (say, requests) = (Arc::new(say), Arc::new(AtomicUsize::new(0)));
    let count = requests.clone();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (say, count) = (say.clone(), count.clone());
            thread::spawn(move || {
                let copy = stream.try_clone().expect("another handle");
                // All requests here consist of headers only.
                let head = BufReader::new(copy).lines().map_while(Result::ok);
                if head.take_while(|line| !line.is_empty()).count() > 0 {
                    count.fetch_add(1, Ordering::SeqCst);
                    say(&mut stream);
                }
            });
        }
    });
    (address, requests)
}

/// Starts a server that always sends one response, then closes the connection.
fn with_answer(head: &str, body: &str) -> String {
    let answer = format!("HTTP/1.1 {head}\r\nconnection: close\r\n\r\n{body}");
    let say = move |stream: &mut TcpStream| drop(stream.write_all(answer.as_bytes()));
    answering(say).0
}

const KEYGEN: [&str; 3] = ["keygen", "--model", "toy"];

#[test]
fn a_body_without_an_end_is_read_as_far_as_it_may_go() {
    let written = Arc::new(AtomicUsize::new(0));
    let count = written.clone();
    let (url, _) = answering(move |stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while let Ok(bytes) = stream.write(&[b' '; 1 << 16]) {
            count.fetch_add(bytes, Ordering::SeqCst);
        }
    });
    Program::new(&url)
        .run(&KEYGEN)
        .expect_failure("makes no sense: it is longer than 4194304 bytes");
    // The buffers of both sides come on top of the limit.
    assert!(written.load(Ordering::SeqCst) < 32 << 20);
}

#[test]
fn waiting_has_an_end() {
    let (url, _) = answering(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(b" ").is_ok() {
            thread::sleep(Duration::from_millis(10));
        }
    });
    let dripping = Program::new(&url);
    dripping
        .run(&[&KEYGEN[..], &["--max-wait", "1"]].concat())
        .expect_failure("would exceed the 1 s of --max-wait");
    // The server was obeyed, eight times.
    let (url, requests) = answering(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 503 Busy\r\nretry-after: 601\r\nconnection: close\r\n\r\n");
    });
    Program::new(&url)
        .run(&KEYGEN)
        .expect_failure("retrying in 601.0 s would exceed the 600 s of --max-wait");
    assert_eq!(requests.load(Ordering::SeqCst), 1);
}

#[test]
fn redirects_are_not_followed() {
    let (elsewhere, requests) = answering(|_| ());
    for status in ["301 Moved", "302 Found", "303 Other", "307 Other", "308 Moved"] {
        let head = format!("{status}\r\nlocation: {elsewhere}/v1/models/toy");
        let url = with_answer(&head, "");
        let words = format!("{url} redirects to {elsewhere}: redirects are not followed");
        Program::new(&url).run(&KEYGEN).expect_failure(&words);
    }
    let models = classes();
    let server = serve(&models, &[]);
    let gate = Gate::before(server.url(), |number| match number {
        0 => {
            Passage::Answer("HTTP/1.1 303 Other\r\nlocation: https://localhost/\r\ncontent-length: 0\r\n\r\n")
        }
        _ => Passage::Forward,
    });
    let program = Program::new(gate.url());
    write_rows(&program.home().join("rows.csv"));
    program.run(&KEYGEN).expect_success();
    program
        .run(&PREDICT)
        .expect_failure("redirects to https://localhost/");
    assert_eq!(requests.load(Ordering::SeqCst), 0);
}

#[test]
fn what_a_server_says_is_shown_and_steers_nothing() {
    let nested = format!(r#"{{"x": {}"#, "[".repeat(100_000));
    for (head, body, words) in [
        (
            "400 Bad",
            r#"{"title": "\u001b[2J\u001b]0;pwned\u0007", "detail": "a\nerror: b"}"#,
            r"\u{1b}[2J\u{1b}]0;pwned\u{7}: a\u{a}error: b",
        ),
        ("200 OK", r#"{"link": "\u001b[2J"}"#, "makes no sense"),
        ("200 OK", &nested, "makes no sense: recursion limit exceeded"),
        (
            "302 Found\r\nlocation: http://a/\u{9b}2J",
            "",
            "redirects to http://a/",
        ),
    ] {
        let ended = Program::new(&with_answer(head, body))
            .run(&KEYGEN)
            .expect_failure(words);
        let steering = ended
            .stderr
            .trim_end()
            .contains(|c: char| c.is_control() && c != '\n');
        assert!(
            !steering && ended.stderr.lines().count() == 1,
            "{:?}",
            ended.stderr
        );
    }
}

#[test]
fn labels_are_no_formulas_unless_they_are_wanted_as_they_are() {
    let formula = "=HYPERLINK(\"http://a\",\"b\")";
    let models = models(
        "softmax",
        &COEF,
        r#"["=HYPERLINK(\"http://a\",\"b\")", "-1", "\u001b[2J"]"#,
    );
    let server = serve(&models, &[]);
    let program = Program::new(server.url());
    write_rows(&program.home().join("rows.csv"));
    program.run(&KEYGEN).expect_success();
    for (more, expected) in [
        (&[][..], [&*format!("'{formula}"), "-1", "\\u{1b}[2J"]),
        (&["--raw-labels"], [formula, "-1", "\u{1b}[2J"]),
    ] {
        program.run(&[&PREDICT, more].concat()).expect_success();
        let (header, lines) = read(&program.home().join("scores.csv"));
        let score = |label: &str| format!("score_{}", label.trim_start_matches('\''));
        assert_eq!(header[2..5], expected.map(score));
        let found = |label: &&str| lines.iter().any(|line| line[1] == *label);
        assert!(expected.iter().all(found), "{lines:?}");
        assert!(
            lines.iter().all(|line| expected.contains(&&*line[1])),
            "{lines:?}"
        );
    }
}

#[test]
fn a_private_authority_is_trusted_if_the_user_says_so() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("written");
        path.to_string_lossy().into_owned()
    };
    let key = || rcgen::KeyPair::generate().expect("a key");
    let mut authority = rcgen::CertificateParams::default();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let (ca_key, server_key) = (key(), key());
    let ca = authority.self_signed(&ca_key).expect("a certificate");
    let issuer = rcgen::Issuer::new(authority, ca_key);
    let of_server = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name");
    let signed = of_server.signed_by(&server_key, &issuer).expect("a certificate");
    let ca = write("ca.pem", ca.pem());
    let certificate = write("server.pem", signed.pem());
    let secret = write("key.pem", server_key.serialize_pem());

    let models = classes();
    let server = serve(&models, &["--tls-cert", &certificate, "--tls-key", &secret]);
    let program = Program::new(server.url());
    assert!(server.url().starts_with("https://"));
    program
        .run(&KEYGEN)
        .expect_failure("is not trusted: UnknownIssuer. If a private authority has signed it");
    for (number, variable) in ["BLINDSCORE_CA_CERT", "SSL_CERT_FILE"].into_iter().enumerate() {
        let key = ["--key", ["a.key", "b.key"][number]];
        let run = [&KEYGEN[..], &key].concat();
        program.run_with(&[(variable, &ca)], &run).expect_success();
    }
    program
        .run(&[
            "upload-keys",
            "--model",
            "toy",
            "--key",
            "a.key",
            "--ca-cert",
            &ca,
        ])
        .expect_success();

    let broken = write(
        "broken.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".into(),
    );
    for (file, words) in [
        (&secret, "key.pem has no certificate in PEM"),
        (&broken, "certificate 1 in"),
        (&"none.pem".to_owned(), "can't read none.pem"),
    ] {
        for variable in ["BLINDSCORE_CA_CERT", "SSL_CERT_FILE"] {
            let ended = program.run_with(&[(variable, file)], &KEYGEN);
            ended.expect_failure(words);
        }
    }
}

#[test]
fn a_token_that_no_header_can_have_is_named() {
    let program = Program::new("http://127.0.0.1:9");
    program
        .run_with(&[("BLINDSCORE_TOKEN", "secret\n")], &KEYGEN)
        .expect_failure("the token has characters that can't stand in a header");
}
