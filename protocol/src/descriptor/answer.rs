//! What of a model's answer leaves the server.

use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// What of a model's answer leaves the server.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The scores.
    #[default]
    Scores,
    /// Only which class it is: a bit for each class, or one bit between two. The server compares
    /// the scores under encryption, and bits are sent as the scores 1 and -1, with noise that
    /// drowns everything else.
    Label,
}

impl Answer {
    /// Returns the name in descriptors, model files and options.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scores => "scores",
            Self::Label => "label",
        }
    }

    /// Returns whether it is the scores.
    pub fn is_scores(&self) -> bool {
        *self == Self::Scores
    }
}

impl FromStr for Answer {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let all = [Self::Scores, Self::Label];
        all.into_iter()
            .find(|answer| answer.name() == name)
            .ok_or("neither scores nor label, and there is nothing in between")
    }
}
