//! Proxy that makes connections to a server fail on demand.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    thread,
    time::Duration,
};

/// Fault of the connections through the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Fault {
    /// Connections work.
    None,
    /// Connections are closed at once.
    Refuse,
    /// Nothing that is sent arrives.
    Hang,
    /// Every request gets status 500.
    Fail,
}

/// TCP proxy in front of a server, which fails on demand.
pub struct Faults {
    url: String,
    fault: Arc<AtomicU8>,
}

impl Faults {
    /// Starts a proxy in front of the server at `upstream` (`address:port`). It lives as long as
    /// the test process.
    pub fn before(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let fault = Arc::new(AtomicU8::new(Fault::None as u8));
        let (shared, upstream) = (fault.clone(), upstream.to_owned());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (fault, upstream) = (shared.clone(), upstream.clone());
                thread::spawn(move || serve(client, &upstream, &fault));
            }
        });
        Self { url, fault }
    }

    /// Returns the URL for clients.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sets the fault for new and open connections.
    pub fn set(&self, fault: Fault) {
        self.fault.store(fault as u8, Ordering::SeqCst);
    }
}

fn serve(client: TcpStream, upstream: &str, fault: &Arc<AtomicU8>) {
    let Ok(server) = TcpStream::connect(upstream) else {
        return;
    };
    let (Ok(client_copy), Ok(server_copy)) = (client.try_clone(), server.try_clone()) else {
        return;
    };
    let back = thread::spawn({
        let fault = fault.clone();
        move || copy(server_copy, client_copy, &fault, false)
    });
    copy(client, server, fault, true);
    let _ = back.join();
}

fn copy(mut from: TcpStream, mut to: TcpStream, fault: &AtomicU8, towards_server: bool) {
    let mut buffer = [0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        loop {
            match fault.load(Ordering::SeqCst) {
                fault if fault == Fault::None as u8 => break,
                fault if fault == Fault::Hang as u8 => thread::sleep(Duration::from_millis(5)),
                fault if fault == Fault::Fail as u8 && towards_server => {
                    let answer = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                    let _ = from.write_all(answer);
                    let _ = from.shutdown(Shutdown::Both);
                    let _ = to.shutdown(Shutdown::Both);
                    return;
                }
                _ => {
                    let _ = from.shutdown(Shutdown::Both);
                    let _ = to.shutdown(Shutdown::Both);
                    return;
                }
            }
        }
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
