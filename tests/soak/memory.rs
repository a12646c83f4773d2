//! Two thousand networks' keys, 20 GB on disk, with a cache of 1 GiB.

use crate::{
    report::Report,
    wire::{Connection, put_request, score_request},
};
use anyhow::{Context, Result, ensure};
use blindscore_tests::{Oracle, Server, User};
use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

const MODEL: &str = "mnist-net-small";
const CACHE: u64 = 1024;
const CLIENTS: usize = 4;
const SHAPES: usize = 4;
/// Memory allowed beyond the cache, in bytes.
const MARGIN: u64 = 300_000_000;

/// Returns the number of keys; `SOAK_KEYS` lowers it for a shorter run.
fn keys() -> Result<usize> {
    match std::env::var("SOAK_KEYS") {
        Ok(text) => text.parse().context("SOAK_KEYS is a number"),
        Err(_) => Ok(2000),
    }
}

pub(crate) fn measure(report: &mut Report) -> Result<()> {
    let count = keys()?;
    let server = Server::start_with(&["--log", "warn", "--key-cache-mib", &CACHE.to_string()]);
    let model = server.api().model(MODEL);
    let idle = server.memory("VmRSS");

    let started = Instant::now();
    let users = Mutex::new(Vec::new());
    each(count, |_| {
        let mut user = User::of(&model);
        let blob = user.take_public_key();
        let request = put_request(user.id(), &blob);
        let answer = patiently(&mut Connection::new(server.url()), &request)?;
        ensure!(answer.0 == 201, "an upload gave {}", answer.0);
        users.lock().unwrap_or_else(PoisonError::into_inner).push(user);
        Ok(())
    })?;
    report.note(
        "keys uploaded",
        format!("{count} in {:.0} s", started.elapsed().as_secs_f64()),
    );
    let uploaded = server.memory("VmHWM");

    let users = users.into_inner().unwrap_or_else(PoisonError::into_inner);
    let oracle = Oracle::new(MODEL, SHAPES);
    let started = Instant::now();
    each(count, |index| {
        let (user, shape) = (&users[index], index % SHAPES);
        let request = score_request(MODEL, user.id(), &user.query(shape));
        let (status, body) = patiently(&mut Connection::new(server.url()), &request)?;
        ensure!(status == 200, "a score gave {status}");
        ensure!(oracle.accepts(user, shape, &body), "a wrong score");
        Ok(())
    })?;
    let peak = server.memory("VmHWM");
    report.note(
        "keys that scored right",
        format!(
            "{count} in {:.0} s, {CLIENTS} clients",
            started.elapsed().as_secs_f64()
        ),
    );
    let mb = |bytes: u64| format!("{} MB", bytes / 1_000_000);
    report.note("memory at the start", mb(idle));
    report.note("most memory during the uploads", mb(uploaded));
    let bar = (CACHE << 20) + MARGIN;
    report.bar("most memory", mb(peak), mb(bar), peak <= bar);
    Ok(())
}

/// Calls `work` with the numbers below `count`, on several threads.
fn each(count: usize, work: impl Fn(usize) -> Result<()> + Sync) -> Result<()> {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        if index >= count {
                            return Ok(());
                        }
                        work(index)?;
                    }
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| anyhow::bail!("a client panicked"))
        })
    })
}

/// Sends a request, with up to a hundred attempts while the server is busy.
fn patiently(connection: &mut Connection, request: &[u8]) -> Result<(u16, Vec<u8>)> {
    for _ in 0..100 {
        let answer = connection.send(request)?;
        if answer.status != 503 {
            return Ok((answer.status, answer.body));
        }
        thread::sleep(Duration::from_secs(answer.retry_after.unwrap_or(1).min(5)));
    }
    anyhow::bail!("the server was busy all the time")
}
