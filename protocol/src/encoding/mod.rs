//! Encodings: the public part of a model, which the client runs in the clear.
//!
//! A pipeline has a public part (filling in missing values, categories, bins, counting words) and a
//! private one, the weights. An [`Encoding`] is the public part: named, typed [`columns`] of a
//! record, and a list of [`Step`]s that turn them into the features that the client encrypts.
//!
//! Every number in between has a *slot*: the columns take the first slots, in order, and each step
//! appends the slots of its results. A step reads earlier slots only. There are no loops, and
//! no branches but those of a tree ([`Step::Leaves`]), which lead forward only: an encoding that
//! was checked always ends, and its cost is bounded.
//!
//! [`columns`]: Encoding::columns

mod check;
mod describe;
mod numbers;
mod read;
mod slots;
mod step;
mod tree;
mod words;

pub use check::EncodingError;
pub use numbers::{Function, Norm, Outside, Side};
pub(crate) use read::encoding;
pub use slots::Slots;
pub use step::{Categories, MISSING_CATEGORY, Step, Unknown};
pub use tree::{Branch, Decision};
pub use words::{Split, Words};

use serde::Serialize;
use sha2::{Digest, Sha256};
use std::ops::Range;

/// Maximum size of an encoding as JSON, in bytes.
pub const ENCODING_BYTES: usize = 2 << 20;
/// Maximum size of a text in a record, in bytes.
pub const RECORD_TEXT_BYTES: usize = 1 << 20;

/// Kind of a record's column.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ColumnKind {
    /// A finite number.
    Number,
    /// A whole number of at most 53 bits.
    Integer,
    /// True or false, as the number 1 or 0.
    Flag,
    /// Text that is one of some categories.
    Category,
    /// Any text.
    Text,
}

impl ColumnKind {
    /// Returns whether the column's slot holds text rather than a number.
    pub const fn is_text(self) -> bool {
        matches!(self, Self::Category | Self::Text)
    }

    /// Returns the name in descriptors and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Integer => "integer",
            Self::Flag => "flag",
            Self::Category => "category",
            Self::Text => "text",
        }
    }
}

/// Column of a record.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Column {
    /// Name of the column. Without names, records are lists in this order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Kind of its values.
    pub kind: ColumnKind,
    /// Whether numbers are rounded to single precision first, as the original does: otherwise one
    /// just below a bin's edge could be in another bin.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub single: bool,
}

/// Consecutive features of which at most one is 1, and the others are 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneHotGroup {
    /// Positions of the features.
    pub features: Range<usize>,
    /// Whether one of them is always 1.
    pub certain: bool,
}

/// Public part of a model: how a record becomes the features that are encrypted.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Encoding {
    /// Columns of a record, which take the first slots.
    pub columns: Vec<Column>,
    /// Steps, in order. Each appends the slots of its results.
    pub steps: Vec<Step>,
    /// Slots of the features, in the model's order.
    pub features: Slots,
}

impl Encoding {
    /// Returns the SHA-256 of the encoding's JSON without blanks, in hexadecimal.
    pub fn digest(&self) -> String {
        // Serde writes the fields in their order, and numbers in one way.
        let Ok(json) = serde_json::to_vec(self) else {
            unreachable!("writing to memory what has no maps never fails");
        };
        hex::encode(Sha256::digest(json))
    }

    /// Returns the runs of features of which at most one is 1 and the others are 0, because they
    /// are results of one step.
    pub fn one_hot_groups(&self) -> Vec<OneHotGroup> {
        // For each slot of such a step, the step's number and whether a 1 is certain.
        let mut slots = vec![None; self.columns.len()];
        for (place, step) in self.steps.iter().enumerate() {
            let group = match step {
                Step::Leaves { .. } => Some((place, step.results())),
                Step::OneHot { unknown, .. } => match unknown {
                    Unknown::Refuse => Some((place, step.results())),
                    // Then no run is long enough to be certain.
                    Unknown::Value(0.0) => Some((place, usize::MAX)),
                    Unknown::Value(_) => None,
                },
                _ => None,
            };
            slots.resize(slots.len() + step.results(), group);
        }
        let mut groups: Vec<OneHotGroup> = Vec::new();
        let mut open: Option<(usize, usize)> = None;
        for (feature, slot) in self.features.iter().enumerate() {
            let group = slots.get(slot).copied().flatten();
            match (group, open, groups.last_mut()) {
                (Some(group), Some(last), Some(run)) if group == last => run.features.end = feature + 1,
                (Some(_), _, _) => groups.push(OneHotGroup {
                    features: feature..feature + 1,
                    certain: false,
                }),
                (None, ..) => {}
            }
            if let (Some((_, whole)), Some(run)) = (group, groups.last_mut()) {
                run.certain = run.features.len() == whole;
            }
            open = group;
        }
        groups
    }

    /// Returns the names of the columns, if they have names.
    pub fn names(&self) -> Option<Vec<&str>> {
        self.columns.iter().map(|column| column.name.as_deref()).collect()
    }
}
