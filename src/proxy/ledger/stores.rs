//! The traits of what keeps the ledger, and the local one behind them.

use std::collections::HashMap;

use super::Entry;
use crate::proxy::store::{Place, Retention, Store};
use crate::proxy::store_error::StoreError;

/// Entries that can be read. Calls block.
pub(in crate::proxy) trait LedgerSource: Send + Sync {
    /// Calls `each` with the entries from `from` up to `until`, in order, until it says that it has enough.
    ///
    /// # Errors
    /// They cannot be read.
    fn entries(
        &self,
        from: Place,
        until: Place,
        each: &mut dyn FnMut(Place, Entry) -> bool,
    ) -> Result<(), StoreError>;

    /// Returns what each key has spent from one time up to another, both in milliseconds since the epoch, in billionths of
    /// a dollar.
    ///
    /// # Errors
    /// The entries cannot be read.
    fn spent(&self, from: u64, until: u64) -> Result<HashMap<String, i64>, StoreError>;
}

/// A ledger that requests are booked in. Calls block, but for [`LedgerStore::put`].
pub(in crate::proxy) trait LedgerStore: LedgerSource {
    /// Books a request. Once this returns, a kill of the process does not lose it.
    fn put(&self, entry: &Entry);

    /// Waits until what was booked before can be read.
    ///
    /// # Errors
    /// It is kept, but cannot be read now.
    fn flush(&self) -> Result<(), StoreError>;

    /// Keeps entries for another time from now on.
    fn retain(&self, retention: Retention);

    /// Returns the number of entries that wait to be stored where they are read.
    fn waiting(&self) -> usize;

    /// Returns the number of entries that were lost since the process began.
    fn lost(&self) -> u64;
}

impl LedgerSource for Store {
    fn entries(
        &self,
        from: Place,
        until: Place,
        each: &mut dyn FnMut(Place, Entry) -> bool,
    ) -> Result<(), StoreError> {
        Self::entries(self, from, until, each)
    }

    fn spent(&self, from: u64, until: u64) -> Result<HashMap<String, i64>, StoreError> {
        let mut spent = HashMap::new();
        Self::entries(self, Place::at(from), Place::at(until), |_, entry| {
            if let (Some(key), Some(cost)) = (entry.key, entry.cost) {
                let sum: &mut i64 = spent.entry(key).or_default();
                *sum = sum.saturating_add(cost);
            }
            true
        })?;
        Ok(spent)
    }
}

impl LedgerStore for Store {
    fn put(&self, entry: &Entry) {
        self.put_entry(entry);
    }

    fn flush(&self) -> Result<(), StoreError> {
        Self::flush(self);
        Ok(())
    }

    fn retain(&self, retention: Retention) {
        Self::retain(self, retention);
    }

    fn waiting(&self) -> usize {
        Self::waiting(self)
    }

    fn lost(&self) -> u64 {
        Self::lost(self)
    }
}
