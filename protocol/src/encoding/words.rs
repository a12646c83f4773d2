//! Words of a text.

use serde::Serialize;

/// How a text is split.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// Runs of letters, digits and `_`, with at least this many characters: 2 in scikit-learn's
    /// `token_pattern`.
    Words(u32),
    /// Single characters.
    Characters,
}

/// Words of a text, and which of them are counted together.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Words {
    /// Whether the text is put in lower case first.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub lowercase: bool,
    /// How the text is split.
    pub split: Split,
    /// Smallest and largest number of words in a row that are counted as one.
    pub ngrams: [u32; 2],
    /// Words that are left out before any are joined.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
}
