//! Stored keys: restarts, expiry, damage, and a store that is gone.

use anyhow::Result;
use blindscore_protocol::problem::ProblemCode;
use blindscore_tests::{Server, User};
use std::{
    fs, thread,
    time::{Duration, SystemTime},
};

const DAY: Duration = Duration::from_secs(24 * 3600);

#[test]
fn keys_survive_a_kill() {
    let server = Server::start();
    let user = User::enrolled(&server.api());
    let mut server = server.restart();
    user.assert_scores(&server.api(), 1);
    server.assert_alive();
}

#[test]
fn an_expired_key_counts_as_never_uploaded() -> Result<()> {
    let server = Server::start_with(&["--key-ttl-days", "7"]);
    let api = server.api();
    let user = User::enrolled(&api);
    let path = format!("/v1/keys/{}", user.id());
    let file = fs::File::options()
        .write(true)
        .open(server.keys_dir().join(user.id().to_string()))?;

    file.set_modified(SystemTime::now() - 6 * DAY)?;
    api.head(&path).expect_status(200);
    file.set_modified(SystemTime::now() - 8 * DAY)?;
    api.head(&path).expect_status(404);
    api.score(user.id(), &user.query(0))
        .expect_problem(ProblemCode::KeyNotFound, "expired");
    api.delete(&path)
        .expect_problem(ProblemCode::KeyNotFound, "expired");

    // Removing the expired key removed its file too; the next upload is new either way.
    api.put_key(user.id(), &user.public_key).expect_status(201);
    user.assert_scores(&api, 0);
    Ok(())
}

#[test]
fn an_expired_file_that_still_lies_there_is_replaced_and_swept() -> Result<()> {
    let server = Server::start();
    let api = server.api();
    let (user, other) = (User::enrolled(&api), User::enrolled(&api));
    for user in [&user, &other] {
        let path = server.keys_dir().join(user.id().to_string());
        let file = fs::File::options().write(true).open(path)?;
        file.set_modified(SystemTime::now() - 31 * DAY)?;
    }
    api.put_key(user.id(), &user.public_key).expect_status(201);
    api.put_key(user.id(), &user.public_key).expect_status(200);
    assert_eq!(server.stored_files().len(), 2);

    // The sweep runs at the start.
    let server = server.restart();
    wait_until(|| server.stored_files() == [user.id().to_string()]);
    user.assert_scores(&server.api(), 0);
    Ok(())
}

#[test]
fn a_stored_key_that_the_disk_damaged_can_be_uploaded_again() -> Result<()> {
    let server = Server::start();
    let api = server.api();
    let user = User::enrolled(&api);
    let file = server.keys_dir().join(user.id().to_string());
    let mut bytes = fs::read(&file)?;
    bytes[5000] ^= 1;
    fs::write(&file, bytes)?;
    api.score(user.id(), &user.query(0))
        .expect_problem(ProblemCode::KeyNotFound, "damaged");
    api.put_key(user.id(), &user.public_key).expect_status(201);
    user.assert_scores(&api, 0);
    Ok(())
}

#[test]
fn a_lost_store_is_reported_and_not_fatal() -> Result<()> {
    let mut server = Server::start();
    let api = server.api();
    api.get("/healthz").expect_status(200);
    api.get("/readyz").expect_status(200);
    let moved = server.keys_dir().with_extension("moved");
    fs::rename(server.keys_dir(), &moved)?;
    fs::write(server.keys_dir(), "a file where the directory was")?;

    let user = User::new(&api);
    // The result of up to a second ago may be repeated.
    wait_until(|| api.get("/readyz").status != 200);
    let reply = api.get("/readyz");
    assert_eq!(reply.header("retry-after"), "10");
    reply.expect_problem(ProblemCode::StoreUnavailable, "readiness");
    api.put_key(user.id(), &user.public_key)
        .expect_problem(ProblemCode::StoreUnavailable, "an upload");
    api.get("/healthz").expect_status(200);

    fs::remove_file(server.keys_dir())?;
    fs::rename(&moved, server.keys_dir())?;
    api.get("/readyz").expect_status(200);
    api.put_key(user.id(), &user.public_key).expect_status(201);
    user.assert_scores(&api, 0);
    server.assert_alive();
    Ok(())
}

#[test]
fn use_renews_a_key() -> Result<()> {
    let server = Server::start_with(&["--key-ttl-days", "7", "--key-check-seconds", "1"]);
    let api = server.api();
    let user = User::enrolled(&api);
    let path = format!("/v1/keys/{}", user.id());
    let expires_at = || -> String {
        let metadata: serde_json::Value = api.get(&path).expect_status(200).json();
        metadata["expires_at"].as_str().unwrap_or_default().to_owned()
    };
    let fresh = expires_at();
    let file = server.keys_dir().join(user.id().to_string());
    fs::File::options()
        .write(true)
        .open(file)?
        .set_modified(SystemTime::now() - 6 * DAY)?;
    let old = expires_at();
    assert!(old < fresh, "{old} {fresh}");
    user.assert_scores(&api, 0);
    assert!(expires_at() >= fresh, "the first use");

    // A key younger than an eighth of its time to live isn't renewed.
    let file = server.keys_dir().join(user.id().to_string());
    let yesterday = SystemTime::now() - DAY / 2;
    fs::File::options()
        .write(true)
        .open(file)?
        .set_modified(yesterday)?;
    let young = expires_at();
    thread::sleep(Duration::from_millis(1100));
    user.assert_scores(&api, 0);
    assert_eq!(expires_at(), young);
    Ok(())
}

#[test]
fn a_key_removed_by_one_process_is_soon_gone_in_the_other() {
    let server = Server::start();
    let other = server.replica(&["--key-check-seconds", "1"]);
    let user = User::enrolled(&server.api());
    user.assert_scores(&server.api(), 0);
    user.assert_scores(&other.api(), 0);
    server
        .api()
        .delete(&format!("/v1/keys/{}", user.id()))
        .expect_status(204);
    server
        .api()
        .score(user.id(), &user.query(0))
        .expect_problem(ProblemCode::KeyNotFound, "where it was removed");
    wait_until(|| other.api().score(user.id(), &user.query(0)).status == 404);
}

#[test]
fn what_a_killed_upload_left_is_swept() -> Result<()> {
    let server = Server::start();
    let user = User::enrolled(&server.api());
    let half = server
        .keys_dir()
        .join(format!("{}#1", User::new(&server.api()).id()));
    fs::write(&half, &user.public_key[..1000])?;
    let server = server.restart();
    assert_eq!(server.stored_files(), [user.id().to_string()]);
    user.assert_scores(&server.api(), 0);
    Ok(())
}

#[test]
fn keys_in_memory_work_like_others() {
    let server = Server::start_with(&["--store", "memory://"]);
    let user = User::enrolled(&server.api());
    user.assert_scores(&server.api(), 0);
    server.api().get("/readyz").expect_status(200);
    assert!(!server.keys_dir().exists());
}

fn wait_until(done: impl Fn() -> bool) {
    while !done() {
        thread::sleep(Duration::from_millis(5));
    }
}
