//! Values of options that have no type of their own elsewhere.

use std::{str::FromStr, time::Duration};
use url::Url;

/// A time of 1 s to a day.
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

/// Where a page comes from: scheme, host and port, and nothing else.
#[derive(Clone, Debug)]
pub(super) struct Origin(pub(super) String);

impl FromStr for Origin {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let origin = text.parse::<Url>().map(|url| url.origin().ascii_serialization());
        match origin {
            Ok(origin) if origin == text => Ok(Self(origin)),
            _ => Err("an origin is needed, as in https://example.org"),
        }
    }
}
