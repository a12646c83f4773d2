//! Cheap HTTP client: requests are prepared in advance, and no more is read than necessary.

use anyhow::{Context, Result, bail};
use blindscore_protocol::{KEY_HEADER, ids::KeyId};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

/// Connection that is reopened when the server has closed it.
pub(crate) struct Connection {
    address: String,
    stream: Option<BufReader<TcpStream>>,
}

/// Response to a request.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<u64>,
    pub(crate) body: Vec<u8>,
    pub(crate) took: Duration,
}

impl Connection {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            address: url.trim_start_matches("http://").to_owned(),
            stream: None,
        }
    }

    /// Sends a complete request and reads the complete response.
    pub(crate) fn send(&mut self, request: &[u8]) -> Result<Answer> {
        let started = Instant::now();
        let answer = self.try_send(request, started);
        if answer.is_err() {
            self.stream = None;
        }
        answer
    }

    fn try_send(&mut self, request: &[u8], started: Instant) -> Result<Answer> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let stream = TcpStream::connect(&self.address).context("connecting")?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(Duration::from_secs(120)))?;
                none.insert(BufReader::with_capacity(64 * 1024, stream))
            }
        };
        stream.get_mut().write_all(request).context("sending")?;
        let (mut status, mut len, mut retry_after) = (None, 0, None);
        let mut line = String::new();
        loop {
            line.clear();
            if stream.read_line(&mut line).context("reading")? == 0 {
                bail!("the server closed the connection");
            }
            let text = line.trim_end();
            if text.is_empty() {
                break;
            }
            if status.is_none() {
                status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
            } else if let Some((name, value)) = text.split_once(':') {
                if name.eq_ignore_ascii_case("content-length") {
                    len = value.trim().parse()?;
                } else if name.eq_ignore_ascii_case("retry-after") {
                    retry_after = value.trim().parse().ok();
                }
            }
        }
        let mut body = vec![0; len];
        stream.read_exact(&mut body).context("reading the body")?;
        Ok(Answer {
            status: status.context("no status")?,
            retry_after,
            body,
            took: started.elapsed(),
        })
    }
}

/// Builds a complete request to score one raw query.
pub(crate) fn score_request(model: &str, key: KeyId, query: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /v1/models/{model}/score HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/octet-stream\r\n\
         {KEY_HEADER}: {key}\r\ncontent-length: {}\r\n\r\n",
        query.len()
    );
    [head.as_bytes(), query].concat()
}

/// Builds a complete request to upload a key.
pub(crate) fn put_request(key: KeyId, blob: &[u8]) -> Vec<u8> {
    let head = format!(
        "PUT /v1/keys/{key} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/octet-stream\r\ncontent-length: {}\r\n\r\n",
        blob.len()
    );
    [head.as_bytes(), blob].concat()
}

/// Builds a complete request without a body.
pub(crate) fn request(method: &str, path: &str) -> Vec<u8> {
    format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").into_bytes()
}
