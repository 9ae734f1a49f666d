//! The decision when to retry and how long to wait before.

use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// Wait before the first further attempt, without jitter; it doubles from there.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// Longest wait that is chosen here.
const LONGEST_BACKOFF: Duration = Duration::from_secs(8);
/// Longest wait that an upstream can ask for. Past it the client hears of it instead, and decides for itself.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// Returns whether a status tells of a fault that another attempt, or another upstream, may not have.
pub(crate) fn is_temporary(status: StatusCode) -> bool {
    matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS) || status.is_server_error()
}

/// Returns whether a response indicates that a further attempt may succeed.
pub(crate) fn may_succeed_later(status: StatusCode, headers: &HeaderMap) -> bool {
    let told = headers.get("x-should-retry").is_some_and(|value| value == "false");
    is_temporary(status) && !told
}

/// The wait before attempt `attempt`, from 1: what the last answer asked for, else one that doubles, with jitter, so
/// that clients that failed together do not come back together. None where the upstream asks for too long a wait.
pub(crate) fn wait(attempt: u32, answer: Option<&HeaderMap>) -> Option<Duration> {
    match answer.and_then(asked) {
        Some(asked) => (asked <= LONGEST_WAIT).then_some(asked),
        None => Some(backoff(attempt, jitter())),
    }
}

/// Returns a random wait from half to all of the doubled base.
fn backoff(attempt: u32, jitter: f64) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(1 << attempt.saturating_sub(1).min(10)).min(LONGEST_BACKOFF);
    doubled.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

/// Returns a random number from 0 to 1. Without randomness all wait for the longest.
fn jitter() -> f64 {
    getrandom::u32().map_or(1.0, |random| f64::from(random) / f64::from(u32::MAX))
}

/// The wait that an answer asks for: seconds, milliseconds or a date.
fn asked(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
    if let Some(milliseconds) = text("retry-after-ms").and_then(number) {
        return Duration::try_from_secs_f64(milliseconds / 1000.0).ok();
    }
    let after = text(RETRY_AFTER.as_str())?;
    if let Some(seconds) = number(after) {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = httpdate::parse_http_date(after).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        [(name.parse().unwrap(), value.parse().unwrap())].into_iter().collect()
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for (status, expected) in
            [(408, true), (429, true), (500, true), (503, true), (529, true), (400, false), (200, false)]
        {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(may_succeed_later(status, &HeaderMap::new()), expected, "{status}");
            assert!(!may_succeed_later(status, &headers("x-should-retry", "false")), "{status}");
        }
    }

    #[test]
    fn an_upstream_can_ask_for_a_wait() {
        let seconds = |name, value: &str| wait(1, Some(&headers(name, value))).map(|wait| wait.as_secs_f64());
        assert_eq!(seconds("retry-after", "2"), Some(2.0));
        assert_eq!(seconds("retry-after", "0.5"), Some(0.5));
        assert_eq!(seconds("retry-after-ms", "30"), Some(0.03));
        assert_eq!(seconds("retry-after", "3600"), None);
        assert_eq!(seconds("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"), Some(0.0));
        for odd in ["-1", "soon", "NaN", ""] {
            assert!(seconds("retry-after", odd).is_some_and(|wait| wait <= 0.25), "{odd}");
        }
    }

    #[test]
    fn waits_grow_up_to_a_limit() {
        assert_eq!(backoff(1, 0.0), Duration::from_millis(125));
        assert_eq!(backoff(1, 1.0), Duration::from_millis(250));
        assert_eq!(backoff(3, 1.0), Duration::from_secs(1));
        assert_eq!(backoff(u32::MAX, 1.0), LONGEST_BACKOFF);
    }
}
