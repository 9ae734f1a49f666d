//! The decisions that replicas share, so that a conversation which changes replica keeps its prefix byte for byte.
//!
//! They are in the form that files have: hashes, ranges and numbers. A request that does not know a text looks there, and
//! what it decides is there before it is forwarded. Where a [`DecisionStore`] is away, each replica decides alone. There may
//! be two, a quick one that forgets and a database that does not: the quick one is asked first.

mod database;
mod valkey;

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::decision::{Decision, Key};
use super::store::{decode, encode};
use crate::index::Postgres;
use crate::shared::Shared;
use database::DatabaseDecisions;
use valkey::ValkeyDecisions;

/// The most bytes of a decision that is shared. One that is larger takes longer to send than to make.
const MOST_BYTES: usize = 64 << 10;

/// A place where replicas keep decisions together. No call blocks a thread or lasts longer than it may.
pub(super) trait DecisionStore: Send + Sync {
    /// Returns the time that all of a request may wait for the store.
    fn patience(&self) -> Duration;

    /// Returns the encoded decisions, each none where there is none; or none of all where the store cannot be used.
    fn get<'a>(&'a self, keys: &'a [Key], within: Duration) -> Answer<'a, Option<Vec<Option<Vec<u8>>>>>;

    /// Stores decisions. Where the store cannot be used, that is counted there: the next request decides alone.
    fn put(&self, decisions: Vec<EncodedDecision>, within: Duration) -> Answer<'_, ()>;
}

/// The answer of a store, which is waited for.
type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A decision as stores have it.
#[derive(Debug, Clone)]
pub(super) struct EncodedDecision {
    key: Key,
    /// When it was made, in seconds since the epoch.
    seconds: u64,
    bytes: Vec<u8>,
    /// Whether it takes the place of one that is there.
    replaces: bool,
}

/// The decisions that replicas share in one store. Clones share what is to be sent.
#[derive(Clone)]
pub(super) struct SharedDecisions {
    store: Arc<dyn DecisionStore>,
    /// The time that the request may still wait for the store.
    patience: Arc<Mutex<Duration>>,
    /// The decisions of a request that the store has not been told.
    unsent: Arc<Mutex<Vec<EncodedDecision>>>,
}

impl SharedDecisions {
    fn new(store: Arc<dyn DecisionStore>) -> Self {
        let patience = Arc::new(Mutex::new(store.patience()));
        Self { store, patience, unsent: Arc::default() }
    }

    /// The decisions in Valkey or Redis.
    pub(super) fn in_valkey(shared: Shared) -> Self {
        Self::new(Arc::new(ValkeyDecisions::new(shared)))
    }

    /// The decisions in a database. `failed` counts the calls of it that failed.
    pub(super) fn in_database(database: Postgres, failed: super::metrics::Failures) -> Self {
        Self::new(Arc::new(DatabaseDecisions::new(database, failed)))
    }

    /// Returns the same for one request, which sends its own decisions.
    pub(super) fn of_request(&self) -> Self {
        Self::new(Arc::clone(&self.store))
    }

    /// Returns what other replicas have decided about texts, each with the seconds since the epoch when they did.
    pub(super) async fn get(&self, keys: &[Key]) -> Vec<Option<(Decision, u64)>> {
        let values = self.waiting(|within| self.store.get(keys, within)).await;
        values.flatten().unwrap_or_default().into_iter().map(|value| decode(&value?)).collect()
    }

    /// Notes a decision, to be sent. One that does not replace another's leaves what another replica decided meanwhile.
    pub(super) fn put(&self, key: &Key, decision: &Decision, seconds: u64, replaces: bool) {
        // Their keys begin with a secret of each replica, and what they say follows from the texts.
        if matches!(decision, Decision::Folded { .. } | Decision::Tool) {
            return;
        }
        let bytes = encode(decision, seconds).filter(|bytes| bytes.len() <= MOST_BYTES);
        if let Some(bytes) = bytes {
            let decision = EncodedDecision { key: *key, seconds, bytes, replaces };
            self.unsent.lock().unwrap_or_else(PoisonError::into_inner).push(decision);
        }
    }

    /// Sends what is noted, where there is anything.
    pub(super) async fn send(&self) {
        let decisions = std::mem::take(&mut *self.unsent.lock().unwrap_or_else(PoisonError::into_inner));
        if !decisions.is_empty() {
            self.waiting(|within| self.store.put(decisions, within)).await.unwrap_or_default();
        }
    }

    /// Waits for the store no longer than all of a request may.
    async fn waiting<T, A: Future<Output = T>>(&self, call: impl FnOnce(Duration) -> A) -> Option<T> {
        let left = || self.patience.lock().unwrap_or_else(PoisonError::into_inner);
        let (within, start) = (*left(), Instant::now());
        if within.is_zero() {
            return None;
        }
        let answer = call(within).await;
        let mut left = left();
        *left = left.saturating_sub(start.elapsed());
        Some(answer)
    }
}

#[cfg(test)]
pub(super) mod fake {
    use std::collections::HashMap;

    use super::*;

    /// Decisions in memory, which may be away.
    #[derive(Default)]
    pub(in crate::proxy) struct MemoryStore {
        values: Mutex<HashMap<Key, Vec<u8>>>,
        /// Whether it cannot be used.
        pub(in crate::proxy) away: std::sync::atomic::AtomicBool,
    }

    impl MemoryStore {
        pub(in crate::proxy) fn decisions(self: &Arc<Self>) -> SharedDecisions {
            SharedDecisions::new(Arc::<Self>::clone(self))
        }

        pub(in crate::proxy) fn len(&self) -> usize {
            self.values.lock().unwrap().len()
        }

        fn is_away(&self) -> bool {
            self.away.load(std::sync::atomic::Ordering::SeqCst)
        }
    }

    impl DecisionStore for MemoryStore {
        fn patience(&self) -> Duration {
            Duration::from_hours(1)
        }

        fn get<'a>(&'a self, keys: &'a [Key], _: Duration) -> Answer<'a, Option<Vec<Option<Vec<u8>>>>> {
            let values = self.values.lock().unwrap();
            let found = keys.iter().map(|key| values.get(key).cloned()).collect();
            let found = Some(found).filter(|_| !self.is_away());
            Box::pin(async { found })
        }

        fn put(&self, decisions: Vec<EncodedDecision>, _: Duration) -> Answer<'_, ()> {
            for EncodedDecision { key, bytes, replaces, .. } in
                decisions.into_iter().filter(|_| !self.is_away())
            {
                let mut values = self.values.lock().unwrap();
                if replaces || !values.contains_key(&key) {
                    values.insert(key, bytes);
                }
            }
            Box::pin(async {})
        }
    }
}
