//! Whole HTTP requests, sent byte by byte over a socket.
//!
//! The placeholders `{key}`, `{token}`, `{query}` and `{blob}` stand for an honest client's key id,
//! token, query and public key, `{query-length}` and `{blob-length}` for the lengths of the latter
//! two, and `{flush}` for the end of a packet.

use crate::{
    samples::usual,
    server::{self, Server},
};
use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

/// Silence after which the server is taken to wait for the rest of a request.
const SILENCE: Duration = Duration::from_millis(20);
/// Number of inputs from one honest request to the next.
const EVERY: u32 = 128;

static COUNT: AtomicU32 = AtomicU32::new(0);

pub(crate) fn run(data: &[u8]) {
    if COUNT.fetch_add(1, Ordering::Relaxed) % EVERY == EVERY - 1 {
        server::upload();
        server::honest("GET /readyz HTTP/1.1", b"");
    }
    let Server { address, .. } = server::server();
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(SILENCE)).expect("a timeout");
    stream.set_write_timeout(Some(SILENCE)).expect("a timeout");
    stream.set_nodelay(true).expect("an option");
    for packet in expanded(data) {
        // The server may close the connection of a refused request.
        if stream.write_all(&packet).is_err() {
            break;
        }
        thread::yield_now();
    }
    let mut answer = Vec::new();
    let mut buffer = [0; 1 << 14];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        answer.extend_from_slice(&buffer[..length]);
        if answer.len() > 1 << 20 || whole(&answer).is_some_and(|end| end == answer.len()) {
            break;
        }
    }
    check(&answer);
}

/// Splits an input into packets and fills in the placeholders.
fn expanded(data: &[u8]) -> Vec<Vec<u8>> {
    let sample = usual();
    let values: [(&[u8], Vec<u8>); 6] = [
        (b"{key}", sample.key.key_id().to_string().into_bytes()),
        (b"{token}", server::server().token.clone().into_bytes()),
        (b"{query}", sample.query.clone()),
        (b"{blob}", sample.public.clone()),
        (b"{query-length}", sample.query.len().to_string().into_bytes()),
        (b"{blob-length}", sample.public.len().to_string().into_bytes()),
    ];
    let mut packets = vec![Vec::new()];
    let mut rest = data;
    while let [first, ..] = rest {
        if let Some(after) = rest.strip_prefix(b"{flush}") {
            packets.push(Vec::new());
            rest = after;
            continue;
        }
        let value = values
            .iter()
            .find_map(|(name, value)| rest.strip_prefix(*name).map(|after| (after, value)));
        let packet = packets.last_mut().expect("there is one");
        match value {
            Some((after, value)) if packet.len() < 1 << 20 => {
                packet.extend_from_slice(value);
                rest = after;
            }
            _ => {
                packet.push(*first);
                rest = &rest[1..];
            }
        }
    }
    packets
}

/// Returns the end of the first response, if its length is given and it is complete.
fn whole(answer: &[u8]) -> Option<usize> {
    let head = answer.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    let text = str::from_utf8(&answer[..head]).ok()?.to_ascii_lowercase();
    let (_, length) = text.split_once("content-length: ")?;
    let length: usize = length.lines().next()?.parse().ok()?;
    (head + length <= answer.len()).then_some(head + length)
}

/// Checks that every response is well formed and none reports a failure of the server.
fn check(mut answers: &[u8]) {
    while !answers.is_empty() {
        let start = String::from_utf8_lossy(&answers[..answers.len().min(400)]);
        let status = start
            .strip_prefix("HTTP/1.1 ")
            .or_else(|| start.strip_prefix("HTTP/1.0 "))
            .and_then(|rest| rest.get(..3)?.parse::<u16>().ok());
        assert!(matches!(status, Some(100..=499 | 503)), "the answer is {start:?}");
        match whole(answers) {
            Some(end) => answers = &answers[end..],
            None => return,
        }
    }
}
