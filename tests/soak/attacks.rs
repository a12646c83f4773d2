//! Clients that try to exhaust the server's memory or to lock others out, each kind for a minute
//! beside an honest client.

use crate::{
    report::{Report, Times},
    wire::{Connection, score_request},
};
use anyhow::{Context, Result, ensure};
use blindscore_protocol::ids::KeyId;
use blindscore_tests::{Api, Oracle, Server, User, token, wide_model};
use std::{
    io::{ErrorKind, Write},
    net::TcpStream,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const UPLOAD_MIB: u64 = 128;
/// Memory allowed beyond the accounted bodies, in bytes.
const MARGIN: u64 = 200_000_000;
/// Duration in seconds of each attack, and of the honest client's run without one.
/// `SOAK_ATTACK_SECONDS` shortens both; `SOAK_ATTACKS` chooses the attacks whose names contain it.
const SECONDS: u64 = 60;
/// Time after an attack by which its traces must be gone.
const AFTER: Duration = Duration::from_secs(30);
const HONEST: &str = "mnist-linear";
const NETWORK: &str = "mnist-net-small";
/// Pause between the honest client's requests.
const PACE: Duration = Duration::from_millis(5);
/// Interval at which connections that are held open are checked.
const LOOK: Duration = Duration::from_millis(100);

/// Behaviour of attackers until they are told to stop.
type Conduct = fn(&Field, &Until) -> Result<()>;

struct Attack {
    name: &'static str,
    /// Control for comparison, if any: the same requests from well-behaved clients.
    behaving: Option<Conduct>,
    conduct: Conduct,
}

const ATTACKS: [Attack; 8] = [
    Attack {
        name: "100 answers of 7 MB that nobody reads",
        behaving: Some(|field, until| long_answers(field, until, true)),
        conduct: |field, until| long_answers(field, until, false),
    },
    Attack {
        name: "13 uploads of one tenant that stop before their end",
        behaving: None,
        conduct: |field, until| {
            let head = |number| field.upload_head(number, field.network_key.len());
            let part = field.network_key.len() - 100_000;
            held(
                field,
                until,
                (13, 1),
                |number| [&head(number), &field.network_key[..part]].concat(),
                b"\0",
            )
        },
    },
    Attack {
        name: "60 uploads that declare 10 MB and send a byte",
        behaving: None,
        conduct: |field, until| {
            let head = |number| [&field.upload_head(number, field.network_key.len()), &b"x"[..]].concat();
            held(field, until, (60, 10), head, b"")
        },
    },
    Attack {
        name: "200 connections that ask for descriptors and read nothing",
        behaving: None,
        conduct: |field, until| {
            let request = b"GET /v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec();
            held(field, until, (200, 5), |_| request.clone(), &request.repeat(4))
        },
    },
    Attack {
        name: "200 connections that send the shortest requests there are and read nothing",
        behaving: None,
        conduct: |field, until| {
            let requests = b"HEAD / HTTP/1.1\r\nhost:localhost\r\n\r\n".repeat(500);
            held(field, until, (200, 5), |_| Vec::new(), &requests)
        },
    },
    Attack {
        name: "1,000 heads of 120 kB without an end",
        behaving: None,
        conduct: |field, until| {
            let head = [
                &b"GET /v1/models HTTP/1.1\r\nhost: localhost\r\nx-long: "[..],
                &[b'a'; 120_000],
            ]
            .concat();
            held(field, until, (1000, 20), |_| head.clone(), b"")
        },
    },
    Attack {
        name: "connections that speak HTTP/2: empty frames without end",
        behaving: None,
        conduct: |field, until| {
            let opening = [
                &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
                &[0, 0, 0, 4, 0, 0, 0, 0, 0],
            ]
            .concat();
            let frames = [0, 0, 0, 0, 0, 0, 0, 0, 1].repeat(2000);
            held(field, until, (20, 5), |_| opening.clone(), &frames)
        },
    },
    Attack {
        name: "clients that send a query to a network and hang up",
        behaving: Some(|field, until| {
            let mut connection = Connection::new(&field.url);
            while until.goes_on() {
                connection.send(&field.network_query)?;
            }
            Ok(())
        }),
        conduct: |field, until| {
            while until.goes_on() {
                drop(field.open(&field.network_query)?);
                thread::sleep(Duration::from_millis(10));
            }
            Ok(())
        },
    },
];

/// Stop signal for attackers, and the number of their requests.
struct Until {
    stop: AtomicBool,
    sent: AtomicU64,
}

impl Until {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }
}

/// Everything that attackers need.
struct Field {
    url: String,
    address: String,
    token: String,
    wide_query: Vec<u8>,
    network_query: Vec<u8>,
    network_key: Vec<u8>,
}

impl Field {
    fn upload_head(&self, number: usize, len: usize) -> Vec<u8> {
        let token = &self.token;
        let head = format!(
            "PUT /v1/keys/{number:064x} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
             content-type: application/octet-stream\r\ncontent-length: {len}\r\n\r\n"
        );
        head.into_bytes()
    }

    /// Opens a connection and sends as much of `bytes` as the server accepts.
    fn open(&self, bytes: &[u8]) -> Result<TcpStream> {
        let mut stream = TcpStream::connect(&self.address).context("connecting")?;
        stream.set_write_timeout(Some(Duration::from_secs(1)))?;
        // Fails once the server accepts no more, which is fine.
        let _ = stream.write_all(bytes);
        Ok(stream)
    }
}

/// Keeps `count` connections open, opening at most `pace` of them per check, since the target is
/// the server and not the processor that both share. Each sends its opening, then `more` at each
/// check. None reads. Connections closed by the server are reopened.
fn held(
    field: &Field,
    until: &Until,
    (count, pace): (usize, usize),
    opening: impl Fn(usize) -> Vec<u8>,
    more: &[u8],
) -> Result<()> {
    let mut streams: Vec<TcpStream> = Vec::new();
    while until.goes_on() {
        streams.retain(is_open);
        for _ in 0..(count - streams.len()).min(pace) {
            let stream = field.open(&opening(streams.len()))?;
            until.sent.fetch_add(1, Ordering::Relaxed);
            stream.set_nonblocking(true)?;
            streams.push(stream);
        }
        if !more.is_empty() {
            for stream in &mut streams {
                let _ = stream.write(more);
            }
        }
        thread::sleep(LOOK);
    }
    Ok(())
}

/// Checks that the server hasn't closed a connection whose response nobody reads.
fn is_open(stream: &TcpStream) -> bool {
    if !matches!(stream.take_error(), Ok(None)) {
        return false;
    }
    // The end is hidden behind an unread response; such connections count as open until a write
    // fails.
    !matches!(stream.peek(&mut [0]), Ok(0))
        && !matches!(stream.peek(&mut [0]), Err(error) if error.kind() != ErrorKind::WouldBlock)
}

/// Requests long responses, a few per second, and either reads them at once or holds a hundred
/// unread.
fn long_answers(field: &Field, until: &Until, read: bool) -> Result<()> {
    let mut unread = std::collections::VecDeque::new();
    while until.goes_on() {
        until.sent.fetch_add(1, Ordering::Relaxed);
        if read {
            Connection::new(&field.url).send(&field.wide_query)?;
        } else {
            unread.push_back(field.open(&field.wide_query)?);
            if unread.len() > 100 {
                unread.pop_front();
            }
        }
        thread::sleep(Duration::from_millis(400));
    }
    Ok(())
}

/// Honest client that scores at a low, steady rate.
struct Honest {
    user: User,
    oracle: Oracle,
    request: Vec<u8>,
    url: String,
}

impl Honest {
    fn run(&self, time: Duration) -> Result<Times> {
        let mut connection = Connection::new(&self.url);
        let mut times = Times::default();
        let started = Instant::now();
        while started.elapsed() < time {
            let answer = connection.send(&self.request).context("the honest client")?;
            ensure!(
                answer.status == 200,
                "the honest client got {}: {}",
                answer.status,
                String::from_utf8_lossy(&answer.body)
            );
            ensure!(self.oracle.accepts(&self.user, 0, &answer.body), "a wrong score");
            times.push(answer.took);
            thread::sleep(PACE);
        }
        Ok(times)
    }
}

pub(crate) fn measure(report: &mut Report) -> Result<()> {
    let seconds = match std::env::var("SOAK_ATTACK_SECONDS") {
        Ok(text) => text.parse().context("SOAK_ATTACK_SECONDS is a number")?,
        Err(_) => SECONDS,
    };
    let time = Duration::from_secs(seconds);
    let folder = TempDir::new()?;
    let models = wide_model(folder.path())?;
    let chosen = std::env::var("SOAK_ATTACKS").unwrap_or_default();
    for attack in ATTACKS.iter().filter(|attack| attack.name.contains(&chosen)) {
        report.note("attack", attack.name);
        measure_one(report, attack, &models, time)?;
    }
    Ok(())
}

/// Starts a server and returns it with the tokens of the attacker and of the honest client.
fn victim(models: &Path) -> Result<(Server, String, String)> {
    let data = Arc::new(TempDir::new()?);
    let (mallory, alice) = (token(data.path(), "mallory")?, token(data.path(), "alice")?);
    let upload_mib = UPLOAD_MIB.to_string();
    let models = models.to_str().context("a path")?;
    let options = [
        "--log",
        "error",
        "--upload-mib",
        &upload_mib,
        "--models-dir",
        models,
    ];
    Ok((Server::on(data, &options), mallory, alice))
}

/// Returns the honest client's times while the attackers keep another server busy: what they cost
/// by sharing the machine's processors and network stack, whatever the attacked server does.
fn neighbour(attack: &Attack, models: &Path, honest: &Honest, time: Duration) -> Result<Times> {
    let (server, mallory, _) = victim(models)?;
    let field = field(&server, &server.api().with_token(&mallory), &mallory)?;
    Ok(beside(&field, attack.conduct, honest, time)?.0)
}

fn measure_one(report: &mut Report, attack: &Attack, models: &Path, time: Duration) -> Result<()> {
    let (server, mallory, alice) = victim(models)?;
    let field = field(&server, &server.api().with_token(&mallory), &mallory)?;
    let honest = honest(&server, &server.api().with_token(&alice), &alice)?;
    // Everything is loaded and resident by now.
    honest.run(Duration::from_secs(1))?;
    let (memory, files) = (server.memory("VmRSS"), server.open_files());
    let mut before = match attack.behaving {
        Some(conduct) => beside(&field, conduct, &honest, time)?.0,
        None => honest.run(time / 2)?,
    };
    let mut apart = neighbour(attack, models, &honest, time / 2)?;
    let (mut during, sent) = beside(&field, attack.conduct, &honest, time)?;
    let peak = server.memory("VmHWM");
    thread::sleep(AFTER);
    let (held, left) = (server.memory("VmRSS"), server.open_files());
    let mut after = honest.run(Duration::from_secs(2))?;

    report.note("connections opened", sent);
    report.note("honest, before", &before);
    report.note("honest, attack on another server", &apart);
    report.note("honest, during", &during);
    let (alone, shared, attacked) = (before.quantile(0.99), apart.quantile(0.99), during.quantile(0.99));
    let ratio = |to: Duration| format!("{:.2} times as long", attacked.as_secs_f64() / to.as_secs_f64());
    report.note("p99 of the honest client, against a quiet machine", ratio(alone));
    report.bar(
        "p99 of the honest client, against an attack on another server of the same machine",
        ratio(shared.max(alone)),
        "2 times",
        attacked <= 2 * shared.max(alone),
    );
    let mb = |bytes: u64| format!("{} MB", bytes / 1_000_000);
    let bar = (UPLOAD_MIB << 20) + MARGIN;
    let grown = peak.saturating_sub(memory);
    report.bar(
        "most memory, beyond what it was before",
        mb(grown),
        mb(bar),
        grown <= bar,
    );
    let more = held.saturating_sub(memory);
    let bar = 100_000_000;
    report.bar("memory left 30 s after", mb(more), mb(bar), more <= bar);
    report.bar(
        "open files left 30 s after",
        left.saturating_sub(files),
        2,
        left <= files + 2,
    );
    report.note(
        "honest, p99 after",
        format!("{:.2} ms", after.quantile(0.99).as_secs_f64() * 1e3),
    );
    Ok(())
}

/// Gives the attackers, whose threads this one starts, the lowest priority: theirs would be other
/// machines' processors, and only the work that they cause on the server is measured.
fn step_back() {
    #[cfg(target_os = "linux")]
    {
        use rustix::{process::setpriority_process, thread::gettid};
        if let Err(error) = setpriority_process(Some(gettid()), 19) {
            eprintln!("the attackers compete with the server for its processors: {error}");
        }
    }
}

/// Returns the honest client's times while others run `conduct`, and the number of connections that
/// those opened.
fn beside(field: &Field, conduct: Conduct, honest: &Honest, time: Duration) -> Result<(Times, u64)> {
    let until = Until {
        stop: AtomicBool::new(false),
        sent: AtomicU64::new(0),
    };
    let times = thread::scope(|scope| {
        let others = scope.spawn(|| {
            step_back();
            conduct(field, &until)
        });
        let times = honest.run(time);
        until.stop.store(true, Ordering::Relaxed);
        others
            .join()
            .unwrap_or_else(|_| anyhow::bail!("an attacker panicked"))?;
        times
    })?;
    Ok((times, until.sent.into_inner()))
}

fn field(server: &Server, api: &Api, token: &str) -> Result<Field> {
    let enrolled = |model: &str, features: &[f64]| -> Result<(KeyId, Vec<u8>, Vec<u8>)> {
        let model = api.model(model);
        let mut user = User::of(&model);
        let blob = user.take_public_key();
        api.put_key(user.id(), &blob).expect_status(201);
        Ok((user.id(), blob, user.key.encrypt(&model, features)?))
    };
    let (id, _, query) = enrolled("wide", &[0.5; 8])?;
    let wide_query = with_token(&score_request("wide", id, &query.repeat(3)), token);
    let (id, network_key, query) = enrolled(NETWORK, &blindscore_tests::digit(0))?;
    Ok(Field {
        url: server.url().to_owned(),
        address: server.url().trim_start_matches("http://").to_owned(),
        token: token.to_owned(),
        wide_query,
        network_query: with_token(&score_request(NETWORK, id, &query), token),
        network_key,
    })
}

fn honest(server: &Server, api: &Api, token: &str) -> Result<Honest> {
    let model = api.model(HONEST);
    let mut user = User::of(&model);
    let blob = user.take_public_key();
    api.put_key(user.id(), &blob).expect_status(201);
    Ok(Honest {
        oracle: Oracle::new(HONEST, 1),
        request: with_token(&score_request(HONEST, user.id(), &user.query(0)), token),
        url: server.url().to_owned(),
        user,
    })
}

/// Adds a token to a request, after its first line.
fn with_token(request: &[u8], token: &str) -> Vec<u8> {
    let line = request.windows(2).position(|two| two == b"\r\n").unwrap_or(0) + 2;
    let token = format!("authorization: Bearer {token}\r\n");
    [&request[..line], token.as_bytes(), &request[line..]].concat()
}
