//! The real server, in this process, so that libFuzzer sees its coverage.

use crate::samples::{self, Sample, usual};
use blindscore_server::{
    cli,
    tenants::{Role, TokenFile},
};
use std::{
    env, fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

/// Limit on its allocations in bytes: `--upload-mib` and 200 MB. What is mapped isn't counted:
/// bootstrapping keys, and bodies of more than 1 MiB. Other keys are small.
pub(crate) const MEMORY: usize = (64 + 200) << 20;
/// Time limit for honest requests, whatever else is going on.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// Token of the only tenant.
    pub(crate) token: String,
}

static SERVER: OnceLock<Server> = OnceLock::new();

/// Starts the server with this program's arguments.
pub(crate) fn prepare() {
    samples::prepare();
    let argument = |name: &str| {
        let mut arguments = env::args().skip_while(|argument| argument != name);
        arguments.nth(1).unwrap_or_else(|| panic!("{name} is given"))
    };
    let address: SocketAddr = argument("--bind").parse().expect("an address");
    let models = argument("--models-dir");
    fs::create_dir_all(&models).expect("a folder");
    let Sample { file, .. } = usual();
    fs::write(Path::new(&models).join("toy@1.safetensors"), file).expect("written");
    let tokens = TokenFile::at(Path::new(&argument("--tokens")));
    let (token, _) = tokens
        .create("fuzz".parse().expect("a name"), Role::Operator)
        .expect("a token");
    let server = Server {
        address,
        token: token.reveal().to_owned(),
    };
    thread::spawn(|| panic!("the server ended: {:?}", cli::run()));
    assert!(SERVER.set(server).is_ok(), "started once");
    let started = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(started.elapsed() < PATIENCE, "the server doesn't listen");
        thread::sleep(Duration::from_millis(10));
    }
    upload();
}

pub(crate) fn server() -> &'static Server {
    SERVER.get().expect("the server was started")
}

/// Uploads the usual key, which an input may have deleted.
pub(crate) fn upload() {
    let (key, blob) = (usual().key.key_id(), &usual().public);
    let length = blob.len();
    let head = format!(
        "PUT /v1/keys/{key} HTTP/1.1\r\nContent-Type: application/octet-stream\r\nContent-Length: {length}"
    );
    honest(&head, blob);
}

/// Sends a request that must succeed, or be refused because of load.
pub(crate) fn honest(head: &str, body: &[u8]) {
    let Server { address, token } = server();
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let head =
        format!("{head}\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("the server reads");
    stream.write_all(body).expect("the server reads");
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    let fine = ["HTTP/1.1 2", "HTTP/1.1 503"];
    assert!(
        read.is_ok() && fine.iter().any(|status| answer.starts_with(status)),
        "an honest request got {read:?}, {answer}"
    );
}
