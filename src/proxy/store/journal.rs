//! The journal of the ledger: entries on their way into the database, in files that outlive the process.
//!
//! An entry is appended by one small write before its answer ends, as a web server writes its access log, and committed
//! with others within 100 ms. Whatever kills the process, the operating system keeps what was written, and the next
//! start puts what was not committed into the database. Only where the machine itself stops can the last entries be lost:
//! nothing waits for the disk here.
//!
//! Two files take turns: one is written to while what the other holds is being committed. A record is its length (4 bytes,
//! little-endian), the first 8 bytes of the BLAKE3 hash of the rest, its milliseconds (8 bytes), and the encoded entry.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::entries::Record;
use crate::storage::with_suffix;

/// Bytes of a file after which the other one takes over, as soon as all that it holds is committed.
const FILE_BYTES: u64 = 1 << 20;
/// Bytes of a file after which no more is appended. Only a file that the database could not take in grows so large.
const MOST_BYTES: u64 = 16 * FILE_BYTES;
const SUFFIXES: [&str; 2] = [".journal-0", ".journal-1"];
const LENGTH_BYTES: usize = 4;
const HASH_BYTES: usize = 8;

/// The files of one database.
pub(super) struct Journal(Mutex<State>);

struct State {
    files: [File; 2],
    /// The file that is written to.
    current: usize,
    /// Bytes of that file.
    bytes: u64,
    /// Entries that were appended since the start, and that of these the database has.
    appended: u64,
    committed: u64,
    /// The count of committed entries from which on the other file can be emptied. None where that file is empty.
    other_until: Option<u64>,
    /// True once a commit has failed. The files then keep what they hold, for the next start.
    failed: bool,
}

impl Journal {
    /// Opens the files beside `database`, and returns what a process that was killed has left in them.
    pub(super) fn open(database: &Path) -> io::Result<(Self, Vec<Record>)> {
        let open = |suffix| {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let path = with_suffix(database, suffix);
            let named =
                |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
            options.open(&path).map_err(named)
        };
        let mut files = [open(SUFFIXES[0])?, open(SUFFIXES[1])?];
        let mut left = Vec::new();
        for file in &mut files {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            left.extend(records(&bytes));
        }
        let (current, bytes, appended, committed) = (0, 0, 0, 0);
        let state = State { files, current, bytes, appended, committed, other_until: None, failed: false };
        Ok((Self(Mutex::new(state)), left))
    }

    /// Empties the files, once the database has what was left in them.
    pub(super) fn clear(&self) -> io::Result<()> {
        self.state().files.iter_mut().try_for_each(|file| cut(file, 0))
    }

    /// Appends `record` if `send`, which hands it over to be committed, succeeds, and returns whether it does. Where the
    /// disk takes no more, which is logged, the record is committed all the same.
    pub(super) fn append(&self, record: &Record, send: impl FnOnce() -> bool) -> bool {
        let bytes = framed(record);
        // Held until both are done, so that the writer never sees more committed than appended.
        let mut state = self.state();
        if !send() {
            return false;
        }
        state.appended += 1;
        if let Err(error) = state.write(&bytes) {
            tracing::debug!(%error, "cannot write to the journal of the ledger");
        }
        true
    }

    /// Notes that the database has `count` more entries, and lets go what the files need not hold any more.
    pub(super) fn committed(&self, count: usize) {
        let mut state = self.state();
        state.committed += count as u64;
        if let Err(error) = state.release() {
            tracing::warn!(%error, "cannot empty the journal of the ledger");
        }
    }

    /// Notes that the database could not take entries: the files keep what they hold, for the next start.
    pub(super) fn failed(&self) {
        self.state().failed = true;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn write(&mut self, record: &[u8]) -> io::Result<()> {
        if self.bytes > MOST_BYTES {
            return Ok(());
        }
        let file = &mut self.files[self.current];
        // Behind half a record nothing could be read.
        if let Err(error) = file.write_all(record) {
            cut(file, self.bytes)?;
            return Err(error);
        }
        self.bytes += record.len() as u64;
        Ok(())
    }

    fn release(&mut self) -> io::Result<()> {
        if self.failed {
            return Ok(());
        }
        let other = 1 - self.current;
        if self.other_until.is_some_and(|until| self.committed >= until) {
            cut(&mut self.files[other], 0)?;
            self.other_until = None;
        }
        if self.committed == self.appended && self.bytes > 0 {
            cut(&mut self.files[self.current], 0)?;
            self.bytes = 0;
        } else if self.bytes > FILE_BYTES && self.other_until.is_none() {
            (self.current, self.bytes, self.other_until) = (other, 0, Some(self.appended));
        }
        Ok(())
    }
}

/// Cuts a file off behind `bytes`, where the next record then goes.
fn cut(file: &mut File, bytes: u64) -> io::Result<()> {
    file.set_len(bytes)?;
    file.seek(SeekFrom::Start(bytes)).map(drop)
}

fn framed((milliseconds, entry): &Record) -> Vec<u8> {
    let body = [&milliseconds.to_le_bytes(), &**entry].concat();
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    [&length.to_le_bytes(), &blake3::hash(&body).as_bytes()[..HASH_BYTES], &body].concat()
}

/// The records of a file, up to one that was not written whole, or is damaged.
fn records(mut bytes: &[u8]) -> Vec<Record> {
    let mut records = Vec::new();
    while let Some((record, rest)) = first(bytes) {
        records.push(record);
        bytes = rest;
    }
    records
}

fn first(bytes: &[u8]) -> Option<(Record, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH_BYTES>()?;
    let (hash, rest) = rest.split_first_chunk::<HASH_BYTES>()?;
    let (body, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let (milliseconds, entry) = body.split_first_chunk()?;
    let is_whole = blake3::hash(body).as_bytes().starts_with(hash);
    is_whole.then(|| ((u64::from_le_bytes(*milliseconds), entry.to_vec()), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: u64) -> Record {
        (number, vec![number as u8; 200 + number as usize % 50])
    }

    fn left(database: &Path) -> Vec<u64> {
        Journal::open(database).unwrap().1.iter().map(|record| record.0).collect()
    }

    #[test]
    fn a_file_holds_what_is_not_committed_and_no_more_than_it_must() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("proxy.redb");
        let journal = Journal::open(&database).unwrap().0;
        (0..3).for_each(|number| assert!(journal.append(&record(number), || true)));
        assert!(!journal.append(&record(9), || false));
        assert_eq!(left(&database), [0, 1, 2]);
        journal.committed(2);
        assert_eq!(left(&database), [0, 1, 2], "the file is emptied when all are committed");
        journal.committed(1);
        assert_eq!(left(&database), [0; 0]);

        // What the database could not take stays.
        journal.append(&record(3), || true);
        journal.failed();
        journal.append(&record(4), || true);
        journal.committed(2);
        assert_eq!(left(&database), [3, 4]);
        drop(journal);

        // A writer that never catches up.
        let journal = Journal::open(&database).unwrap().0;
        journal.clear().unwrap();
        let bytes = || SUFFIXES.map(|suffix| with_suffix(&database, suffix).metadata().unwrap().len());
        journal.append(&record(0), || true);
        for number in 1..20_000 {
            journal.append(&record(number), || true);
            journal.committed(1);
            assert!(bytes().iter().all(|bytes| *bytes <= FILE_BYTES + 1000), "{:?}", bytes());
        }
        assert!(left(&database).contains(&19_999), "the one that is not committed");
        journal.committed(1);
        assert_eq!(bytes(), [0, 0]);
    }

    #[test]
    fn of_damaged_files_only_what_was_written_is_read() {
        let whole: Vec<u8> = (0..20).flat_map(|number| framed(&record(number))).collect();
        assert_eq!(records(&whole), (0..20).map(record).collect::<Vec<_>>());
        for number in 0..500 {
            let mut bytes = whole.clone();
            crate::storage::damage(&mut bytes, number);
            let read = records(&bytes);
            assert!(read.len() <= 20 && read.iter().all(|read| *read == record(read.0)), "{number}");
        }
    }
}
