//! Types for option values that have no type of their own elsewhere.

use crate::keystore::StoreOption;
use anyhow::anyhow;
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

/// Unparsed setting of the key store. It is kept secret so that no error message shows a
/// credential.
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
                "--store-options: option {} is not NAME=VALUE. Commas separate options, so a value that has one is given in the TOML file, or in \
                 the platform's own variable",
                index + 1
            )
        })
    });
    options.collect()
}
