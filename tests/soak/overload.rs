//! Four times as many requests to a network as the server can score, for three minutes.

use crate::{
    report::{Report, Times},
    wire::{Connection, score_request},
};
use anyhow::{Result, ensure};
use blindscore_tests::{Oracle, Server, User};
use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

const MODEL: &str = "mnist-net";
const SECONDS: u64 = 180;
const OVERLOAD: f64 = 4.0;
/// Number of connections, more than ever wait for a response at once.
const CLIENTS: usize = 300;
const SHAPES: usize = 4;
const DEADLINE: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Outcome {
    accepted: Times,
    refused: Times,
    /// Responses that are neither of these.
    others: u64,
    wrong: u64,
    /// Smallest and largest `Retry-After` of refusals, in seconds.
    retry_after: Option<(u64, u64)>,
    /// Delay of requests behind their schedule.
    lateness: Times,
}

pub(crate) fn measure(report: &mut Report) -> Result<()> {
    let deadline = DEADLINE.as_secs().to_string();
    let server = Server::start_with(&["--log", "warn", "--deadline-seconds", &deadline]);
    let model = server.api().model(MODEL);
    let mut user = User::of(&model);
    let public = user.take_public_key();
    server.api().put_key(user.id(), &public).expect_status(201);
    let requests: Vec<_> = (0..SHAPES)
        .map(|shape| score_request(MODEL, user.id(), &user.query(shape)))
        .collect();

    let capacity = capacity(&server, &requests)?;
    let rate = OVERLOAD * capacity;
    let idle = server.memory("VmRSS");
    let done = AtomicBool::new(false);
    let (outcome, early, most) = thread::scope(|scope| {
        // Memory after 20 s, and its maximum since then.
        let sampler = scope.spawn(|| {
            let started = Instant::now();
            let (mut early, mut most) = (0, 0);
            while !done.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(200));
                let now = server.memory("VmRSS");
                if started.elapsed() < Duration::from_secs(20) {
                    early = now;
                } else {
                    most = most.max(now);
                }
            }
            (early, most)
        });
        let outcome = flood(&server, &user, &requests, rate);
        done.store(true, Ordering::Relaxed);
        let (early, most) = sampler.join().unwrap_or_default();
        (outcome, early, most)
    });
    let Outcome {
        mut accepted,
        mut refused,
        others,
        wrong,
        retry_after,
        lateness,
    } = outcome;

    report.note(
        "capacity",
        format!("{capacity:.1}/s; sent {rate:.1}/s for {SECONDS} s"),
    );
    report.note("sent later than planned by", lateness);
    report.note("accepted", &accepted);
    report.note("refused", &refused);
    if let Some((least, most)) = retry_after {
        report.note("Retry-After", format!("{least} to {most} s"));
    }
    ensure!(wrong == 0, "{wrong} wrong scores");
    report.bar(
        "answers that are neither 200 nor 503 nor 429",
        others,
        0,
        others == 0,
    );
    let longest = accepted.quantile(1.0);
    report.bar(
        "longest accepted request",
        format!("{:.2} s", longest.as_secs_f64()),
        format!("{} s", DEADLINE.as_secs()),
        longest <= DEADLINE,
    );
    let p99 = refused.quantile(0.99);
    report.bar(
        "refusals, p99",
        format!("{:.1} ms", p99.as_secs_f64() * 1e3),
        "50 ms",
        p99 < Duration::from_millis(50),
    );
    let mb = |bytes: u64| format!("{} MB", bytes / 1_000_000);
    report.note("memory before", mb(idle));
    report.bar(
        "memory after 20 s, and the most later",
        format!("{}, {}", mb(early), mb(most)),
        "+ 10 MB",
        most <= early + 10_000_000,
    );
    Ok(())
}

/// Returns the scores per second of two connections that always have a request waiting.
fn capacity(server: &Server, requests: &[Vec<u8>]) -> Result<f64> {
    let count = AtomicU64::new(0);
    let started = Instant::now();
    thread::scope(|scope| {
        for request in &requests[..2] {
            let count = &count;
            scope.spawn(move || {
                let mut connection = Connection::new(server.url());
                while started.elapsed() < Duration::from_secs(15) {
                    if connection.send(request).is_ok_and(|answer| answer.status == 200) {
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let rate = count.into_inner() as f64 / started.elapsed().as_secs_f64();
    ensure!(rate > 0.0, "nothing was scored");
    Ok(rate)
}

/// Sends requests at a fixed rate regardless of the responses, and collects those.
fn flood(server: &Server, user: &User, requests: &[Vec<u8>], rate: f64) -> Outcome {
    let oracle = Oracle::new(MODEL, SHAPES);
    let total = (rate * SECONDS as f64) as u64;
    let (next, started) = (AtomicU64::new(0), Instant::now());
    let outcome = Mutex::new(Outcome::default());
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut connection = Connection::new(server.url());
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= total {
                        break;
                    }
                    let planned = started + Duration::from_secs_f64(number as f64 / rate);
                    thread::sleep(planned.saturating_duration_since(Instant::now()));
                    let late = planned.elapsed();
                    let shape = number as usize % SHAPES;
                    let answer = connection.send(&requests[shape]);
                    let wrong = matches!(&answer, Ok(answer) if answer.status == 200
                        && !oracle.accepts(user, shape, &answer.body));
                    let mut outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
                    outcome.lateness.push(late);
                    outcome.wrong += u64::from(wrong);
                    match answer {
                        Ok(answer) if answer.status == 200 => outcome.accepted.push(answer.took),
                        Ok(answer) if [429, 503].contains(&answer.status) => {
                            outcome.refused.push(answer.took);
                            let told = answer.retry_after.unwrap_or_default();
                            let (least, most) = outcome.retry_after.unwrap_or((told, told));
                            outcome.retry_after = Some((least.min(told), most.max(told)));
                        }
                        _ => outcome.others += 1,
                    }
                }
            });
        }
    });
    outcome.into_inner().unwrap_or_else(PoisonError::into_inner)
}
