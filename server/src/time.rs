//! Times as text.

use chrono::{DateTime, SecondsFormat, Utc};

/// Formats a time as problem documents and receipts show it.
pub(crate) fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
