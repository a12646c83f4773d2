//! Requests that are repeated while that may help, and errors that say what could be done.

use crate::{args::ModelArgs, screen::Screen};
use backon::{BackoffBuilder, ExponentialBuilder};
use blindscore_protocol::{KEY_HEADER, OCTET_STREAM, ids::KeyId, problem::Recovery};
use serde::Deserialize;
use std::{
    cell::Cell,
    fmt, thread,
    time::{Duration, SystemTime},
};
use ureq::{
    Agent, Error,
    http::{self, HeaderMap, Method},
};
use zeroize::Zeroizing;

/// A server that needs, or asks for, more time than this has failed.
const PATIENCE: Duration = Duration::from_secs(600);
/// Times that a server is asked again which has never answered: its address may be wrong.
const FIRST_TRIES: usize = 3;
/// Problem details are shorter.
const PROBLEM_LIMIT: usize = 1 << 16;

/// One server.
pub(crate) struct Http {
    agent: Agent,
    base: String,
    token: Option<Zeroizing<String>>,
    backoff: ExponentialBuilder,
    screen: Screen,
    /// Whether there was any answer yet.
    known: Cell<bool>,
}

/// A request.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    pub(crate) path: &'a str,
    /// The public key that the body was encrypted for.
    pub(crate) key: Option<KeyId>,
    /// Empty for none.
    pub(crate) body: &'a [u8],
    /// Bytes that the answer may have.
    pub(crate) limit: usize,
}

/// Why a request failed.
#[derive(Debug)]
pub(crate) struct HttpError {
    message: String,
    /// What can be done.
    pub(crate) recovery: Recovery,
    retry_after: Option<Duration>,
}

/// What is read of problem details (RFC 9457). A server newer than this program may have codes that it doesn't know.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    title: String,
    detail: String,
    recovery: Option<Recovery>,
}

impl Http {
    pub(crate) fn new(args: &ModelArgs, screen: Screen) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_global(Some(PATIENCE))
            .user_agent(concat!("blindscore/", env!("CARGO_PKG_VERSION")))
            .build();
        Self {
            agent: config.into(),
            base: args.url.clone(),
            token: args.token.clone().map(Zeroizing::new),
            backoff: ExponentialBuilder::default()
                .with_min_delay(Duration::from_millis(500))
                .with_max_delay(Duration::from_secs(30))
                .with_max_times(8)
                .with_jitter(),
            screen,
            known: Cell::new(false),
        }
    }

    /// Gives the body of the answer. Asks again while the server, or the network, may do better the next time.
    pub(crate) fn send(&self, call: &Call<'_>) -> Result<Vec<u8>, HttpError> {
        let mut delays = self.backoff.build();
        let mut tries = 0;
        loop {
            let error = match self.send_once(call) {
                Err(error) if error.recovery == Recovery::Retry => error,
                other => return other,
            };
            let asked = error.retry_after.unwrap_or_default();
            let delay = match delays.next() {
                Some(delay) if asked <= PATIENCE && (self.known.get() || tries < FIRST_TRIES) => {
                    delay.max(asked)
                }
                _ => return Err(error),
            };
            let seconds = delay.as_secs_f64();
            self.screen
                .note(&format!("{error}; trying again in {seconds:.1} s"));
            thread::sleep(delay);
            tries += 1;
        }
    }

    fn send_once(&self, call: &Call<'_>) -> Result<Vec<u8>, HttpError> {
        let mut request = http::Request::builder()
            .method(&call.method)
            .uri(format!("{}{}", self.base, call.path));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {}", token.as_str()));
        }
        if let Some(key) = call.key {
            request = request.header(KEY_HEADER, key.to_string());
        }
        let answer = if call.body.is_empty() {
            self.agent.run(request.body(()).map_err(unsendable)?)
        } else {
            let request = request.header("content-type", OCTET_STREAM);
            self.agent.run(request.body(call.body).map_err(unsendable)?)
        };
        let mut answer = answer.map_err(|error| self.unanswered(&error))?;
        self.known.set(true);
        let fine = answer.status().is_success();
        let limit = if fine { call.limit } else { PROBLEM_LIMIT };
        let body = answer.body_mut().with_config().limit(limit as u64).read_to_vec();
        if !fine {
            // What a proxy says may be long, or broken off: the status counts.
            let body = body.unwrap_or_default();
            return Err(problem(answer.status().as_u16(), answer.headers(), &body));
        }
        body.map_err(|error| self.unanswered(&error))
    }

    fn unanswered(&self, error: &Error) -> HttpError {
        let passing = matches!(error, Error::Io(_) | Error::Timeout(_) | Error::ConnectionFailed);
        HttpError {
            message: format!("no answer from {}: {error}", self.base),
            recovery: if passing { Recovery::Retry } else { Recovery::None },
            retry_after: None,
        }
    }
}

impl HttpError {
    /// An answer that isn't what it should be.
    pub(crate) fn nonsense(path: &str, problem: impl fmt::Display) -> Self {
        Self {
            message: format!("the answer to {path} makes no sense: {problem}"),
            recovery: Recovery::None,
            retry_after: None,
        }
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for HttpError {}

/// Only the token was not checked before.
fn unsendable(_: http::Error) -> HttpError {
    HttpError {
        message: "the token has characters that can't stand in a header".into(),
        recovery: Recovery::None,
        retry_after: None,
    }
}

fn problem(status: u16, headers: &HeaderMap, body: &[u8]) -> HttpError {
    let Problem {
        title,
        detail,
        recovery,
    } = serde_json::from_slice(body).unwrap_or_default();
    let passing = status >= 500 || status == 429;
    let message = match (title.is_empty(), detail.is_empty()) {
        (true, true) => format!("the server answered with status {status}"),
        (false, false) => format!("{title}: {detail}"),
        _ => title + &detail,
    };
    HttpError {
        // What a server says must not steer the terminal.
        message: message.replace(char::is_control, " "),
        recovery: recovery.unwrap_or(if passing { Recovery::Retry } else { Recovery::None }),
        retry_after: headers
            .get("retry-after")
            .and_then(|value| value.to_str().ok())
            .and_then(|value| retry_after(value, SystemTime::now())),
    }
}

/// How long to wait: seconds or a date (RFC 9110, section 10.2.3).
fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value.trim()).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use blindscore_protocol::problem::ProblemCode;

    fn read(status: u16, retry: &str, body: &str) -> HttpError {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", retry.parse().unwrap());
        problem(status, &headers, body.as_bytes())
    }

    #[test]
    fn problems_say_what_to_do() {
        for &code in ProblemCode::ALL {
            let text =
                serde_json::to_string(&blindscore_protocol::problem::Problem::new(code, "why")).unwrap();
            let error = read(code.status(), "7", &text);
            assert_eq!(error.recovery, code.recovery());
            assert_eq!(error.to_string(), format!("{}: why", code.title()));
            assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
        }
        let newer = r#"{"code": "quota", "title": "Too many", "recovery": "retry", "status": 429}"#;
        assert_eq!(read(429, "1", newer).recovery, Recovery::Retry);
        assert_eq!(read(429, "1", newer).to_string(), "Too many");
        let steering = r#"{"title": "Clear\u001b[2J", "detail": "a\nb\u009b"}"#;
        assert_eq!(read(400, "1", steering).to_string(), "Clear [2J: a b ");
        for (status, recovery) in [
            (502, Recovery::Retry),
            (429, Recovery::Retry),
            (404, Recovery::None),
        ] {
            for body in ["", "<html>", "[]", "{}"] {
                let error = read(status, "x", body);
                assert_eq!(error.recovery, recovery);
                assert!(error.to_string().contains(&status.to_string()), "{error}");
                assert_eq!(error.retry_after, None);
            }
        }
    }

    #[test]
    fn waits_are_seconds_or_dates() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let wait = |value| retry_after(value, now).map(|wait| wait.as_secs());
        assert_eq!(wait("120"), Some(120));
        assert_eq!(wait("Sun, 06 Nov 1994 08:50:37 GMT"), Some(60));
        assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        for bad in ["", "-1", "soon", "1.5"] {
            assert_eq!(wait(bad), None, "{bad:?}");
        }
    }
}
