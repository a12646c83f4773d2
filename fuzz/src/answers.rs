//! Server that answers `blindscore` with edited responses of a good server.

use crate::{edit, rows, server, table::file};
use arbitrary::Unstructured;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Mutex, OnceLock, PoisonError},
    thread,
};

/// Treatment of the next responses.
#[derive(Default)]
struct Plan {
    /// Responses passed on unchanged before one is edited.
    good: u8,
    /// Edits to apply, or `None` once they have been.
    edits: Option<Vec<u8>>,
}

static PLAN: Mutex<Option<Plan>> = Mutex::new(None);
static ADDRESS: OnceLock<SocketAddr> = OnceLock::new();

pub(crate) fn prepare() {
    server::prepare();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    assert!(ADDRESS.set(address).is_ok(), "started once");
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // Fails if the client disconnects.
            thread::spawn(move || drop(serve(&client)));
        }
    });
}

pub(crate) fn run(data: &[u8]) {
    let [good, edits @ ..] = data else { return };
    *PLAN.lock().unwrap_or_else(PoisonError::into_inner) = Some(Plan {
        good: good % 3,
        edits: Some(edits.to_vec()),
    });
    let csv = file(b"1,2,3\n4,5,6\n9,0,9\n");
    let address = ADDRESS.get().expect("started");
    rows::predict(&csv, &format!("http://{address}"));
}

fn serve(client: &TcpStream) -> std::io::Result<()> {
    let mut requests = BufReader::new(client);
    while let Some(request) = message(&mut requests)? {
        let mut upstream = TcpStream::connect(server::server().address)?;
        upstream.write_all(&request)?;
        let mut answer = message(&mut BufReader::new(upstream))?.unwrap_or_default();
        let edited = edit(&mut answer);
        let mut client = client;
        client.write_all(&answer)?;
        if edited {
            break;
        }
    }
    Ok(())
}

fn edit(answer: &mut Vec<u8>) -> bool {
    let mut plan = PLAN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(plan) = plan.as_mut() else { return false };
    if plan.good > 0 {
        plan.good -= 1;
        return false;
    }
    let Some(edits) = plan.edits.take() else {
        return false;
    };
    let mut input = Unstructured::new(&edits);
    // Usually edits only the body, and corrects its length.
    let end = answer.windows(4).position(|end| end == b"\r\n\r\n");
    match (end, input.ratio(3, 4)) {
        (Some(end), Ok(true)) => {
            let mut body = answer.split_off(end + 4);
            edit::apply(&mut input, &mut body);
            let head = String::from_utf8_lossy(answer);
            let lines = head
                .lines()
                .filter(|line| !line.is_empty() && !line.to_ascii_lowercase().starts_with("content-length"));
            let head: String = lines.map(|line| format!("{line}\r\n")).collect();
            *answer = format!("{head}content-length: {}\r\n\r\n", body.len()).into_bytes();
            answer.extend(body);
        }
        _ => edit::apply(&mut input, answer),
    }
    true
}

/// Reads a whole request or response. Returns `None` at the end of the connection.
fn message(stream: &mut impl BufRead) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let mut length = 0;
    loop {
        let start = bytes.len();
        if stream.read_until(b'\n', &mut bytes)? == 0 {
            return Ok(None);
        }
        let line = String::from_utf8_lossy(&bytes[start..]).to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or_default();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    stream.take(length).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}
