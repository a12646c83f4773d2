//! Kinds of blobs.

use std::fmt;

/// Kind of a blob's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Kind {
    /// Evaluation key, for linear models or projection networks.
    EvaluationKey = 1,
    /// Query with encrypted features.
    Query = 2,
    /// Response with encrypted scores.
    Response = 3,
    /// The client's secret key, which leaves the client only as the user's own export.
    SecretKey = 4,
}

impl Kind {
    pub(crate) fn from_u16(value: u16) -> Option<Self> {
        [Self::EvaluationKey, Self::Query, Self::Response, Self::SecretKey]
            .into_iter()
            .find(|kind| *kind as u16 == value)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EvaluationKey => "a public key",
            Self::Query => "a query",
            Self::Response => "a response",
            Self::SecretKey => "a secret key",
        })
    }
}
