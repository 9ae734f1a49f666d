//! The ledger: one entry for each request that went to an upstream, with what it took and what compression saved.
//!
//! An entry is made while its request runs ([`UsageRecord`]), and stored when the answer is over, its client leaves, or it
//! fails. It holds numbers and names: no word of a prompt. It is stored before the client has the last byte of its answer,
//! so that a kill loses none that a client has seen all of, unless the disk fails.
//!
//! A [`LedgerStore`] keeps it: the proxy's own file, or a database that replicas share ([`database`]).

mod database;
pub(super) mod entry;
mod folding;
mod holdout;
mod money;
mod stores;
mod usage;
mod usage_record;

use std::collections::HashMap;
use std::sync::Arc;

use super::metrics::ProviderMetrics;
use super::store_error::StoreError;
pub(super) use database::{LedgerTable, SharedLedger};
use entry::Entry;
pub use folding::FoldingLine;
pub use holdout::{ArmFigures, ArmMeans, HoldoutReport, Mean};
pub(super) use money::cost;
pub(super) use stores::LedgerStore;
pub(super) use usage::{DAY_MS, report, time};
pub use usage::{Group, Numbers, RequestLine, UsageParams, UsageReport};
pub use usage_record::UsageRecord;
pub(super) use usage_record::{TOKEN_BYTES, UsageRecordBuilder};

/// The ledger that requests are booked in.
#[derive(Clone)]
pub(super) struct Ledger {
    store: Option<Arc<dyn LedgerStore>>,
    provider: ProviderMetrics,
}

impl Ledger {
    /// Entries go to `store`, where there is one, and tokens and failed streams to `provider`.
    pub(super) fn new(store: Option<Arc<dyn LedgerStore>>, provider: ProviderMetrics) -> Self {
        Self { store, provider }
    }

    pub(super) fn open(&self, opening: UsageRecordBuilder) -> UsageRecord {
        UsageRecord::new(self.clone(), opening)
    }

    /// Returns the spending of keys on this day in UTC, and on the next one, which a clock that was put back has seen
    /// already. What a clock has booked that was further ahead must keep nobody out until then.
    pub(super) fn spent_today(&self) -> Result<HashMap<String, i64>, StoreError> {
        let Some(store) = &self.store else { return Ok(HashMap::new()) };
        let now = usage::now();
        let today = now - now % usage::DAY_MS;
        store.spent(today, today + 2 * usage::DAY_MS)
    }

    /// Returns what keeps the entries, where anything does.
    pub(super) fn store(&self) -> Option<&dyn LedgerStore> {
        self.store.as_deref()
    }

    fn count_failed_stream(&self, upstream: &str) {
        self.provider.count_failed_stream(upstream);
    }

    fn book(&self, entry: &Entry) {
        if !entry.estimated {
            self.provider.count(entry.usage);
        }
        if let Some(store) = &self.store {
            store.put(entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::store::{Retention, Store};

    #[test]
    fn what_a_clock_far_ahead_has_booked_is_not_spent_today() {
        let folder = tempfile::tempdir().unwrap();
        let keep = std::time::Duration::from_hours(48);
        let retention = Retention { outcomes: keep, entries: keep };
        let store = Arc::new(Store::open(&folder.path().join("proxy.redb"), retention).unwrap());
        let now = usage::now();
        let days = |days: u64| days * usage::DAY_MS;
        for (milliseconds, cost) in [
            (now, 1),
            (now + days(1), 10),
            (now + days(3), 100),
            (now + days(9999), 1000),
            (now - days(1), 10_000),
        ] {
            let (key, cost) = (Some("k".to_owned()), Some(cost));
            store.put_entry(&Entry { milliseconds, key, cost, ..Entry::default() });
        }
        store.flush();
        let ledger = Ledger::new(Some(store), ProviderMetrics::default());
        assert_eq!(ledger.spent_today().unwrap(), HashMap::from([("k".to_owned(), 11)]));
    }
}
