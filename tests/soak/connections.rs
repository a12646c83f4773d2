//! Idle connections, slow connections and a body of a gigabyte, none of which may affect other
//! clients.

use crate::{
    report::{Report, Times},
    wire::{Connection, score_request},
};
use anyhow::{Context, Result, ensure};
use blindscore_tests::{Oracle, Server, User};
use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

const MODEL: &str = "mnist-linear";
const IDLE: usize = 10_000;
const SLOW: usize = 500;
/// Sequential requests behind each figure.
const REQUESTS: usize = 2000;

pub(crate) fn measure(report: &mut Report) -> Result<()> {
    let server = Server::start_with(&["--log", "warn"]);
    let model = server.api().model(MODEL);
    let mut user = User::of(&model);
    let public = user.take_public_key();
    server.api().put_key(user.id(), &public).expect_status(201);
    let address = server.url().trim_start_matches("http://").to_owned();
    let probe = Probe {
        oracle: Oracle::new(MODEL, 1),
        request: score_request(MODEL, user.id(), &user.query(0)),
        url: server.url().to_owned(),
        user,
    };
    probe.run()?;
    let memory = server.memory("VmRSS");

    let mut before = probe.run()?;
    report.note("before", &before);
    let idle: Vec<TcpStream> = (0..IDLE)
        .map(|_| TcpStream::connect(&address))
        .collect::<Result<_, _>>()
        .context("opening idle connections")?;
    compare(
        report,
        &format!("{IDLE} idle connections"),
        &mut before,
        probe.run()?,
    );
    report.note(
        "memory for them",
        format!("{} MB", server.memory("VmRSS").saturating_sub(memory) / 1_000_000),
    );
    drop(idle);

    slowly(
        report,
        &probe,
        &mut before,
        &format!("{SLOW} heads that arrive by the byte"),
        &address,
        b"GET /v1/models HTTP/1.1\r\nhost: localhost\r\nx-slow: ",
    )?;
    let head = format!(
        "PUT /v1/keys/{} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10000000\r\n\r\n",
        "0".repeat(64)
    );
    slowly(
        report,
        &probe,
        &mut before,
        &format!("{SLOW} bodies that arrive by the byte"),
        &address,
        head.as_bytes(),
    )?;
    gigabyte(report, &probe, &mut before, &address)?;
    let peak = server.memory("VmHWM");
    report.note("most memory", format!("{} MB", peak / 1_000_000));
    Ok(())
}

/// Client that is served all the time.
struct Probe {
    user: User,
    oracle: Oracle,
    request: Vec<u8>,
    url: String,
}

impl Probe {
    fn run(&self) -> Result<Times> {
        let mut connection = Connection::new(&self.url);
        let mut times = Times::default();
        for _ in 0..REQUESTS {
            let answer = connection.send(&self.request)?;
            ensure!(answer.status == 200, "a score gave {}", answer.status);
            ensure!(self.oracle.accepts(&self.user, 0, &answer.body), "a wrong score");
            times.push(answer.took);
        }
        Ok(times)
    }
}

fn compare(report: &mut Report, what: &str, before: &mut Times, mut now: Times) {
    let (old, new) = (before.quantile(0.5), now.quantile(0.5));
    report.bar(
        what,
        format!(
            "{now}, median {:.2} times as long",
            new.as_secs_f64() / old.as_secs_f64()
        ),
        "2 times",
        new <= 2 * old,
    );
}

/// Opens connections that send an opening and then one byte per second.
fn slowly(
    report: &mut Report,
    probe: &Probe,
    before: &mut Times,
    what: &str,
    address: &str,
    opening: &[u8],
) -> Result<()> {
    let done = AtomicBool::new(false);
    let started = Instant::now();
    let closed = thread::scope(|scope| {
        let trickle = scope.spawn(|| {
            let mut streams: Vec<TcpStream> = Vec::new();
            for _ in 0..SLOW {
                let mut stream = TcpStream::connect(address)?;
                stream.write_all(opening)?;
                streams.push(stream);
            }
            let mut closed_after = None;
            while !done.load(Ordering::Relaxed)
                || (closed_after.is_none() && started.elapsed() < Duration::from_secs(60))
            {
                thread::sleep(Duration::from_secs(1));
                streams.retain_mut(|stream| stream.write_all(b"a").is_ok());
                if streams.is_empty() {
                    closed_after.get_or_insert(started.elapsed());
                }
            }
            std::io::Result::Ok((closed_after, streams.len()))
        });
        thread::sleep(Duration::from_secs(2));
        let times = probe.run();
        done.store(true, Ordering::Relaxed);
        let closed = trickle.join();
        compare(report, what, before, times?);
        anyhow::Ok(closed)
    })?;
    match closed {
        Ok(Ok((Some(after), _))) => report.note(
            "the server hung up on all within",
            format!("{:.0} s", after.as_secs_f64()),
        ),
        Ok(Ok((None, open))) => report.note("still open after a minute", open),
        Ok(Err(error)) => return Err(error.into()),
        Err(_) => anyhow::bail!("the slow client panicked"),
    }
    Ok(())
}

/// Sends bodies of 1 GiB, announced or not.
fn gigabyte(report: &mut Report, probe: &Probe, before: &mut Times, address: &str) -> Result<()> {
    let announced = format!(
        "PUT /v1/keys/{} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n",
        "0".repeat(64),
        1 << 30
    );
    let chunked = format!(
        "PUT /v1/keys/{} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n",
        "0".repeat(64)
    );
    let chunk = [b"10000\r\n", &[0; 0x1_0000][..], b"\r\n"].concat();
    let done = AtomicBool::new(false);
    let times = thread::scope(|scope| {
        for head in [&announced, &chunked] {
            let (done, chunk) = (&done, &chunk);
            scope.spawn(move || {
                // Repeats for as long as others are measured.
                while !done.load(Ordering::Relaxed) {
                    let Ok(mut stream) = TcpStream::connect(address) else {
                        return;
                    };
                    let _ = stream.write_all(head.as_bytes());
                    for _ in 0..(1 << 30) / 0x1_0000 {
                        if stream.write_all(chunk).is_err() {
                            break;
                        }
                    }
                    let _ = stream.read_to_end(&mut Vec::new());
                }
            });
        }
        let times = probe.run();
        done.store(true, Ordering::Relaxed);
        times
    })?;
    compare(report, "bodies of 1 GiB", before, times);
    Ok(())
}
