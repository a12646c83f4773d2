//! Tokens, isolation and limits of tenants, and access to a server from elsewhere.

use anyhow::Result;
use blindscore_protocol::problem::ProblemCode;
use blindscore_tests::{Api, Server, Tls, User, blindscore_server};
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
    thread,
    time::Duration,
};
use tempfile::TempDir;

/// Runs `token` on a data directory and returns its output.
fn token(data: &TempDir, arguments: &[&str]) -> Result<String> {
    let output = blindscore_server()
        .arg("token")
        .args(arguments)
        .arg("--data-dir")
        .arg(data.path())
        .output()?;
    assert!(output.status.success(), "{output:?}");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Creates a data directory with one token for each tenant.
fn data(tenants: &[&str]) -> Result<(Arc<TempDir>, Vec<String>)> {
    let data = Arc::new(TempDir::new()?);
    let tokens = tenants.iter().map(|tenant| token(&data, &["create", tenant]));
    let tokens = tokens.collect::<Result<_>>()?;
    Ok((data, tokens))
}

#[test]
fn every_request_needs_a_valid_token() -> Result<()> {
    let (data, tokens) = data(&["clinic"])?;
    let server = Server::on(data.clone(), &[]);
    let (open, api) = (server.api(), server.api().with_token(&tokens[0]));
    let user = User::enrolled(&api);
    user.assert_scores(&api, 0);

    let path = format!("/v1/keys/{}", user.id());
    let strangers = [
        open.clone(),
        open.with_token(""),
        open.with_token("bsk_"),
        open.with_token(&tokens[0].to_lowercase()),
        open.with_token(&tokens[0][..tokens[0].len() - 1]),
    ];
    for stranger in &strangers {
        let replies = [
            stranger.get("/v1/models"),
            stranger.get("/v1/models/mnist-linear"),
            stranger.get(&path),
            stranger.delete(&path),
            stranger.put_key(user.id(), &user.public_key),
            stranger.score(user.id(), &user.query(0)),
            stranger.post_json("/score", "{}"),
        ];
        for reply in replies {
            assert_eq!(reply.header("www-authenticate"), "Bearer");
            reply.expect_problem(ProblemCode::Unauthorized, "without a valid token");
        }
        stranger.get("/healthz").expect_status(200);
        stranger.get("/readyz").expect_status(200);
    }
    user.assert_scores(&api, 1);

    // Only hashes are stored, and no token is logged.
    let file = fs::read_to_string(data.path().join("tokens.json"))?;
    let secret = &tokens[0]["bsk_".len()..];
    assert!(!file.contains(secret) && !server.log().contains(secret));
    Ok(())
}

#[test]
fn tokens_are_listed_and_revoked_while_the_server_runs() -> Result<()> {
    let (data, tokens) = data(&["clinic", "lab"])?;
    let server = Server::on(data.clone(), &[]);
    let [clinic, lab] = [0, 1].map(|index: usize| server.api().with_token(&tokens[index]));
    let listed = token(&data, &["list"])?;
    let line = listed
        .lines()
        .find(|line| line.contains(" clinic "))
        .unwrap_or_default();
    assert_eq!(listed.lines().count(), 2);
    assert!(tokens.iter().all(|token| !listed.contains(token)));

    token(&data, &["revoke", line.split(' ').next().unwrap_or_default()])?;
    wait_until(|| clinic.get("/v1/models").status == 401);
    lab.get("/v1/models").expect_status(200);
    let added = server.api().with_token(&token(&data, &["create", "clinic"])?);
    wait_until(|| added.get("/v1/models").status == 200);

    // With no valid token left, nobody gets in, even after the next start.
    for line in token(&data, &["list"])?.lines() {
        token(&data, &["revoke", line.split(' ').next().unwrap_or_default()])?;
    }
    wait_until(|| lab.get("/v1/models").status == 401);
    let server = server.restart();
    server
        .api()
        .get("/v1/models")
        .expect_problem(ProblemCode::Unauthorized, "after a restart");
    let again = blindscore_server()
        .args(["token", "revoke", "000000000000", "--data-dir"])
        .arg(data.path())
        .output()?;
    assert!(!again.status.success());
    Ok(())
}

/// A Kubernetes Secret is a folder whose files are links into `..data`, itself a link to the folder
/// with the present content, which kubelet replaces all at once.
#[cfg(unix)]
#[test]
fn tokens_in_a_mounted_secret_follow_its_updates() -> Result<()> {
    use std::os::unix::fs::symlink;
    let (made, secret) = (TempDir::new()?, TempDir::new()?);
    let mount = secret.path();
    let update = |version: &str| -> Result<()> {
        fs::create_dir(mount.join(version))?;
        fs::copy(
            made.path().join("tokens.json"),
            mount.join(version).join("tokens.json"),
        )?;
        symlink(version, mount.join("..data_tmp"))?;
        fs::rename(mount.join("..data_tmp"), mount.join("..data"))?;
        Ok(())
    };
    let clinic = token(&made, &["create", "clinic"])?;
    update("..2100_01_01_00_00_00.1")?;
    symlink("..data/tokens.json", mount.join("tokens.json"))?;
    let path = mount.join("tokens.json");
    let server = Server::start_with(&["--tokens", &path.to_string_lossy()]);
    server
        .api()
        .with_token(&clinic)
        .get("/v1/models")
        .expect_status(200);

    let lab = token(&made, &["create", "lab"])?;
    let listed = token(&made, &["list"])?;
    token(&made, &["revoke", listed.split(' ').next().unwrap_or_default()])?;
    update("..2100_01_01_00_00_01.2")?;
    fs::remove_dir_all(mount.join("..2100_01_01_00_00_00.1"))?;
    wait_until(|| server.api().with_token(&clinic).get("/v1/models").status == 401);
    server.api().with_token(&lab).get("/v1/models").expect_status(200);
    server.api().get("/readyz").expect_status(200);
    Ok(())
}

#[test]
fn knowing_a_key_id_of_another_tenant_gives_nothing() -> Result<()> {
    let (data, tokens) = data(&["clinic", "lab"])?;
    let server = Server::on(data, &[]);
    let [clinic, lab] = [0, 1].map(|index: usize| server.api().with_token(&tokens[index]));
    let user = User::enrolled(&clinic);
    user.assert_scores(&clinic, 0);

    let path = format!("/v1/keys/{}", user.id());
    lab.head(&path).expect_status(404);
    for reply in [
        lab.get(&path),
        lab.delete(&path),
        lab.score(user.id(), &user.query(0)),
    ] {
        reply.expect_problem(ProblemCode::KeyNotFound, "another tenant's key");
    }
    user.assert_scores(&clinic, 1);

    // Once uploaded there, the same key is the other tenant's own; each is removed separately.
    lab.put_key(user.id(), &user.public_key).expect_status(201);
    user.assert_scores(&lab, 2);
    clinic.delete(&path).expect_status(204);
    clinic.head(&path).expect_status(404);
    user.assert_scores(&lab, 3);
    Ok(())
}

#[test]
fn limits_are_for_each_tenant() -> Result<()> {
    let (data, tokens) = data(&["clinic", "lab"])?;
    let limits = ["--tenant-rate", "1", "--tenant-burst", "70", "--tenant-keys", "1"];
    let server = Server::on(data, &limits);
    let [clinic, lab] = [0, 1].map(|index: usize| server.api().with_token(&tokens[index]));
    let user = User::enrolled(&clinic);
    User::enrolled(&lab);

    let other = User::new(&clinic);
    clinic
        .put_key(other.id(), &other.public_key)
        .expect_problem(ProblemCode::QuotaExceeded, "a second key");
    clinic
        .delete(&format!("/v1/keys/{}", user.id()))
        .expect_status(204);
    clinic.put_key(other.id(), &other.public_key).expect_status(201);

    let batch = other.query(0).repeat(64);
    clinic.score(other.id(), &batch).expect_status(200);
    let reply = clinic.score(other.id(), &batch);
    let seconds: u32 = reply.header("retry-after").parse()?;
    assert!((50..=64).contains(&seconds), "{seconds}: one query a second");
    reply.expect_problem(ProblemCode::RateLimited, "another 64 queries");
    let theirs = User::new(&lab);
    lab.score(theirs.id(), &theirs.query(0).repeat(64))
        .expect_problem(
            ProblemCode::KeyNotFound,
            "the other tenant is not limited by this one",
        );
    Ok(())
}

#[test]
fn a_days_queries_are_counted_for_each_tenant_and_model_and_across_restarts() -> Result<()> {
    let (data, tokens) = data(&["clinic", "lab"])?;
    let start = || Server::on(data.clone(), &["--tenant-daily-queries", "40"]);
    let server = start();
    let [clinic, lab] = [0, 1].map(|index: usize| server.api().with_token(&tokens[index]));
    let (user, theirs) = (User::enrolled(&clinic), User::enrolled(&lab));
    clinic
        .score(user.id(), &user.query(0).repeat(30))
        .expect_status(200);
    // The whole request is refused, and none of its queries counted.
    let refused = clinic.score(user.id(), &user.query(0).repeat(11));
    let seconds: u64 = refused.header("retry-after").parse()?;
    assert!((1..=86_400).contains(&seconds), "{seconds}");
    let problem = refused.expect_problem(ProblemCode::QueryBudgetSpent, "the day's 41st query");
    assert!(problem.detail.contains("10 are left"), "{}", problem.detail);
    assert!(problem.detail.contains("T00:00:00Z"), "{}", problem.detail);
    lab.score(theirs.id(), &theirs.query(0).repeat(40))
        .expect_status(200);

    // After a kill, what was counted ahead stays counted, and no more than that.
    drop(server);
    let mut server = start();
    let clinic = server.api().with_token(&tokens[0]);
    clinic
        .score(user.id(), &user.query(0).repeat(11))
        .expect_problem(ProblemCode::QueryBudgetSpent, "after a kill");
    clinic
        .score(user.id(), &user.query(0).repeat(5))
        .expect_status(200);

    // After an orderly stop, nothing is lost.
    assert!(server.terminate().success());
    drop(server);
    let server = start();
    let clinic = server.api().with_token(&tokens[0]);
    clinic
        .score(user.id(), &user.query(0).repeat(3))
        .expect_status(200);
    clinic
        .score(user.id(), &user.query(0).repeat(3))
        .expect_problem(ProblemCode::QueryBudgetSpent, "after a stop");
    Ok(())
}

/// Starts a server that is expected to refuse to start, and returns its error.
fn refusal(arguments: &[&str]) -> Result<String> {
    let data = TempDir::new()?;
    let output = blindscore_server()
        .args(["serve", "--data-dir"])
        .arg(data.path())
        .args(arguments)
        .output()?;
    assert!(!output.status.success(), "{output:?}");
    Ok(String::from_utf8(output.stderr)?)
}

#[test]
fn a_public_address_needs_tokens_or_to_be_asked_for() -> Result<()> {
    // Refused before anything listens.
    let words = refusal(&["--bind", "0.0.0.0:0"])?;
    assert!(
        words.contains("not a loopback address") && words.contains("token create"),
        "{words}"
    );
    assert!(refusal(&["--bind", "[::]:0"])?.contains("not a loopback address"));

    let (data, tokens) = data(&["clinic"])?;
    for server in [
        Server::start_with(&["--bind", "0.0.0.0:0", "--allow-unauthenticated"]),
        Server::on(data, &["--bind", "0.0.0.0:0"]),
    ] {
        let port = server.url().rsplit(':').next().unwrap_or_default().to_owned();
        let api = Api::new(&format!("http://127.0.0.1:{port}")).with_token(&tokens[0]);
        api.get("/v1/models").expect_status(200);
    }
    Ok(())
}

#[test]
fn other_origins_are_answered_only_if_listed() {
    let preflight = [
        ("origin", "https://page.example"),
        ("access-control-request-method", "PUT"),
        (
            "access-control-request-headers",
            "authorization,blindscore-key,content-type,traceparent,tracestate",
        ),
    ];
    let path = "/v1/models/mnist-linear/score";
    let closed = Server::start();
    for reply in [
        closed.api().send("OPTIONS", path, &preflight, &[]),
        closed.api().send("GET", "/v1/models", &preflight[..1], &[]),
    ] {
        assert!(
            reply.headers.get("access-control-allow-origin").is_none(),
            "{reply:?}"
        );
    }

    let open = Server::start_with(&["--cors-origins", "https://page.example,https://other.example"]);
    let reply = open
        .api()
        .send("OPTIONS", path, &preflight, &[])
        .expect_status(200);
    assert_eq!(
        reply.header("access-control-allow-origin"),
        "https://page.example"
    );
    let reply = open
        .api()
        .send("GET", "/v1/models", &preflight[..1], &[])
        .expect_status(200);
    assert_eq!(
        reply.header("access-control-allow-origin"),
        "https://page.example"
    );
    let stranger = [("origin", "https://stranger.example")];
    let reply = open.api().send("GET", "/v1/models", &stranger, &[]);
    assert!(
        reply.headers.get("access-control-allow-origin").is_none(),
        "{reply:?}"
    );
}

#[test]
fn with_a_certificate_it_speaks_tls() -> Result<()> {
    let tls = Tls::new()?;
    let (cert, key) = (tls.certificate(), tls.key());
    let (cert, key) = (cert.to_string_lossy(), key.to_string_lossy());
    assert!(refusal(&["--tls-cert", &cert])?.contains("go together"));
    assert!(refusal(&["--tls-cert", &key, "--tls-key", &cert])?.contains("certificate"));

    let options = tls.options();
    let server = Server::start_with(&options.each_ref().map(String::as_str));
    let address = server
        .url()
        .strip_prefix("https://")
        .expect("an https URL")
        .to_owned();
    // HTTP/1.1 is negotiated even with clients that prefer HTTP/2. Clients that only speak HTTP/2
    // get no connection.
    let mut stream = tls.connect_with(&address, &["h2", "http/1.1"])?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
    stream.read_exact(&mut [0])?;
    assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    if let Ok(mut stream) = tls.connect_with(&address, &["h2"]) {
        let _ = stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        assert!(stream.read_exact(&mut [0]).is_err());
    }

    let mut stream = tls.connect(&address)?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    // The connection may end without a TLS close notification.
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");

    // Plain HTTP isn't served.
    let mut plain = TcpStream::connect(&address)?;
    plain.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/1.1 200 "));
    Ok(())
}

fn wait_until(done: impl Fn() -> bool) {
    while !done() {
        thread::sleep(Duration::from_millis(20));
    }
}
