//! Errors of requests and of key files, and possible recoveries.

use crate::{Connection, text::one_line};
use blindscore_client::ClientError;
use blindscore_protocol::{descriptor::DescriptorError, policy, problem::Recovery, random::EntropyError};
use serde::Deserialize;
use serde_json::Value;
use std::{
    fmt, io,
    path::PathBuf,
    time::{Duration, SystemTime},
};
use ureq::{Error, http::HeaderMap};

/// Why something failed that needs a server or a key file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// A request failed.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The server has no model of this name.
    #[error("{cause}; the server has {known}")]
    NoModel {
        /// The server's answer.
        cause: HttpError,
        /// Names of models that it has.
        known: String,
    },
    /// The server describes the model in a way that can't be used.
    #[error("the model can't be used: {0}")]
    Descriptor(DescriptorError),
    /// The model is not the one whose id the caller accepts.
    #[error("model_changed: {0}; nothing was sent to it")]
    Pinned(String),
    /// The model changed, and the caller has not agreed to the difference.
    #[error(
        "model_changed: {cause}; nothing more was sent, because the model is not the one that the rows were checked \
         against: {difference}. Running {again} again accepts this"
    )]
    Changed {
        /// The server's answer.
        cause: HttpError,
        /// What is different.
        difference: String,
        /// What the user may run again.
        again: &'static str,
    },
    /// The ranges of the model exclude their own centre.
    #[error("the model can't be used: its ranges exclude their own centre: {0}")]
    NoBlank(ClientError),
    /// Encryption or decryption failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// There is no randomness, so there are no keys.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// A setting can't be used.
    #[error("{0}")]
    Setting(String),
    /// The evaluation key could not be uploaded.
    #[error("the public key was not uploaded: {0}")]
    Upload(HttpError),
    /// A key file can't be read, written or removed.
    #[error("can't {action} {}: {cause}", path.display())]
    File {
        /// What was tried: read, write or remove.
        action: &'static str,
        /// Path of the file.
        path: PathBuf,
        /// Error of the operating system.
        cause: io::Error,
    },
    /// A file is no key.
    #[error("{} is not a secret key: {cause}", path.display())]
    NotAKey {
        /// Path of the file.
        path: PathBuf,
        /// What is wrong with it.
        cause: ClientError,
    },
    /// A key file of the user that others have access to.
    #[error(
        "the secret key in {} is open to other users of this machine (mode {mode:04o}), and whoever has it can read all \
         that was encrypted with it: run `chmod 600 '{}'`, or if somebody may have read it, remove it and make a new one",
        path.display(),
        path.display()
    )]
    OpenToOthers {
        /// Path of the file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The key in a file is for another parameter set than the model's.
    #[error("the key in {} is for parameter set {key}, but the model uses {model}", path.display())]
    OtherSet {
        /// Path of the file.
        path: PathBuf,
        /// Parameter set of the key.
        key: &'static str,
        /// Parameter set of the model.
        model: &'static str,
    },
}

/// Why a request failed.
#[derive(Debug)]
pub struct HttpError {
    message: String,
    /// Status of the answer, if there was one.
    pub status: Option<u16>,
    /// Recovery that may help.
    pub recovery: Recovery,
    /// Time that the server asks to wait.
    pub retry_after: Option<Duration>,
    /// Whether an earlier try of the request may have succeeded without an answer.
    pub(crate) may_be_done: bool,
}

impl HttpError {
    /// Creates an error without a recovery.
    pub(crate) fn of(message: String) -> Self {
        Self {
            message,
            status: None,
            recovery: Recovery::None,
            retry_after: None,
            may_be_done: false,
        }
    }

    /// Creates the error for a malformed response.
    pub(crate) fn nonsense(path: &str, problem: impl fmt::Display) -> Self {
        // Some problems quote the response.
        let problem = one_line(&problem.to_string());
        Self::of(format!("the answer to {path} makes no sense: {problem}"))
    }

    /// Creates the error for a missing or incomplete response.
    pub(crate) fn unanswered(connection: &Connection, path: &str, error: &Error) -> Self {
        let base = &connection.url;
        if let Some(problem) = certificate(error) {
            let setting = connection.naming.setting("ca-cert");
            return Self::of(format!(
                "the certificate of {base} is not trusted: {problem}. If a private authority has signed it, pass that authority's certificate with \
                 {setting}"
            ));
        }
        match error {
            Error::BodyExceedsLimit(limit) => {
                Self::nonsense(path, format!("it is longer than {limit} bytes"))
            }
            Error::Io(_) | Error::Timeout(_) | Error::ConnectionFailed => Self {
                recovery: Recovery::Retry,
                ..Self::of(format!("no answer from {base}: {error}"))
            },
            _ => Self::of(format!("no answer from {base}: {error}")),
        }
    }

    /// Creates the error for a response with an error status. From problem details (RFC 9457) it
    /// takes no code: a server newer than this program may have codes that it doesn't know.
    pub(crate) fn answered(status: u16, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Self {
        let problem: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |name: &str| problem[name].as_str().unwrap_or_default();
        let message = match (text("title"), text("detail")) {
            ("", "") => format!("the server answered with status {status}"),
            (title, "") => title.to_owned(),
            ("", detail) => detail.to_owned(),
            (title, detail) => format!("{title}: {detail}"),
        };
        Self {
            message: one_line(&message),
            status: Some(status),
            recovery: Recovery::deserialize(&problem["recovery"]).unwrap_or(Recovery::of_status(status)),
            retry_after: headers
                .get("retry-after")
                .and_then(|value| value.to_str().ok())
                .and_then(|value| retry_after(value, now)),
            may_be_done: false,
        }
    }

    /// Creates the error for a redirect. The user has not chosen the new place, and has to confirm
    /// it.
    pub(crate) fn redirected(connection: &Connection, path: &str, headers: &HeaderMap) -> Self {
        let (base, setting) = (&connection.url, connection.naming.setting("url"));
        let place = headers
            .get("location")
            .map(|place| String::from_utf8_lossy(place.as_bytes()));
        let place = place.as_deref().unwrap_or("an address that it doesn't name");
        let place = one_line(place.strip_suffix(path).unwrap_or(place));
        Self::of(format!(
            "{base} redirects to {place}: redirects are not followed. If that is the right server, pass its address with {setting}"
        ))
    }

    /// Adds that another retry would come too late.
    pub(crate) fn too_late(mut self, delay: Duration, connection: &Connection) -> Self {
        let (delay, max_wait) = (delay.as_secs_f64(), connection.max_wait.as_secs());
        let setting = connection.naming.setting("max-wait");
        self.message += &format!("; retrying in {delay:.1} s would exceed the {max_wait} s of {setting}");
        self
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for HttpError {}

/// Returns the problem with the server's certificate, if that is the cause.
fn certificate(error: &Error) -> Option<&rustls::CertificateError> {
    let Error::Io(error) = error else { return None };
    match error.get_ref()?.downcast_ref()? {
        rustls::Error::InvalidCertificate(problem) => Some(problem),
        _ => None,
    }
}

/// Parses the time to wait: seconds or a date (RFC 9110, section 10.2.3).
fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    policy::retry_after_seconds(value).or_else(|| {
        let date = httpdate::parse_http_date(value).ok()?;
        let wait = date.duration_since(now).unwrap_or_default();
        Some(wait.min(policy::MAX_RETRY_AFTER))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use blindscore_protocol::problem::ProblemCode;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        headers
    }

    fn read(status: u16, retry: &str, body: &str) -> HttpError {
        let headers = headers("retry-after", retry);
        HttpError::answered(status, &headers, body.as_bytes(), SystemTime::now())
    }

    /// Answers, and when a client asks again. The tests of the npm package read the same table.
    #[derive(Deserialize)]
    struct Retries {
        /// Time of the answers, an HTTP date.
        now: String,
        cases: Vec<Case>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Case {
        status: u16,
        retry_after: Option<String>,
        body: Value,
        /// Number of times that the request was repeated before.
        #[serde(default)]
        retries: usize,
        /// Random number, from 0 to 1.
        #[serde(default)]
        chance: f64,
        /// Pause before the next retry in milliseconds; none if the client gives up.
        pause_ms: Option<u64>,
    }

    #[test]
    fn retries_follow_the_table() {
        let table: Retries = serde_json::from_str(include_str!("../../tests/fixtures/retries.json")).unwrap();
        let now = httpdate::parse_http_date(&table.now).unwrap();
        assert!(!table.cases.is_empty());
        for case in table.cases {
            let headers = match &case.retry_after {
                Some(value) => headers("retry-after", value),
                None => HeaderMap::new(),
            };
            let body = match &case.body {
                Value::String(text) => text.clone(),
                json => json.to_string(),
            };
            let error = HttpError::answered(case.status, &headers, body.as_bytes(), now);
            let pause = match error.recovery {
                Recovery::Retry => policy::pause(case.retries, error.retry_after, case.chance),
                _ => None,
            };
            let expected = case.pause_ms.map(Duration::from_millis);
            assert_eq!(
                pause, expected,
                "{} {:?} {body}, retry {}",
                case.status, case.retry_after, case.retries
            );
        }
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
        assert_eq!(
            read(400, "1", steering).to_string(),
            "Clear\\u{1b}[2J: a\\u{a}b\\u{9b}"
        );
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
    fn redirects_name_the_place() {
        let connection = Connection::new("http://a".parse().unwrap(), crate::Naming::Options);
        let to = |place: &str| {
            let headers = headers("location", place);
            let error = HttpError::redirected(&connection, "/v1/models/m", &headers);
            assert_eq!(error.recovery, Recovery::None);
            error.to_string()
        };
        assert!(to("https://b:1/x/v1/models/m").starts_with("http://a redirects to https://b:1/x: "));
        assert!(to("/login").contains("redirects to /login: "));
        let nowhere = HttpError::redirected(&connection, "/", &HeaderMap::new()).to_string();
        assert!(nowhere.contains("doesn't name"), "{nowhere}");
    }

    #[test]
    fn waits_are_seconds_or_dates() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let wait = |value| retry_after(value, now).map(|wait| wait.as_secs());
        assert_eq!(wait("120"), Some(120));
        assert_eq!(wait("Sun, 06 Nov 1994 08:50:37 GMT"), Some(60));
        assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        assert_eq!(wait("Sun, 06 Nov 9994 08:00:00 GMT"), Some(86_400));
        for bad in ["", "-1", "soon", "1.5"] {
            assert_eq!(wait(bad), None, "{bad:?}");
        }
    }
}
