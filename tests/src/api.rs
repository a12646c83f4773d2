//! HTTP client that treats every response as a value.

use blindscore_protocol::{
    KEY_HEADER, OCTET_STREAM,
    descriptor::CheckedDescriptor,
    ids::KeyId,
    problem::{Problem, ProblemCode},
};
use serde::de::DeserializeOwned;
use std::{
    fmt,
    io::{Read, Write},
    net::TcpStream,
};
use ureq::{Agent, http};

const JSON: &str = "application/json";

/// HTTP client with its connections. Error statuses are ordinary replies; only a failing transport
/// panics.
#[derive(Clone)]
pub struct Api {
    agent: Agent,
    base: String,
    token: Option<String>,
}

/// A complete response.
pub struct Reply {
    /// HTTP status code.
    pub status: u16,
    /// Response headers.
    pub headers: http::HeaderMap,
    /// Response body.
    pub body: Vec<u8>,
}

impl Api {
    /// Creates a client for the server at `base`.
    pub fn new(base: &str) -> Self {
        let config = Agent::config_builder().http_status_as_error(false).build();
        Self {
            agent: config.into(),
            base: base.to_owned(),
            token: None,
        }
    }

    /// Returns the same client with a tenant's token.
    pub fn with_token(&self, token: &str) -> Self {
        Self {
            token: Some(token.to_owned()),
            ..self.clone()
        }
    }

    /// Fetches the descriptor of a model.
    pub fn model(&self, name: &str) -> CheckedDescriptor {
        self.get(&format!("/v1/models/{name}")).expect_status(200).json()
    }

    /// Sends a request. An empty body is left out for methods that have none.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut request = http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let answer = match method {
            "GET" | "HEAD" | "DELETE" => self.agent.run(request.body(()).expect("a valid request")),
            _ => self.agent.run(request.body(body).expect("a valid request")),
        };
        let mut answer = answer.unwrap_or_else(|error| panic!("{method} {path}: no answer: {error}"));
        Reply {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            body: answer.body_mut().read_to_vec().expect("a whole body"),
        }
    }

    /// Sends a GET request.
    pub fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], &[])
    }

    /// Sends a HEAD request.
    pub fn head(&self, path: &str) -> Reply {
        self.send("HEAD", path, &[], &[])
    }

    /// Sends a DELETE request.
    pub fn delete(&self, path: &str) -> Reply {
        self.send("DELETE", path, &[], &[])
    }

    /// Uploads `blob` as the key `id`.
    pub fn put_key(&self, id: KeyId, blob: &[u8]) -> Reply {
        let path = format!("/v1/keys/{id}");
        self.send("PUT", &path, &[("content-type", OCTET_STREAM)], blob)
    }

    /// Scores raw queries on the bundled model.
    pub fn score(&self, id: KeyId, queries: &[u8]) -> Reply {
        let headers = [("content-type", OCTET_STREAM), (KEY_HEADER, &id.to_string())];
        self.send("POST", "/v1/models/mnist-linear/score", &headers, queries)
    }

    /// Sends a POST request with JSON.
    pub fn post_json(&self, path: &str, json: impl AsRef<[u8]>) -> Reply {
        self.send("POST", path, &[("content-type", JSON)], json.as_ref())
    }

    /// Sends bytes unchanged on a new connection and returns the response's headers and body.
    pub fn raw(&self, request: &[u8]) -> String {
        let mut stream = self.connect();
        // The server may respond and disconnect before it has read everything.
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Opens a bare connection.
    pub fn connect(&self) -> TcpStream {
        let address = self.base.trim_start_matches("http://");
        TcpStream::connect(address).expect("the server accepts connections")
    }
}

impl Reply {
    /// Returns a header as text, empty if absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// Parses the body as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// Checks the status and returns the reply.
    #[track_caller]
    pub fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Checks that this is the problem `code` in every respect: status, media type, body, recovery.
    #[track_caller]
    pub fn expect_problem(self, code: ProblemCode, what: impl fmt::Display) -> Problem {
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{what}: {self:?}"
        );
        let problem: Problem = self.json();
        assert_eq!(problem.code, code, "{what}: {problem:?}");
        assert_eq!(self.status, code.status(), "{what}: {problem:?}");
        assert_eq!(problem, Problem::new(code, problem.detail.clone()), "{what}");
        assert!(!problem.detail.is_empty(), "{what}: no detail");
        problem
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} ", self.status, self.headers)?;
        match std::str::from_utf8(&self.body) {
            Ok(text) => write!(f, "{text:.400?}"),
            Err(_) => write!(f, "{} bytes", self.body.len()),
        }
    }
}
