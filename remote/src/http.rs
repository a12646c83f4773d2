//! HTTP requests with retries.

use crate::{Cancel, Connection, HttpError, Progress, RemoteError, roots};
use blindscore_protocol::{KEY_HEADER, OCTET_STREAM, ids::KeyId, policy, problem::Recovery};
use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};
use ureq::{
    Agent,
    http::{
        self, Method, StatusCode,
        header::{ETAG, IF_NONE_MATCH},
    },
};

/// Retries while a server has never answered: its address may be wrong.
const FIRST_TRIES: usize = 3;
/// Maximum size of problem details, in bytes.
const PROBLEM_LIMIT: usize = 1 << 16;

/// Requests to one server.
pub(crate) struct Http {
    agent: Agent,
    connection: Connection,
    progress: Arc<dyn Progress>,
    /// Whether the server has ever answered.
    known: AtomicBool,
}

/// Content of a request.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    pub(crate) path: &'a str,
    /// Public key that the body was encrypted for.
    pub(crate) key: Option<KeyId>,
    /// Request body; empty for none.
    pub(crate) body: &'a [u8],
    /// Maximum size of the response's body, in bytes.
    pub(crate) limit: usize,
    /// Ends the retries.
    pub(crate) cancel: &'a Cancel,
    /// `ETag` of the answer that is known already.
    pub(crate) known: Option<&'a str>,
}

/// Answer to a request.
pub(crate) enum Answer {
    /// Body of the response, and its `ETag`.
    Body(Vec<u8>, Option<String>),
    /// The answer that is known already still holds.
    NotModified,
}

impl Http {
    pub(crate) fn new(connection: Connection, progress: Arc<dyn Progress>) -> Result<Self, RemoteError> {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // A redirect may lead to anyone.
            .max_redirects(0)
            .timeout_connect(Some(Duration::from_secs(10)))
            .tls_config(roots::tls(&connection)?)
            .user_agent(concat!("blindscore/", env!("CARGO_PKG_VERSION")))
            .build();
        if let Some(token) = &connection.token
            && !token.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Err(RemoteError::Setting(
                "the token has characters that can't stand in a header, perhaps a line break at its end"
                    .into(),
            ));
        }
        Ok(Self {
            agent: config.into(),
            connection,
            progress,
            known: AtomicBool::new(false),
        })
    }

    /// Returns the settings.
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Returns where progress is shown.
    pub(crate) fn progress(&self) -> &dyn Progress {
        &*self.progress
    }

    /// Sends a request and returns the body of the response. Retries while the server or the
    /// network may recover.
    pub(crate) fn send(&self, call: &Call<'_>) -> Result<Vec<u8>, HttpError> {
        match self.answer(call)? {
            Answer::Body(body, _) => Ok(body),
            Answer::NotModified => Err(HttpError::nonsense(call.path, "no answer is known yet")),
        }
    }

    /// Sends a request and returns the answer. Retries while the server or the network may recover.
    pub(crate) fn answer(&self, call: &Call<'_>) -> Result<Answer, HttpError> {
        let started = Instant::now();
        let left = || self.connection.max_wait.saturating_sub(started.elapsed());
        let (mut retries, mut may_be_done) = (0, false);
        loop {
            let answer = self.send_once(call, left()).map_err(|mut error| {
                error.may_be_done = may_be_done;
                error
            });
            let error = match answer {
                Err(error) if error.recovery == Recovery::Retry => error,
                other => return other,
            };
            let pause = match policy::pause(retries, error.retry_after, chance()) {
                Some(pause) if self.known.load(Ordering::Relaxed) || retries < FIRST_TRIES => pause,
                _ => return Err(error),
            };
            if pause >= left() {
                return Err(error.too_late(pause, &self.connection));
            }
            let seconds = pause.as_secs_f64();
            self.progress
                .note(&format!("{error}; trying again in {seconds:.1} s"));
            call.cancel.sleep(pause)?;
            retries += 1;
            // A server that is busy has done nothing.
            may_be_done |= error
                .status
                .is_none_or(|status| matches!(status, 500 | 502 | 504));
        }
    }

    fn send_once(&self, call: &Call<'_>, left: Duration) -> Result<Answer, HttpError> {
        let address = format!("{}{}", self.connection.url, call.path);
        let mut request = http::Request::builder().method(&call.method).uri(&address);
        if let Some(token) = &self.connection.token {
            request = request.header("authorization", format!("Bearer {}", token.as_str()));
        }
        if let Some(key) = call.key {
            request = request.header(KEY_HEADER, key.to_string());
        }
        if let Some(tag) = call.known {
            request = request.header(IF_NONE_MATCH, tag);
        }
        let unsendable = |error| HttpError::of(format!("invalid request to {address}: {error}"));
        let bytes = policy::transfer_time((call.body.len() + call.limit) as u64);
        let limit = Some(left.min(self.connection.timeout + bytes));
        let answer = if call.body.is_empty() {
            let request = request.body(()).map_err(unsendable)?;
            self.agent.run(
                self.agent
                    .configure_request(request)
                    .timeout_global(limit)
                    .build(),
            )
        } else {
            let request = request.header("content-type", OCTET_STREAM);
            let request = request.body(call.body).map_err(unsendable)?;
            self.agent.run(
                self.agent
                    .configure_request(request)
                    .timeout_global(limit)
                    .build(),
            )
        };
        let unanswered = |error| HttpError::unanswered(&self.connection, call.path, &error);
        let mut answer = answer.map_err(unanswered)?;
        self.known.store(true, Ordering::Relaxed);
        let status = answer.status();
        if status == StatusCode::NOT_MODIFIED && call.known.is_some() {
            return Ok(Answer::NotModified);
        }
        if status.is_redirection() {
            return Err(HttpError::redirected(
                &self.connection,
                call.path,
                answer.headers(),
            ));
        }
        let fine = status.is_success();
        let tag = answer.headers().get(ETAG).and_then(|tag| tag.to_str().ok());
        let tag = tag.map(str::to_owned);
        let limit = if fine { call.limit } else { PROBLEM_LIMIT };
        let body = answer.body_mut().with_config().limit(limit as u64).read_to_vec();
        if !fine {
            // A proxy's body may be long or truncated: the status counts.
            let body = body.unwrap_or_default();
            return Err(HttpError::answered(
                status.as_u16(),
                answer.headers(),
                &body,
                SystemTime::now(),
            ));
        }
        Ok(Answer::Body(body.map_err(unanswered)?, tag))
    }
}

/// Returns a random number from 0 to 1. It keeps clients apart, and no secrets.
fn chance() -> f64 {
    RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64
}
