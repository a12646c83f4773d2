//! How a server is reached.

use blindscore_protocol::policy::REQUEST_TIMEOUT;
use std::{fmt, ops::RangeInclusive, path::PathBuf, str::FromStr, time::Duration};
use ureq::http::Uri;
use zeroize::Zeroizing;

/// Address of a server: `http://HOST` or `https://HOST`, perhaps with a port and a path, without a
/// slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl(String);

/// Why a text is no [`ServerUrl`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It is no address.
    #[error("{0}")]
    Address(String),
    /// It is an address of something else.
    #[error("not http://HOST or https://HOST")]
    Scheme,
    /// It has a user or a password, which messages would show.
    #[error("a user and a password can't stand in the address; a server's token is a setting of its own")]
    Credentials,
}

impl FromStr for ServerUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let uri: Uri = text
            .parse()
            .map_err(|error| UrlError::Address(format!("{error}")))?;
        if uri
            .authority()
            .is_some_and(|authority| authority.as_str().contains('@'))
        {
            return Err(UrlError::Credentials);
        }
        match (uri.scheme_str(), uri.host(), uri.query()) {
            (Some("http" | "https"), Some(_), None) => Ok(Self(text.trim_end_matches('/').to_owned())),
            _ => Err(UrlError::Scheme),
        }
    }
}

impl ServerUrl {
    /// Returns the address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How messages write the names of settings, so that they fit the program that shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// Options of a command line: `--max-wait`.
    Options,
    /// Arguments of a Python function: `max_wait`.
    Arguments,
}

impl Naming {
    /// Returns a setting's name, given as in `max-wait`.
    pub fn setting(self, name: &str) -> String {
        match self {
            Self::Options => format!("--{name}"),
            Self::Arguments => name.replace('-', "_"),
        }
    }
}

/// Settings of the connection to a server.
#[derive(Clone)]
pub struct Connection {
    /// Address of the server.
    pub url: ServerUrl,
    /// Token to send as `Authorization: Bearer TOKEN`.
    pub token: Option<Zeroizing<String>>,
    /// PEM file with certificates of authorities to trust in addition to the usual ones.
    pub ca_cert: Option<PathBuf>,
    /// Time limit of one try of a request, plus the time that its bytes take.
    pub timeout: Duration,
    /// Time limit of a request, including all retries and pauses.
    pub max_wait: Duration,
    /// How messages call these settings.
    pub naming: Naming,
}

impl Connection {
    /// Time limits that can be chosen, in seconds.
    pub const SECONDS: RangeInclusive<u64> = 1..=86_400;
    /// Time limit of a request with all its retries, unless the caller chooses one.
    pub const MAX_WAIT: Duration = Duration::from_secs(600);

    /// Returns the default settings for a server.
    pub fn new(url: ServerUrl, naming: Naming) -> Self {
        Self {
            url,
            token: None,
            ca_cert: None,
            timeout: REQUEST_TIMEOUT,
            max_wait: Self::MAX_WAIT,
            naming,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let parsed = |text: &str| text.parse::<ServerUrl>().map(|url| url.to_string());
        assert_eq!(parsed("http://[::1]:8080/").unwrap(), "http://[::1]:8080");
        assert_eq!(
            parsed("https://scores.example/a").unwrap(),
            "https://scores.example/a"
        );
        for bad in [
            "",
            "scores.example",
            "/v1",
            "ftp://a",
            "http://",
            "http://a/?b",
            "http://a b",
            "http://u:p@a",
        ] {
            assert!(parsed(bad).is_err(), "{bad:?}");
        }
    }
}
