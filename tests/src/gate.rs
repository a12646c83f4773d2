//! Proxy that intercepts score requests.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

/// Treatment of a score request.
pub enum Passage {
    /// Passes the request on to the server.
    Forward,
    /// Sends this HTTP response to the client, and nothing to the server.
    Answer(&'static str),
    /// Breaks the connection; from then on, the proxy's address leads to another server.
    Move(String),
}

/// TCP proxy in front of a server, which intercepts score requests.
pub struct Gate {
    url: String,
}

impl Gate {
    /// Starts a proxy in front of the server at `upstream` (`http://address:port`). `decide` is
    /// called for every score request with its number, from 0. The proxy lives as long as the test
    /// process.
    pub fn before(upstream: &str, decide: impl FnMut(usize) -> Passage + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let keeper = Arc::new(Mutex::new(Keeper {
            upstream: host(upstream),
            seen: 0,
            decide: Box::new(decide),
        }));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let keeper = keeper.clone();
                thread::spawn(move || pass(client, &keeper));
            }
        });
        Self {
            url: format!("http://{address}"),
        }
    }

    /// Returns the URL for clients.
    pub fn url(&self) -> &str {
        &self.url
    }
}

struct Keeper {
    upstream: String,
    seen: usize,
    decide: Box<dyn FnMut(usize) -> Passage + Send>,
}

fn host(url: &str) -> String {
    url.trim_start_matches("http://").to_owned()
}

/// Passes a connection on. Clients wait for a response before they send another request, so every
/// request starts at the start of a read.
fn pass(mut client: TcpStream, keeper: &Mutex<Keeper>) {
    let keep = || keeper.lock().unwrap_or_else(PoisonError::into_inner);
    let mut server = TcpStream::connect(&keep().upstream).expect("the server accepts connections");
    let (mut back, mut from) = (
        client.try_clone().expect("another handle"),
        server.try_clone().expect("another handle"),
    );
    thread::spawn(move || {
        // Ends when either side does.
        let _ = std::io::copy(&mut from, &mut back);
        let _ = back.shutdown(Shutdown::Write);
    });
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = client.read(&mut buffer) {
        if buffer.starts_with(b"POST /v1/models/") {
            let mut keeper = keep();
            keeper.seen += 1;
            let number = keeper.seen - 1;
            match (keeper.decide)(number) {
                Passage::Forward => {}
                Passage::Answer(response) => {
                    let _ = client.write_all(response.as_bytes());
                    let _ = client.shutdown(Shutdown::Write);
                    // Reads the rest, since unread bytes would reset the connection.
                    while let Ok(1..) = client.read(&mut buffer) {}
                    break;
                }
                Passage::Move(upstream) => {
                    keeper.upstream = host(&upstream);
                    break;
                }
            }
        }
        if server.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}
