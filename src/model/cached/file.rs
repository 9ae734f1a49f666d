//! Results of models in a file, so that what was read once is known after a restart too.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::Key;
use crate::storage::{DatabaseFile, StorageError};
use crate::telemetry::chain;

/// Bytes of the file that are held in memory.
const CACHE_BYTES: usize = 4 << 20;
/// Bytes that an entry takes besides its values, about.
const OVERHEAD: u64 = 100;

/// Values, little-endian, by what they depend on. The name is that of the first results that were kept.
const VALUES: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("scores.1");
/// Keys in the order in which they came.
const ORDER: TableDefinition<u64, &[u8; 32]> = TableDefinition::new("order.1");
/// The total size of the entries in bytes.
const BYTES: TableDefinition<(), u64> = TableDefinition::new("bytes.1");

/// A file of scores or vectors within a limit of bytes; what came first goes first. It is a cache: where it is damaged it
/// is set aside and begun anew; where it cannot be used, that is logged once, and results are computed as if it were not
/// there.
pub struct CacheFile {
    path: PathBuf,
    limit: u64,
    state: Mutex<State>,
}

enum State {
    Unopened,
    Open(Arc<DatabaseFile>),
    Unusable,
}

impl std::fmt::Debug for CacheFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CacheFile")
            .field("path", &self.path)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl CacheFile {
    /// The file at `path`, made when the first results are put in, of about `limit` bytes at most.
    #[must_use]
    pub fn new(path: PathBuf, limit: u64) -> Self {
        Self { path, limit, state: Mutex::new(State::Unopened) }
    }

    /// Returns the stored values of each key, where there are any.
    pub(super) fn get(&self, keys: &[Key]) -> Vec<Option<Vec<f32>>> {
        let unknown = || vec![None; keys.len()];
        let Some(database) = self.database(false) else { return unknown() };
        read(&database, keys).unwrap_or_else(|error| {
            tracing::warn!(path = %self.path.display(), error = chain(&error), "cannot read kept results");
            unknown()
        })
    }

    /// Keeps results. They are on disk when this returns.
    pub(super) fn put(&self, entries: &[(Key, &[f32])]) {
        let Some(database) = self.database(true).filter(|_| !entries.is_empty()) else { return };
        if let Err(error) = write(&database, entries, self.limit) {
            tracing::warn!(path = %self.path.display(), error = chain(&error), "cannot keep results");
        }
    }

    fn database(&self, make: bool) -> Option<Arc<DatabaseFile>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Unopened) && (make || self.path.exists()) {
            *state = match open(&self.path) {
                Ok(database) => State::Open(Arc::new(database)),
                Err(error) => {
                    tracing::warn!(error = chain(&error), "results are not kept on disk");
                    State::Unusable
                }
            };
        }
        match &*state {
            State::Open(database) => Some(Arc::clone(database)),
            State::Unopened | State::Unusable => None,
        }
    }
}

fn open(path: &Path) -> Result<DatabaseFile, StorageError> {
    let make_tables = |database: &Database| {
        let transaction = database.begin_write()?;
        transaction.open_table(VALUES)?;
        transaction.open_table(ORDER)?;
        transaction.open_table(BYTES)?;
        Ok(transaction.commit()?)
    };
    Ok(DatabaseFile::open_or_renew(path, CACHE_BYTES, make_tables)?.file)
}

fn read(database: &Database, keys: &[Key]) -> Result<Vec<Option<Vec<f32>>>, redb::Error> {
    let table = database.begin_read()?.open_table(VALUES)?;
    let decoded =
        |bytes: &[u8]| bytes.as_chunks::<4>().0.iter().map(|&four| f32::from_le_bytes(four)).collect();
    keys.iter().map(|key| Ok(table.get(key)?.map(|value| decoded(value.value())))).collect()
}

fn write(database: &Database, entries: &[(Key, &[f32])], limit: u64) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut stored = transaction.open_table(VALUES)?;
        let mut order = transaction.open_table(ORDER)?;
        let mut bytes = transaction.open_table(BYTES)?;
        let mut total = bytes.get(())?.map_or(0, |value| value.value());
        let mut next = order.last()?.map_or(0, |(place, _)| place.value() + 1);
        for (key, values) in entries {
            let encoded: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            if stored.insert(key, encoded.as_slice())?.is_none() {
                order.insert(next, key)?;
                next += 1;
                total += OVERHEAD + encoded.len() as u64;
            }
        }
        while total > limit {
            let Some((_, key)) = order.pop_first()? else { break };
            if let Some(gone) = stored.remove(key.value())? {
                total = total.saturating_sub(OVERHEAD + gone.value().len() as u64);
            }
        }
        bytes.insert((), total)?;
    }
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/scores.redb");
        let file = CacheFile::new(path.clone(), 1 << 20);
        assert_eq!(file.get(&[[1; 32]]), [None]);
        assert!(!path.exists(), "asking makes no file");
        file.put(&[([1; 32], &[0.5, 7.25]), ([2; 32], &[])]);
        drop(file);
        let file = CacheFile::new(path, 1 << 20);
        assert_eq!(file.get(&[[2; 32], [3; 32], [1; 32]]), [Some(vec![]), None, Some(vec![0.5, 7.25])]);
    }

    #[test]
    fn what_came_first_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let file = CacheFile::new(folder.path().join("scores.redb"), 10 * (OVERHEAD + 4));
        for i in 0..20 {
            file.put(&[([i; 32], &[f32::from(i)])]);
        }
        file.put(&[([19; 32], &[19.0])]);
        let known = file.get(&(0..20).map(|i| [i; 32]).collect::<Vec<_>>());
        assert!(known[..10].iter().all(Option::is_none));
        assert!(known[10..].iter().enumerate().all(|(i, known)| known == &Some(vec![10.0 + i as f32])));
    }

    #[test]
    fn a_file_that_cannot_be_used_knows_nothing_and_breaks_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("a file, no folder");
        std::fs::write(&place, "x").unwrap();
        let file = CacheFile::new(place.join("scores.redb"), 1 << 20);
        file.put(&[([1; 32], &[1.0])]);
        assert_eq!(file.get(&[[1; 32]]), [None]);
        assert_eq!(std::fs::read(&place).unwrap(), b"x");
    }

    #[test]
    fn a_damaged_file_is_set_aside_and_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scores.redb");
        let keys: Vec<Key> = (0..100).map(|i| [i; 32]).collect();
        let scores = [0.5; 50];
        CacheFile::new(path.clone(), 1 << 20)
            .put(&keys.iter().map(|key| (*key, &scores[..])).collect::<Vec<_>>());
        let whole = std::fs::read(&path).unwrap();
        let aside = || {
            let entries = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
            entries.filter(|path| path.to_string_lossy().contains(".damaged-")).collect::<Vec<_>>()
        };
        for number in 0..200 {
            let mut bytes = whole.clone();
            crate::storage::damage(&mut bytes, number);
            std::fs::write(&path, bytes).unwrap();
            let file = CacheFile::new(path.clone(), 1 << 20);
            for known in file.get(&keys).into_iter().flatten() {
                assert_eq!(known, scores, "{number}: what is known is what was put");
            }
            file.put(&[([200; 32], &[2.0])]);
            assert_eq!(file.get(&[[200; 32]]), [Some(vec![2.0])], "{number}");
        }
        assert!(aside().len() > 100, "{}", aside().len());
    }

    #[test]
    fn a_file_that_another_holds_knows_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scores.redb");
        let first = CacheFile::new(path.clone(), 1 << 20);
        first.put(&[([1; 32], &[1.0])]);
        let second = CacheFile::new(path, 1 << 20);
        second.put(&[([2; 32], &[2.0])]);
        assert_eq!(second.get(&[[1; 32]]), [None]);
        assert_eq!(first.get(&[[1; 32]]), [Some(vec![1.0])]);
    }
}
