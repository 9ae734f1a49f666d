//! The decisions that replicas share, so that a conversation which changes replica keeps its prefix byte for byte.
//!
//! They are in the server in the form that files have: hashes, ranges and numbers. A request that does not know a text
//! looks there, and what it decides is there before it is forwarded. Where the server is away, each replica decides alone.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::decision::{Decision, Key};
use super::store::{decode, encode};
use crate::shared::{Away, Shared, Value};

/// The time that the server remembers a decision.
const KEPT: Duration = Duration::from_hours(7 * 24);
/// The most bytes of a decision that is shared. One that is larger takes longer to send than to make.
const MOST_BYTES: usize = 64 << 10;

/// The decisions that replicas share. Clones share what is to be sent.
#[derive(Clone)]
pub(super) struct SharedDecisions {
    shared: Shared,
    /// The time that the request may still wait for the server.
    patience: Arc<Mutex<Duration>>,
    /// The decisions of a request that the server has not been told.
    unsent: Arc<Mutex<Vec<Value>>>,
}

impl SharedDecisions {
    pub(super) fn new(shared: Shared) -> Self {
        let patience = Arc::new(Mutex::new(shared.timeout()));
        Self { shared, patience, unsent: Arc::default() }
    }

    /// Returns the same for one request, which sends its own decisions.
    pub(super) fn of_request(&self) -> Self {
        Self::new(self.shared.clone())
    }

    fn name(&self, key: &Key) -> String {
        self.shared.key(&blake3::Hash::from_bytes(key.0).to_hex(), "text")
    }

    /// Returns what other replicas have decided about texts, each with the seconds since the epoch when they did.
    pub(super) async fn get(&self, keys: &[Key]) -> Vec<Option<(Decision, u64)>> {
        let names: Vec<String> = keys.iter().map(|key| self.name(key)).collect();
        let values = self.waiting(async |within| self.shared.values(&names, within).await);
        let values = values.await.unwrap_or_default();
        values.into_iter().map(|value| decode(&value?)).collect()
    }

    /// Notes a decision, to be sent. One that does not replace another's leaves what another replica decided meanwhile.
    pub(super) fn put(&self, key: &Key, decision: &Decision, seconds: u64, replaces: bool) {
        // Their keys begin with a secret of each replica, and what they say follows from the texts.
        if matches!(decision, Decision::Folded { .. } | Decision::Tool) {
            return;
        }
        let bytes = encode(decision, seconds).filter(|bytes| bytes.len() <= MOST_BYTES);
        if let Some(bytes) = bytes {
            let value = Value { key: self.name(key), bytes, replaces };
            self.unsent.lock().unwrap_or_else(PoisonError::into_inner).push(value);
        }
    }

    /// Sends what is noted, where there is anything.
    pub(super) async fn send(&self) {
        let values = std::mem::take(&mut *self.unsent.lock().unwrap_or_else(PoisonError::into_inner));
        if !values.is_empty() {
            // It is counted: the next request decides alone.
            let sent = self.waiting(async |within| self.shared.put(&values, KEPT, within).await);
            sent.await.unwrap_or_default();
        }
    }

    /// Waits for the server no longer than all of a request may.
    async fn waiting<T>(&self, call: impl AsyncFnOnce(Duration) -> Result<T, Away>) -> Option<T> {
        let left = || self.patience.lock().unwrap_or_else(PoisonError::into_inner);
        let (within, start) = (*left(), Instant::now());
        if within.is_zero() {
            return None;
        }
        let answer = call(within).await.ok();
        let mut left = left();
        *left = left.saturating_sub(start.elapsed());
        answer
    }
}
