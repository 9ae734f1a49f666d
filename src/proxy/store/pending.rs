//! The decisions on their way to the file.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::proxy::decision::Key;

/// The keys of the decisions that are not on disk yet, with how many there are of each.
#[derive(Debug, Default)]
pub(super) struct Pending(Mutex<HashMap<Key, usize>>);

impl Pending {
    pub(super) fn add(&self, key: Key) {
        *self.keys().entry(key).or_default() += 1;
    }

    /// Takes one out that was written, or will not be.
    pub(super) fn remove(&self, key: &Key) {
        let mut keys = self.keys();
        let left = keys.get_mut(key).map_or(0, |count| {
            *count -= 1;
            *count
        });
        if left == 0 {
            keys.remove(key);
        }
    }

    pub(super) fn contains(&self, key: &Key) -> bool {
        self.keys().contains_key(key)
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<Key, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
