//! TCP proxy in front of a server. A policy decides what happens to each piece of a connection.

mod faults;
mod gate;
mod recorder;

pub use faults::{Fault, Faults};
pub use gate::{Gate, Passage};
pub use recorder::Recorder;

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

/// What the proxy does with a piece of a connection.
pub enum Verdict {
    /// Passes it on.
    Pass,
    /// Sends these bytes to the client, ends the connection, and passes nothing on.
    Answer(&'static [u8]),
    /// Breaks the connection.
    Break,
    /// Breaks the connection; from then on, the proxy's address leads to this server.
    Move(String),
}

/// Decides what happens to the pieces of all connections.
pub trait Policy: Send + Sync + 'static {
    /// Judges a piece that a client sends, before it is passed on.
    fn on_sent(&self, piece: &[u8]) -> Verdict;

    /// Judges a piece that the server sends, before it is passed on.
    fn on_received(&self, _piece: &[u8]) -> Verdict {
        Verdict::Pass
    }
}

/// TCP proxy in front of a server. It lives as long as the test process.
pub struct Proxy<P> {
    url: String,
    policy: Arc<P>,
}

impl<P: Policy> Proxy<P> {
    /// Starts a proxy in front of the server at `upstream`: `address:port`, or `http://` before it.
    pub fn before(upstream: &str, policy: P) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let policy = Arc::new(policy);
        let (shared, upstream) = (policy.clone(), Arc::new(Mutex::new(address(upstream))));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (policy, upstream) = (shared.clone(), upstream.clone());
                thread::spawn(move || pass(client, &*policy, &upstream));
            }
        });
        Self { url, policy }
    }

    /// Returns the URL for clients.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl<P> Deref for Proxy<P> {
    type Target = P;

    fn deref(&self) -> &P {
        &self.policy
    }
}

fn address(url: &str) -> String {
    url.trim_start_matches("http://").to_owned()
}

/// Passes a connection on in both directions until either side ends it, or the policy does.
fn pass(client: TcpStream, policy: &impl Policy, upstream: &Mutex<String>) {
    let address = upstream.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let Ok(server) = TcpStream::connect(address) else {
        return;
    };
    thread::scope(|scope| {
        scope.spawn(|| copy(&server, &client, |piece| policy.on_received(piece), upstream));
        copy(&client, &server, |piece| policy.on_sent(piece), upstream);
    });
}

fn copy(
    mut from: &TcpStream,
    mut to: &TcpStream,
    judge: impl Fn(&[u8]) -> Verdict,
    upstream: &Mutex<String>,
) {
    let mut buffer = [0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        match judge(&buffer[..count]) {
            Verdict::Pass => {
                if to.write_all(&buffer[..count]).is_err() {
                    break;
                }
                continue;
            }
            Verdict::Answer(response) => {
                let _ = from.write_all(response);
                let _ = from.shutdown(Shutdown::Write);
                // Reads the rest, since unread bytes would reset the connection.
                while let Ok(1..) = from.read(&mut buffer) {}
            }
            Verdict::Break => {}
            Verdict::Move(server) => {
                *upstream.lock().unwrap_or_else(PoisonError::into_inner) = address(&server);
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
        return;
    }
    let _ = to.shutdown(Shutdown::Write);
}
