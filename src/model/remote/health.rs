//! How a model on another machine has answered.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::RemoteError;

/// The time after a failure for which the model counts as failed. Past it the next request finds out.
const FAILED: Duration = Duration::from_secs(10);
/// The time after a failed connection in which no other is tried, so that requests do not wait one after another.
const PAUSE: Duration = Duration::from_secs(1);

/// The state of a model on another machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoteState {
    /// The last call succeeded.
    Ready,
    /// Nobody asked yet, or the last call failed some time ago.
    Idle,
    /// The last call failed just now.
    Failed,
}

/// A record of how a model on another machine has answered.
#[derive(Debug, Default)]
pub struct RemoteHealth(Mutex<Record>);

#[derive(Debug, Default)]
struct Record {
    answered: bool,
    failure: Option<(Instant, RemoteError)>,
}

impl RemoteHealth {
    /// Returns the state now.
    #[must_use]
    pub fn state(&self) -> RemoteState {
        let record = self.record();
        match &record.failure {
            Some((at, _)) if at.elapsed() < FAILED => RemoteState::Failed,
            None if record.answered => RemoteState::Ready,
            _ => RemoteState::Idle,
        }
    }

    /// Returns the failure of the last call, if it is so recent that another connection is not tried yet.
    #[must_use]
    pub fn recent_failure(&self) -> Option<RemoteError> {
        let record = self.record();
        record.failure.as_ref().filter(|(at, _)| at.elapsed() < PAUSE).map(|(_, error)| error.clone())
    }

    /// Notes that a call succeeded.
    pub(super) fn succeeded(&self) {
        *self.record() = Record { answered: true, failure: None };
    }

    /// Notes that a call failed, unless that says nothing about the next one.
    pub(super) fn failed(&self, error: &RemoteError) {
        if !error.is_of_server() {
            return;
        }
        match error {
            // A message of the server may repeat a text.
            RemoteError::Refused { server, status, .. } => {
                tracing::warn!(%server, status, "a model on another machine refused a request");
            }
            error => tracing::warn!(%error, "a model on another machine cannot be used"),
        }
        self.record().failure = Some((Instant::now(), error.clone()));
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
