//! Choices that only trees have.

use std::str::FromStr;

/// Where the structure of trees is: which threshold is tested when, and which leaf comes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Structure {
    /// On the server. Clients know a grid of thresholds, and encrypt one bit for each.
    Private,
    /// In every client, which walks the trees and encrypts the leaves that it finds. Only what the
    /// leaves hold stays on the server.
    Public,
}

/// The public grid of trees whose structure is private.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grid {
    /// The thresholds that trees use.
    Used,
    /// And so many quantiles of each column of the calibration rows, which hide which are used.
    Quantiles(usize),
}

/// Most quantiles of a column.
const MOST_QUANTILES: usize = 1_000;

impl FromStr for Structure {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "private" => Ok(Self::Private),
            "public" => Ok(Self::Public),
            _ => Err("not private or public"),
        }
    }
}

impl FromStr for Grid {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "used" {
            return Ok(Self::Used);
        }
        let count = text
            .strip_prefix("quantiles:")
            .and_then(|count| count.parse().ok());
        let count = count.filter(|count| (1..=MOST_QUANTILES).contains(count));
        count
            .map(Self::Quantiles)
            .ok_or("not used, or quantiles:N with N from 1 to 1000")
    }
}
