//! Times as text, and days by other clocks.

use chrono::{DateTime, Days, NaiveDate, SecondsFormat, Utc};
use std::ops::RangeInclusive;

/// Formats a time as problem documents and receipts show it.
pub(crate) fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Returns the days that it may be by the clocks of other machines while it is `today` by this
/// one's.
pub(crate) fn days_elsewhere(today: NaiveDate) -> RangeInclusive<NaiveDate> {
    let one = Days::new(1);
    let yesterday = today.checked_sub_days(one).unwrap_or(today);
    let tomorrow = today.checked_add_days(one).unwrap_or(today);
    yesterday..=tomorrow
}
