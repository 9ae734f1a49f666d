//! Decisions in Valkey or Redis, which forgets them after a time.

use std::time::Duration;

use super::{Answer, DecisionStore, EncodedDecision};
use crate::proxy::decision::Key;
use crate::shared::{Shared, Value};

/// The time that the server remembers a decision.
const KEPT: Duration = Duration::from_hours(7 * 24);

/// The decisions in the server that replicas share.
pub(super) struct ValkeyDecisions(Shared);

impl ValkeyDecisions {
    pub(super) fn new(shared: Shared) -> Self {
        Self(shared)
    }

    fn name(&self, key: &Key) -> String {
        self.0.key(&blake3::Hash::from_bytes(key.0).to_hex(), "text")
    }
}

impl DecisionStore for ValkeyDecisions {
    fn patience(&self) -> Duration {
        self.0.timeout()
    }

    fn get<'a>(&'a self, keys: &'a [Key], within: Duration) -> Answer<'a, Option<Vec<Option<Vec<u8>>>>> {
        let names: Vec<String> = keys.iter().map(|key| self.name(key)).collect();
        Box::pin(async move { self.0.values(&names, within).await.ok() })
    }

    fn put(&self, decisions: Vec<EncodedDecision>, within: Duration) -> Answer<'_, ()> {
        let value =
            |EncodedDecision { key, bytes, replaces, .. }| Value { key: self.name(&key), bytes, replaces };
        let values: Vec<Value> = decisions.into_iter().map(value).collect();
        // What fails is counted by `shared`.
        Box::pin(async move { self.0.put(&values, KEPT, within).await.unwrap_or_default() })
    }
}
