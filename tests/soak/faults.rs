//! A store that hangs, disconnects, fails or is full, under continuous uploads and scores.

use crate::{
    report::Report,
    wire::{Answer, Connection, put_request, request, score_request},
};
use anyhow::{Context, Result, ensure};
use blindscore_protocol::problem::{Problem, Recovery};
use blindscore_tests::{Fault, Faults, ObjectStoreServer, Oracle, Server, User};
use std::{
    thread,
    time::{Duration, Instant},
};

const MODEL: &str = "mnist-linear";
/// Duration of each fault.
const LASTS: Duration = Duration::from_secs(10);

pub(crate) fn measure(report: &mut Report) -> Result<()> {
    let store = ObjectStoreServer::moto();
    let faults = Faults::before(store.address());
    let mut flags = vec!["--store".to_owned(), store.url()];
    for option in store.options(faults.url()) {
        flags.extend(["--store-options".to_owned(), option]);
    }
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let server = Server::start_with(
        &[
            &flags[..],
            &["--log", "off", "--store-seconds", "2", "--key-check-seconds", "1"],
        ]
        .concat(),
    );
    let mut acknowledged = Vec::new();
    let model = server.api().model(MODEL);
    for fault in [Fault::Hang, Fault::Refuse, Fault::Fail] {
        let mut connection = Connection::new(server.url());
        upload(&mut connection, &model, &mut acknowledged)?;
        faults.set(fault);
        let started = Instant::now();
        let (mut refused, mut red_after) = (0, None);
        while started.elapsed() < LASTS {
            match upload(&mut connection, &model, &mut acknowledged)? {
                Some(answer) => {
                    is_honest(&answer)?;
                    refused += 1;
                }
                None => ensure!(refused == 0, "an upload worked while the store failed"),
            }
            if red_after.is_none() && connection.send(&request("GET", "/readyz"))?.status == 503 {
                red_after = Some(started.elapsed());
            }
        }
        faults.set(Fault::None);
        let ended = Instant::now();
        while connection.send(&request("GET", "/readyz"))?.status != 200 {
            ensure!(
                ended.elapsed() < Duration::from_secs(60),
                "readiness does not come back"
            );
            thread::sleep(Duration::from_millis(20));
        }
        let recovered = ended.elapsed();
        ensure!(
            upload(&mut connection, &model, &mut acknowledged)?.is_none(),
            "uploads don't work again"
        );
        let red = red_after.context("readiness never went red")?;
        report.note(
            &format!("{fault:?}"),
            format!(
                "{refused} uploads refused with `retry`; /readyz red after {:.1} s, green {:.1} s after the end",
                red.as_secs_f64(),
                recovered.as_secs_f64()
            ),
        );
    }
    all_score(&server, &acknowledged)?;
    report.bar(
        "acknowledged keys that score afterwards",
        format!("{} of {}", acknowledged.len(), acknowledged.len()),
        "all",
        true,
    );
    full_disk(report)
}

fn full_disk(report: &mut Report) -> Result<()> {
    let server = Server::on_small_disk(2 << 20);
    let mut connection = Connection::new(server.url());
    let model = server.api().model(MODEL);
    let mut acknowledged = Vec::new();
    let mut refused = 0;
    for _ in 0..200 {
        if let Some(answer) = upload(&mut connection, &model, &mut acknowledged)? {
            is_honest(&answer)?;
            let problem: Problem = serde_json::from_slice(&answer.body)?;
            ensure!(problem.code.as_str() == "store_full", "{problem:?}");
            refused += 1;
        }
    }
    let red = connection.send(&request("GET", "/readyz"))?.status == 503;
    ensure!(refused > 0 && !acknowledged.is_empty(), "the disk was not filled");
    all_score(&server, &acknowledged)?;
    for user in acknowledged.drain(..5) {
        let removed = connection.send(&request("DELETE", &format!("/v1/keys/{}", user.id())))?;
        ensure!(removed.status == 204, "a removal gave {}", removed.status);
    }
    ensure!(
        upload(&mut connection, &model, &mut acknowledged)?.is_none(),
        "uploads don't work again"
    );
    thread::sleep(Duration::from_millis(1100));
    ensure!(
        connection.send(&request("GET", "/readyz"))?.status == 200,
        "readiness stays red"
    );
    all_score(&server, &acknowledged)?;
    report.note(
        "full disk",
        format!(
            "{refused} uploads refused with store_full, {} keys score, uploads work after a removal",
            acknowledged.len()
        ),
    );
    report.bar(
        "/readyz on a full disk",
        if red { "red" } else { "green" },
        "red",
        red,
    );
    Ok(())
}

/// Uploads a new key. Returns the response if the key was not stored.
fn upload(
    connection: &mut Connection,
    model: &blindscore_protocol::descriptor::CheckedDescriptor,
    acknowledged: &mut Vec<User>,
) -> Result<Option<Answer>> {
    let mut user = User::of(model);
    let blob = user.take_public_key();
    let answer = connection.send(&put_request(user.id(), &blob))?;
    if answer.status == 201 {
        acknowledged.push(user);
        return Ok(None);
    }
    Ok(Some(answer))
}

/// Checks that a refusal names its cause and when to retry.
fn is_honest(answer: &Answer) -> Result<()> {
    let problem: Problem = serde_json::from_slice(&answer.body)?;
    ensure!(
        answer.status == 503 && problem.recovery == Recovery::Retry,
        "{problem:?}"
    );
    ensure!(answer.retry_after.is_some(), "no Retry-After");
    Ok(())
}

fn all_score(server: &Server, users: &[User]) -> Result<()> {
    let oracle = Oracle::new(MODEL, 1);
    let mut connection = Connection::new(server.url());
    for user in users {
        let answer = connection.send(&score_request(MODEL, user.id(), &user.query(0)))?;
        ensure!(
            answer.status == 200,
            "an acknowledged key gives {}",
            answer.status
        );
        ensure!(oracle.accepts(user, 0, &answer.body), "a wrong score");
    }
    Ok(())
}
