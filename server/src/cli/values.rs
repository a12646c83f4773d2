//! Types for option values that have no type of their own elsewhere.

use crate::objects::StoreOption;
use anyhow::{Context, anyhow, ensure};
use reqwest::header::{
    CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
};
use secrecy::{ExposeSecret, SecretString};
use std::{convert::Infallible, ffi::OsString, str::FromStr, time::Duration};
use url::Url;

/// Duration of 1 s to one day.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seconds(pub(super) Duration);

impl FromStr for Seconds {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(seconds @ 1..=86_400) => Ok(Self(Duration::from_secs(seconds))),
            _ => Err("a whole number of seconds from 1 to 86400 is needed"),
        }
    }
}

/// Origin of a page: scheme, host and port only.
#[derive(Clone, Debug)]
pub(super) struct Origin(pub(super) String);

impl FromStr for Origin {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains('*') {
            return Err("every origin has to be listed by itself: there are no patterns");
        }
        let origin = text.parse::<Url>().map(|url| url.origin().ascii_serialization());
        match origin {
            Ok(origin) if origin == text => Ok(Self(origin)),
            _ => Err("an origin is needed, as in https://example.org"),
        }
    }
}

/// Fraction, from 0 to 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fraction(pub(super) f64);

impl FromStr for Fraction {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(fraction @ 0.0..=1.0) => Ok(Self(fraction)),
            _ => Err("a number from 0 to 1 is needed, as in 0.05"),
        }
    }
}

/// Unparsed setting of the key store, or header for the collector of traces. It is kept secret so
/// that no error message shows a credential.
#[derive(Clone, Debug)]
pub(super) struct Setting(SecretString);

impl FromStr for Setting {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.into()))
    }
}

impl Setting {
    /// Returns the setting as an argument for another parser.
    pub(super) fn as_argument(&self) -> OsString {
        self.0.expose_secret().into()
    }
}

/// Parses settings of the key store.
pub(super) fn store_options(settings: &[Setting]) -> anyhow::Result<Vec<StoreOption>> {
    let options = settings.iter().enumerate().map(|(index, Setting(text))| {
        text.expose_secret().parse().map_err(|_| {
            anyhow!(
                "--store-options: option {} is not NAME=VALUE. Commas separate options: give a value that contains a comma in the TOML \
                 file, or in the platform's own variable",
                index + 1
            )
        })
    });
    options.collect()
}

/// Returns the URL to which a collector at `base` wants spans posted.
pub(super) fn traces_url(base: &Url) -> anyhow::Result<Url> {
    let mut url = base.clone();
    ensure!(
        matches!(url.scheme(), "http" | "https"),
        "an http or https URL is needed, as in http://127.0.0.1:4318"
    );
    ensure!(
        url.username().is_empty() && url.password().is_none(),
        "a URL has no credentials here: give them with --otlp-headers"
    );
    ensure!(
        url.query().is_none() && url.fragment().is_none(),
        "the URL of a collector has no query and no fragment"
    );
    ensure!(
        !url.path().trim_end_matches('/').ends_with("/v1/traces"),
        "leave /v1/traces out: the server appends it"
    );
    let mut segments = url
        .path_segments_mut()
        .map_err(|()| anyhow!("the URL has no host"))?;
    segments.pop_if_empty().extend(["v1", "traces"]);
    drop(segments);
    Ok(url)
}

/// Parses headers for the collector of traces.
pub(super) fn headers(settings: &[Setting]) -> anyhow::Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (index, Setting(text)) in settings.iter().enumerate() {
        let place = || format!("--otlp-headers: header {}", index + 1);
        let (name, value) = header(text.expose_secret()).with_context(place)?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// Parses `NAME=VALUE`. Errors don't show the value.
fn header(text: &str) -> anyhow::Result<(HeaderName, HeaderValue)> {
    let (name, value) = text.split_once('=').context(
        "is not NAME=VALUE. Commas separate headers: give a value that contains a comma in the TOML file",
    )?;
    let name: HeaderName = name.trim().parse().context("has no valid name")?;
    ensure!(
        ![CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING].contains(&name),
        "the server sets {name} itself; it can't be given"
    );
    let mut value: HeaderValue = value.trim().parse().context("has no valid value")?;
    value.set_sensitive(true);
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_go_where_the_specification_says() {
        for (base, url) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("https://otel.example/", "https://otel.example/v1/traces"),
            ("http://[::1]:4318/otlp", "http://[::1]:4318/otlp/v1/traces"),
            ("http://otel/otlp/", "http://otel/otlp/v1/traces"),
        ] {
            assert_eq!(traces_url(&base.parse().unwrap()).unwrap().as_str(), url);
        }
        for (base, words) in [
            ("grpc://otel:4317", "http or https"),
            ("otel:4318", "http or https"),
            ("http://user:secret@otel", "--otlp-headers"),
            ("http://otel/?token=secret", "no query"),
            ("http://otel/#there", "no fragment"),
            ("http://otel/v1/traces", "leave /v1/traces out"),
            ("http://otel/v1/traces/", "leave /v1/traces out"),
        ] {
            let error = traces_url(&base.parse().unwrap()).unwrap_err().to_string();
            assert!(
                error.contains(words) && !error.contains("secret"),
                "{base}: {error}"
            );
        }
    }

    #[test]
    fn headers_are_names_with_values_that_no_error_shows() {
        let parse = |texts: &[&str]| {
            let settings: Vec<Setting> = texts.iter().map(|text| text.parse().unwrap()).collect();
            headers(&settings)
        };
        let good = parse(&["authorization=Basic c2VjcmV0==", "X-Scope = a"]).unwrap();
        assert_eq!(good["authorization"], "Basic c2VjcmV0==");
        assert_eq!(good["x-scope"], "a");
        assert!(!format!("{good:?}").contains("c2VjcmV0"));
        for (text, words) in [
            ("secret", "is not NAME=VALUE"),
            ("=secret", "no valid name"),
            ("a b=secret", "no valid name"),
            ("a=secret\u{7f}", "no valid value"),
            ("Host=secret", "the server sets host itself"),
        ] {
            let error = format!("{:#}", parse(&["a=b", text]).unwrap_err());
            assert!(error.contains(words) && error.contains("header 2"), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_fraction_is_at_most_one() {
        for (text, fraction) in [("0", 0.0), ("1", 1.0), ("0.25", 0.25), ("1e-3", 0.001)] {
            assert_eq!(text.parse::<Fraction>().unwrap().0, fraction);
        }
        for text in ["-0.1", "1.1", "nan", "inf", "5%", ""] {
            assert!(text.parse::<Fraction>().is_err(), "{text}");
        }
    }
}
