//! Proxy that records requests.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

/// TCP proxy in front of a server, which records everything that clients send.
pub struct Recorder {
    url: String,
    sent: Arc<Mutex<Vec<u8>>>,
}

impl Recorder {
    /// Starts a proxy in front of the server at `upstream` (`http://address:port`). It lives as
    /// long as the test process.
    pub fn before(upstream: &str) -> Self {
        let upstream = upstream.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let sent = Arc::new(Mutex::new(Vec::new()));
        let log = sent.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect(&upstream).expect("the server accepts connections");
                let (client_copy, server_copy) = (clone(&client), clone(&server));
                let log = log.clone();
                thread::spawn(move || copy(client, server, Some(&log)));
                thread::spawn(move || copy(server_copy, client_copy, None));
            }
        });
        Self {
            url: format!("http://{address}"),
            sent,
        }
    }

    /// Returns the URL for clients.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns everything sent to the server so far, headers and bodies.
    pub fn sent(&self) -> Vec<u8> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn clone(stream: &TcpStream) -> TcpStream {
    stream.try_clone().expect("another handle of the connection")
}

fn copy(mut from: TcpStream, mut to: TcpStream, log: Option<&Mutex<Vec<u8>>>) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if let Some(log) = log {
            // Recorded before it is passed on, so that a client with a response finds its request
            // recorded.
            log.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend_from_slice(&buffer[..count]);
        }
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
