//! A linear model over 64 connections for a minute, compared with the engine on the same cores
//! without HTTP.

use crate::{
    report::{Report, Times},
    wire::{Connection, score_request},
};
use anyhow::{Result, ensure};
use blindscore_engine::{PreparedKey, model::Registry};
use blindscore_protocol::wire::{EvaluationKey, Query};
use blindscore_tests::{Oracle, Server, User};
use rayon::prelude::*;
use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

const MODEL: &str = "mnist-linear";
const CONNECTIONS: usize = 64;
const SECONDS: u64 = 60;
const SHAPES: usize = 7;
/// One in this many responses is decrypted; status and length are checked for all.
const CHECKED: u64 = 200;

pub(crate) fn measure(report: &mut Report) -> Result<()> {
    let server = Server::start_with(&["--log", "warn"]);
    let model = server.api().model(MODEL);
    let mut user = User::of(&model);
    let public = user.take_public_key();
    server.api().put_key(user.id(), &public).expect_status(201);

    let before = engine_rate(&user, &public)?;
    let (count, errors, mut times) = load(&server, &user)?;
    let after = engine_rate(&user, &public)?;

    let engine = (before + after) / 2.0;
    let rate = count as f64 / SECONDS as f64;
    report.note(
        "engine, two cores",
        format!("{before:.0}/s before, {after:.0}/s after"),
    );
    report.note("requests", &times);
    report.bar(
        "rate",
        format!("{rate:.0}/s, {:.0} % of the engine's", 100.0 * rate / engine),
        "60 %",
        rate >= 0.6 * engine,
    );
    report.bar("errors", errors, 0, errors == 0);
    let (p50, p99) = (times.quantile(0.5), times.quantile(0.99));
    report.bar(
        "p99 / p50",
        format!("{:.1}", p99.as_secs_f64() / p50.as_secs_f64()),
        10,
        p99 <= 10 * p50,
    );
    Ok(())
}

/// Returns the engine's scores per second on all cores, from query to response, measured for ten
/// seconds.
fn engine_rate(user: &User, public: &[u8]) -> Result<f64> {
    let registry = Registry::load(None)?;
    let model = registry.default_model();
    let key = PreparedKey::new(&EvaluationKey::from_blob(public)?);
    let query = Query::from_blob(
        &user.query(0),
        model.parameters().query_format(),
        model.descriptor().inputs.count,
    )?;
    let count = AtomicU64::new(0);
    let started = Instant::now();
    (0..thread::available_parallelism()?.get())
        .into_par_iter()
        .try_for_each(|_| {
            while started.elapsed() < Duration::from_secs(10) {
                model.engine().score(&query, &key)?.to_blob();
                count.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        })?;
    Ok(count.into_inner() as f64 / started.elapsed().as_secs_f64())
}

fn load(server: &Server, user: &User) -> Result<(u64, u64, Times)> {
    let oracle = Oracle::new(MODEL, SHAPES);
    let requests: Vec<_> = (0..SHAPES)
        .map(|shape| score_request(MODEL, user.id(), &user.query(shape)))
        .collect();
    let end = Instant::now() + Duration::from_secs(SECONDS);
    let (count, errors) = (AtomicU64::new(0), AtomicU64::new(0));
    let times = thread::scope(|scope| {
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                scope.spawn(|| {
                    let mut connection = Connection::new(server.url());
                    let mut times = Times::default();
                    while Instant::now() < end {
                        let number = count.fetch_add(1, Ordering::Relaxed);
                        let shape = number as usize % SHAPES;
                        match connection.send(&requests[shape]) {
                            Ok(answer)
                                if answer.status == 200 && answer.body.len() == user.model.sizes.response =>
                            {
                                times.push(answer.took);
                                let wrong =
                                    number % CHECKED == 0 && !oracle.accepts(user, shape, &answer.body);
                                ensure!(!wrong, "a wrong score");
                            }
                            _ => {
                                errors.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                    }
                    Ok(times)
                })
            })
            .collect();
        let mut all = Times::default();
        for client in clients {
            match client.join() {
                Ok(times) => all.append(times?),
                Err(_) => anyhow::bail!("a client panicked"),
            }
        }
        Ok(all)
    })?;
    Ok((times.len() as u64, errors.into_inner(), times))
}
