//! The health of an upstream, as the requests that go to it see it: nothing is sent only to find out.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::outbound::retry;

/// The state of an upstream, by the last request that was sent to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UpstreamState {
    /// Nothing has been sent to it yet.
    #[default]
    Unknown,
    /// The last request was answered. That it was refused for its key or form is an answer.
    Up,
    /// The last answer said that it cannot serve now: 408, 429, or from 500 on.
    Failing,
    /// There was no connection, or no answer in time.
    Unreachable,
}

/// The answers of an upstream since the service began or last read its configuration. Each attempt counts, also one
/// that is made again, but none whose client left before it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct UpstreamHealth {
    /// The state, by the last attempt.
    pub state: UpstreamState,
    /// Attempts that were answered, whatever the answer.
    pub answers: u64,
    /// Attempts that failed: those answered with 408, 429 or from 500 on, and those that were not answered.
    pub failures: u64,
    /// The status of the last answer.
    pub last_status: Option<u16>,
    /// The time of the last attempt's end, in UTC.
    pub last_time: Option<String>,
    /// Milliseconds from the last answered request to the head of its answer.
    pub last_ms: Option<u64>,
}

/// Keeps an [`UpstreamHealth`] up to date.
#[derive(Debug, Default)]
pub(super) struct Watch(Mutex<UpstreamHealth>);

impl Watch {
    /// Notes the end of an attempt that took `time`: the status of its answer, or none where there was no answer.
    pub(super) fn note(&self, status: Option<StatusCode>, time: Duration) {
        let failed = status.is_none_or(retry::is_temporary);
        let mut health = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        health.failures += u64::from(failed);
        health.last_time = Some(Timestamp::now().to_string());
        health.state = match status {
            None => UpstreamState::Unreachable,
            Some(_) if failed => UpstreamState::Failing,
            Some(_) => UpstreamState::Up,
        };
        if let Some(status) = status {
            health.answers += 1;
            health.last_status = Some(status.as_u16());
            health.last_ms = Some(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        }
    }

    pub(super) fn read(&self) -> UpstreamHealth {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_attempt_gives_the_state_and_all_are_counted() {
        let watch = Watch::default();
        assert_eq!(watch.read(), UpstreamHealth::default());
        let steps = [
            (Some(200), UpstreamState::Up, (1, 0), Some(200)),
            (Some(401), UpstreamState::Up, (2, 0), Some(401)),
            (Some(429), UpstreamState::Failing, (3, 1), Some(429)),
            (None, UpstreamState::Unreachable, (3, 2), Some(429)),
            (Some(503), UpstreamState::Failing, (4, 3), Some(503)),
            (Some(200), UpstreamState::Up, (5, 3), Some(200)),
        ];
        for (status, state, counts, last) in steps {
            watch.note(status.map(|status| StatusCode::from_u16(status).unwrap()), Duration::from_millis(7));
            let health = watch.read();
            assert_eq!(
                (health.state, (health.answers, health.failures), health.last_status),
                (state, counts, last)
            );
            assert!(health.last_time.is_some() && health.last_ms == Some(7));
        }
    }
}
