//! What became of texts, on disk, so that it is the same after a restart.
//!
//! Only ranges and times are stored, under hashes: no word of a prompt. What was compressed in another way than by
//! leaving out parts is not stored; the same input gives the same bytes, so it comes out the same again.

use std::ops::Range;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redb::{Database, ReadableDatabase, TableDefinition};

use super::memory::{Key, Outcome, Tokens};
use crate::telemetry::chain;

const OUTCOMES: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("outcomes.1");
/// Bytes of the file that are held in memory.
const CACHE_BYTES: usize = 4 << 20;

const PINNED: u8 = 1;
const KEPT: u8 = 2;

/// The file.
pub(super) struct Store {
    database: std::sync::Arc<Database>,
    /// None only while the store is dropped.
    records: Option<Sender<(Key, Vec<u8>)>>,
    writer: Option<JoinHandle<()>>,
}

impl Store {
    /// Opens the file, or begins it, and forgets what is older than `keep`.
    ///
    /// # Errors
    /// The file cannot be used; the text names the remedy.
    pub(super) fn open(file: &Path, keep: Duration) -> Result<Self, String> {
        let failed = |error: &dyn std::error::Error| {
            format!(
                "cannot use {}: {}; if another whittle uses it, name another folder in WHITTLE_DATA_DIR",
                file.display(),
                chain(error)
            )
        };
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).map_err(|error| failed(&error))?;
        }
        let database =
            Database::builder().set_cache_size(CACHE_BYTES).create(file).map_err(|error| failed(&error))?;
        prepare(&database, keep).map_err(|error| failed(&error))?;
        let database = std::sync::Arc::new(database);
        let (records, received) = channel();
        let writing = std::sync::Arc::clone(&database);
        let writer = std::thread::Builder::new()
            .name("whittle-store".into())
            .spawn(move || write_all(&writing, &received))
            .map_err(|error| failed(&error))?;
        Ok(Self { database, records: Some(records), writer: Some(writer) })
    }

    /// What is stored, with the seconds since the epoch at which it was.
    pub(super) fn get(&self, key: &Key) -> Option<(Outcome, u64)> {
        let read = || -> Result<Option<Vec<u8>>, redb::Error> {
            let table = self.database.begin_read()?.open_table(OUTCOMES)?;
            Ok(table.get(&key.0)?.map(|value| value.value().to_vec()))
        };
        match read() {
            Ok(value) => value.and_then(|value| decode(&value)),
            Err(error) => {
                tracing::warn!(%error, "cannot read what became of a text");
                None
            }
        }
    }

    /// Stores an outcome of now, soon. Whoever asks meanwhile asks the memory first.
    pub(super) fn put(&self, key: Key, outcome: &Outcome) {
        let Some(value) = encode(outcome, seconds_now()) else { return };
        if let Some(records) = &self.records {
            // The writer ends only with the store.
            records.send((key, value)).unwrap_or_default();
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Without a sender the writer ends, once it has written what it was sent.
        self.records = None;
        if let Some(writer) = self.writer.take() {
            writer.join().unwrap_or_default();
        }
    }
}

/// Seconds since the epoch.
pub(super) fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

fn prepare(database: &Database, keep: Duration) -> Result<(), redb::Error> {
    let oldest = seconds_now().saturating_sub(keep.as_secs());
    let transaction = database.begin_write()?;
    transaction
        .open_table(OUTCOMES)?
        .retain(|_, value| decode(value).is_some_and(|(_, stored)| stored >= oldest))?;
    transaction.commit()?;
    Ok(())
}

/// Writes what arrives, as much at once as there is: each commit waits for the disk.
fn write_all(database: &Database, records: &Receiver<(Key, Vec<u8>)>) {
    while let Ok(first) = records.recv() {
        let write = || -> Result<(), redb::Error> {
            let transaction = database.begin_write()?;
            {
                let mut table = transaction.open_table(OUTCOMES)?;
                for (key, value) in std::iter::once(first).chain(records.try_iter()) {
                    table.insert(&key.0, &*value)?;
                }
            }
            Ok(transaction.commit()?)
        };
        if let Err(error) = write() {
            tracing::warn!(%error, "cannot store what became of a text");
        }
    }
}

/// Kind, time, and of kept parts the tokens and the ranges, all little-endian. None of what is not stored.
fn encode(outcome: &Outcome, seconds: u64) -> Option<Vec<u8>> {
    let mut value = match outcome {
        Outcome::Pinned => vec![PINNED],
        Outcome::Kept { .. } => vec![KEPT],
        Outcome::Whole | Outcome::Replaced { .. } => return None,
    };
    value.extend_from_slice(&seconds.to_le_bytes());
    if let Outcome::Kept { ranges, tokens } = outcome {
        let ends = ranges.iter().flat_map(|range| [range.start, range.end]);
        for number in [tokens.before, tokens.after].into_iter().chain(ends) {
            value.extend_from_slice(&u32::try_from(number).ok()?.to_le_bytes());
        }
    }
    Some(value)
}

/// What [`encode`] wrote. None of anything else.
fn decode(value: &[u8]) -> Option<(Outcome, u64)> {
    let (&kind, rest) = value.split_first()?;
    let (seconds, rest) = rest.split_first_chunk::<8>()?;
    if rest.len() % 8 != 0 {
        return None;
    }
    let numbers: Vec<usize> =
        rest.as_chunks::<4>().0.iter().map(|n| u32::from_le_bytes(*n) as usize).collect();
    let outcome = match (kind, &numbers[..]) {
        (PINNED, []) => Outcome::Pinned,
        (KEPT, [before, after, ends @ ..]) => {
            let ranges: Box<[Range<usize>]> = ends.as_chunks::<2>().0.iter().map(|[a, b]| *a..*b).collect();
            Outcome::Kept { ranges, tokens: Tokens { before: *before, after: *after } }
        }
        _ => return None,
    };
    Some((outcome, u64::from_le_bytes(*seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> Outcome {
        Outcome::Kept { ranges: [0..4, 9..12].into(), tokens: Tokens { before: 9, after: 3 } }
    }

    #[test]
    fn outcomes_are_there_after_a_restart_and_gone_when_they_are_old() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deep/proxy.redb");
        let day = Duration::from_hours(24);
        let store = Store::open(&file, day).unwrap();
        for (number, outcome) in [(1, kept()), (2, Outcome::Pinned), (3, Outcome::Whole)] {
            store.put(Key([number; 32]), &outcome);
        }
        let error = Store::open(&file, day).err().unwrap();
        assert!(error.contains("WHITTLE_DATA_DIR"), "{error}");
        drop(store);
        let store = Store::open(&file, day).unwrap();
        assert_eq!(store.get(&Key([1; 32])).unwrap().0, kept());
        assert_eq!(store.get(&Key([2; 32])).unwrap().0, Outcome::Pinned);
        assert_eq!(store.get(&Key([3; 32])), None);
        let old = encode(&kept(), seconds_now() - 2 * day.as_secs()).unwrap();
        store.records.as_ref().unwrap().send((Key([1; 32]), old)).unwrap();
        drop(store);
        let store = Store::open(&file, day).unwrap();
        assert_eq!((store.get(&Key([1; 32])), store.get(&Key([2; 32])).is_some()), (None, true));
    }

    #[test]
    fn what_was_not_written_here_is_not_read() {
        let value = encode(&kept(), 7).unwrap();
        assert_eq!(decode(&value), Some((kept(), 7)));
        for bad in [&value[..value.len() - 4], &value[..9], &[], &[9; 9][..], &[1; 12]] {
            assert_eq!(decode(bad), None, "{bad:?}");
        }
    }
}
