//! How long clients and servers wait for each other: slow connections, time limits, retries.

use std::time::Duration;

/// Slowest connection that is served, in bytes per second: a network's evaluation key takes three
/// and a half minutes.
pub const SLOWEST_BYTES_PER_SECOND: u64 = 50_000;
/// Time limit of one try of a request, plus the [time that its bytes take](transfer_time): a server
/// answers or refuses within half of it.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Number of queries that clients send in one request, if the model takes that many: a network
/// needs a few seconds for them.
pub const BATCH_QUERIES: usize = 16;

/// Number of times that a client repeats a request.
pub const MAX_RETRIES: usize = 8;
/// Pause before the first retry. Each further pause is twice as long.
pub const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause between retries, before chance makes it longer and unless the server asks for
/// more.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Longest time that a server has a reason to ask for: a day, after which a daily budget is new.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Returns the time that `bytes` take on the slowest connection that is served.
pub const fn transfer_time(bytes: u64) -> Duration {
    Duration::from_micros(bytes.saturating_mul(1_000_000) / SLOWEST_BYTES_PER_SECOND)
}

/// Returns how long a client waits before it repeats a request that it has already repeated
/// `retries` times; nothing if it gives up.
///
/// `asked` is the time that the server asks to wait. `chance`, a random number from 0 to 1, makes
/// the client's own pause up to twice as long, so that clients that failed together don't return
/// together.
pub fn pause(retries: usize, asked: Option<Duration>, chance: f64) -> Option<Duration> {
    if retries >= MAX_RETRIES {
        return None;
    }
    let own = FIRST_PAUSE.saturating_mul(1 << retries).min(LONGEST_PAUSE);
    Some(own.mul_f64(1.0 + chance).max(asked.unwrap_or_default()))
}

/// Parses the seconds in a `Retry-After` header, and bounds them by [`MAX_RETRY_AFTER`].
pub fn retry_after_seconds(text: &str) -> Option<Duration> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // More digits than a number has are a long time, too.
    let seconds = digits.then(|| text.parse().unwrap_or(u64::MAX))?;
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_take_their_time() {
        assert_eq!(transfer_time(0), Duration::ZERO);
        assert_eq!(transfer_time(125_000), Duration::from_millis(2500));
        assert!(transfer_time(u64::MAX) > transfer_time(u64::MAX >> 24));
    }

    #[test]
    fn no_server_can_ask_for_more_than_a_day() {
        assert_eq!(retry_after_seconds("0"), Some(Duration::ZERO));
        assert_eq!(retry_after_seconds("120"), Some(Duration::from_secs(120)));
        for long in ["86400", "86401", "18446744073709551616", &"9".repeat(100)] {
            assert_eq!(retry_after_seconds(long), Some(MAX_RETRY_AFTER), "{long}");
        }
        for bad in ["", "-1", "+1", "soon", "1.5", " 1"] {
            assert_eq!(retry_after_seconds(bad), None, "{bad:?}");
        }
    }
}
