//! The proxy's data on disk: decisions on texts, so that they stay the same after a restart, and the ledger.
//!
//! One file, which one process holds, and one thread that writes to it. What is to be stored waits in memory for a
//! moment, so that one commit serves many. Entries of the ledger are in a journal meanwhile, which outlives the process
//! ([`journal`]). A request with new decisions waits for the commit before it is forwarded ([`Store::written`]), which
//! takes the ones of all that wait by then: an upstream must not see what a crash can undo. The commit reaches the disk
//! itself, as redb has no other that outlives the process.
//!
//! Where replicas have one ledger in a database, entries go to an outbox here, from which they are taken there.

mod entries;
mod journal;
mod outcomes;
mod pending;
mod secret;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use redb::{Database, ReadableDatabase};
use tokio::sync::oneshot;

use super::batch;
use super::decision::{Decision, Key};
use super::ledger::entry::Entry;
use super::store_error::StoreError;
use crate::storage::{DatabaseFile, StorageError};
use crate::telemetry::chain;
pub(super) use entries::{OutboxRecord, Place};
use entries::{Record, Sink};
use journal::Journal;
pub(super) use outcomes::{decode, encode};
use pending::Pending;
pub(super) use secret::Secret;

/// Bytes of the file that are held in memory.
const CACHE_BYTES: usize = 4 << 20;
/// Most records of one commit.
const BATCH: usize = 10_000;
/// The most records that wait for the writer. Entries of the ledger on top are counted and lost; what became of a text
/// is then remembered in memory alone.
const WAITING: usize = 20_000;
/// The largest number of an entry: databases have signed ones.
const LARGEST_SERIAL: u64 = u64::MAX >> 1;
/// Time between two looks for entries that are too old.
const SWEEP: Duration = Duration::from_hours(1);

/// The retention times of stored data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Retention {
    /// The retention time of decisions on texts.
    pub(super) outcomes: Duration,
    /// Entries of the ledger.
    pub(super) entries: Duration,
}

/// The file.
pub(super) struct Store {
    database: Arc<DatabaseFile>,
    /// The number of the next entry.
    serial: AtomicU64,
    records: SyncSender<Message>,
    pending: Arc<Pending>,
    ledger: Arc<LedgerQueue>,
    journal: Arc<Journal>,
    writer: Option<JoinHandle<()>>,
    secret: Secret,
}

/// Called once a batch is written.
type Done = Box<dyn FnOnce() + Send>;

/// A message to the writer.
enum Message {
    Decision(Key, Vec<u8>),
    Entry(Record),
    /// Keep what comes and what is there so long.
    Retain(Retention),
    /// Write what has come before, and say so.
    Flush(Done),
    /// The store is gone.
    End,
}

/// Entries on their way to the file.
#[derive(Debug, Default)]
struct LedgerQueue {
    waiting: AtomicUsize,
    lost: AtomicU64,
}

impl Store {
    /// Opens the file, or begins it, and forgets what is too old. One that is damaged is set aside and begun anew: the
    /// proxy goes on, without what it remembered and what was booked.
    ///
    /// # Errors
    /// The file cannot be used; the text names the remedy.
    pub(super) fn open(file: &Path, retention: Retention) -> Result<Self, StoreError> {
        Self::open_for(file, retention, Sink::Ledger)
    }

    /// Does as [`Store::open`], but has entries go to an outbox, from which they are to be taken into a database.
    ///
    /// # Errors
    /// As there.
    pub(super) fn open_with_outbox(file: &Path, retention: Retention) -> Result<Self, StoreError> {
        Self::open_for(file, retention, Sink::Outbox)
    }

    fn open_for(file: &Path, retention: Retention, sink: Sink) -> Result<Self, StoreError> {
        let unusable = |reason: String| StoreError::Unusable { file: file.display().to_string(), reason };
        let opened =
            DatabaseFile::open_or_renew(file, CACHE_BYTES, |database| forget_old(database, retention));
        let database = Arc::new(
            opened
                .map_err(|error| match error {
                    StorageError::InUse(path) => StoreError::InUse(path.display().to_string()),
                    other => unusable(chain(&other)),
                })?
                .file,
        );
        let secret = secret::read_or_begin(&database).map_err(|error| unusable(chain(&error)))?;
        let serial = random_number().map_err(|error| unusable(error.to_string()))?;
        let journal = Arc::new(open_journal(file, &database, sink).map_err(unusable)?);
        let (records, received) = sync_channel(WAITING);
        let ledger = Arc::<LedgerQueue>::default();
        let pending = Arc::<Pending>::default();
        let writer = Writer {
            database: Arc::clone(&database),
            pending: Arc::clone(&pending),
            ledger: Arc::clone(&ledger),
            journal: Arc::clone(&journal),
            retention,
            sink,
        };
        let writer = std::thread::Builder::new()
            .name("whittle-store".into())
            .spawn(move || writer.run(&received))
            .map_err(|error| unusable(chain(&error)))?;
        let serial = AtomicU64::new(serial);
        Ok(Self { database, serial, records, pending, ledger, journal, writer: Some(writer), secret })
    }

    /// The secret by which conversations are named.
    pub(super) const fn secret(&self) -> Secret {
        self.secret
    }

    /// Returns the stored decision on a text, with its time in seconds since the epoch.
    pub(super) fn decision(&self, key: &Key) -> Option<(Decision, u64)> {
        let read = || -> Result<Option<Vec<u8>>, redb::Error> {
            let table = self.database.begin_read()?.open_table(outcomes::TABLE)?;
            Ok(table.get(&key.0)?.map(|value| value.value().to_vec()))
        };
        match read() {
            Ok(value) => value.and_then(|value| outcomes::decode(&value)),
            Err(error) => {
                tracing::warn!(%error, "cannot read what became of a text");
                None
            }
        }
    }

    /// Stores an outcome of now, soon. Whoever asks meanwhile asks the memory first.
    pub(super) fn put_decision(&self, key: Key, decision: &Decision) {
        self.put_decision_of(key, decision, seconds_now());
    }

    /// Stores an outcome of `seconds` since the epoch.
    pub(super) fn put_decision_of(&self, key: Key, decision: &Decision, seconds: u64) {
        let Some(value) = outcomes::encode(decision, seconds) else { return };
        self.pending.add(key);
        if let Err(error) = self.records.try_send(Message::Decision(key, value)) {
            self.pending.remove(&key);
            if matches!(error, TrySendError::Full(_)) {
                tracing::debug!("what became of a text is not stored: the disk is too slow");
            }
        }
    }

    /// Stores an entry of the ledger: in the journal at once, by one small write, and in the file soon. Where too many wait
    /// it is lost, and counted.
    pub(super) fn put_entry(&self, entry: &Entry) {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed) & LARGEST_SERIAL;
        let Ok(record) = entries::record(entry, serial) else { return self.ledger.lose(1) };
        self.ledger.waiting.fetch_add(1, Ordering::Relaxed);
        let send = || self.records.try_send(Message::Entry(record.clone())).is_ok();
        if !self.journal.append(&record, send) {
            self.ledger.waiting.fetch_sub(1, Ordering::Relaxed);
            self.ledger.lose(1);
        }
    }

    /// Calls `each` with the entries from `from` up to `until`, in order, until it says that it has enough.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn entries(
        &self,
        from: Place,
        until: Place,
        each: impl FnMut(Place, Entry) -> bool,
    ) -> Result<(), StoreError> {
        entries::read(&self.database, from..until, each)
            .map_err(|error| StoreError::Unusable { file: "the ledger".into(), reason: chain(&error) })
    }

    /// Returns the first entries of the outbox, `most` at most.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn outbox(&self, most: usize) -> Result<Vec<OutboxRecord>, StoreError> {
        entries::outbox(&self.database, most).map_err(|error| of_outbox(&error))
    }

    /// Takes entries out of the outbox that the database has.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn remove_from_outbox(&self, records: &[OutboxRecord]) -> Result<(), StoreError> {
        entries::remove_from_outbox(&self.database, records).map_err(|error| of_outbox(&error))
    }

    /// Returns the number of entries in the outbox.
    pub(super) fn outbox_len(&self) -> usize {
        entries::outbox_len(&self.database).map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX))
    }

    /// Keeps what is stored for another time from now on, and forgets, soon, what is too old for it. This blocks where
    /// the writer is far behind.
    pub(super) fn retain(&self, retention: Retention) {
        self.tell(Message::Retain(retention));
    }

    /// Entries that wait to be written.
    pub(super) fn waiting(&self) -> usize {
        self.ledger.waiting.load(Ordering::Relaxed)
    }

    /// Entries that were lost since the file was opened.
    pub(super) fn lost(&self) -> u64 {
        self.ledger.lost.load(Ordering::Relaxed)
    }

    /// Returns whether the decision on a text is on its way to the disk.
    pub(super) fn is_pending(&self, key: &Key) -> bool {
        self.pending.contains(key)
    }

    /// Waits until all that was to be stored is on disk, or cannot be written. Where too much waits already, it returns at
    /// once.
    pub(super) async fn written(&self) {
        let (done, wait) = oneshot::channel();
        let done = Message::Flush(Box::new(move || done.send(()).unwrap_or_default()));
        if self.records.try_send(done).is_ok() {
            // As below.
            wait.await.unwrap_or_default();
        }
    }

    /// Waits until all that was to be stored is on disk. This blocks.
    pub(super) fn flush(&self) {
        let (done, wait) = channel();
        self.tell(Message::Flush(Box::new(move || done.send(()).unwrap_or_default())));
        // The writer is gone only after a panic, which is logged; then there is nothing to wait for.
        wait.recv().unwrap_or_default();
    }

    /// Hands over what must not be lost.
    fn tell(&self, message: Message) {
        // The writer ends only with the store.
        self.records.send(message).unwrap_or_default();
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.tell(Message::End);
        if let Some(writer) = self.writer.take() {
            writer.join().unwrap_or_default();
        }
    }
}

impl LedgerQueue {
    fn lose(&self, count: usize) {
        if self.lost.fetch_add(count as u64, Ordering::Relaxed) == 0 {
            tracing::error!("entries of the ledger are lost: the disk is too slow, or fails");
        }
    }
}

/// Decodes an entry of the ledger.
///
/// # Errors
/// It is none.
pub(super) fn entry_of(bytes: &[u8]) -> Result<Entry, StoreError> {
    entries::decode(bytes)
        .map_err(|error| StoreError::Database(format!("an entry of it makes no sense: {error}")))
}

fn of_outbox(error: &redb::Error) -> StoreError {
    StoreError::Unusable { file: "the outbox of the ledger".into(), reason: chain(error) }
}

/// Returns a random number from which entries are counted on. Those of two processes are as good as never the same.
fn random_number() -> Result<u64, getrandom::Error> {
    let mut bits = [0; 8];
    getrandom::fill(&mut bits)?;
    Ok(u64::from_le_bytes(bits))
}

/// Seconds since the epoch.
pub(super) fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

fn forget_old(database: &Database, retention: Retention) -> Result<(), redb::Error> {
    let oldest = |keep: Duration| seconds_now().saturating_sub(keep.as_secs());
    let transaction = database.begin_write()?;
    transaction
        .open_table(outcomes::TABLE)?
        .retain(|_, value| outcomes::decode(value).is_some_and(|(_, at)| at >= oldest(retention.outcomes)))?;
    entries::forget(&transaction, oldest(retention.entries))?;
    transaction.commit()?;
    Ok(())
}

/// Opens the journal beside `file`, and puts what a process that was killed has left there into the database.
fn open_journal(file: &Path, database: &Database, sink: Sink) -> Result<Journal, String> {
    let restore = |left: Vec<Record>| -> Result<(), redb::Error> {
        let transaction = database.begin_write()?;
        sink.restore(&transaction, left)?;
        Ok(transaction.commit()?)
    };
    let (journal, left) = Journal::open(file).map_err(|error| chain(&error))?;
    if !left.is_empty() {
        restore(left).map_err(|error| chain(&error))?;
    }
    journal.clear().map_err(|error| chain(&error))?;
    Ok(journal)
}

/// The thread that writes.
struct Writer {
    database: Arc<DatabaseFile>,
    pending: Arc<Pending>,
    ledger: Arc<LedgerQueue>,
    journal: Arc<Journal>,
    retention: Retention,
    /// The table that entries go to.
    sink: Sink,
}

/// A batch that is written at once.
#[derive(Default)]
struct Batch {
    outcomes: Vec<(Key, Vec<u8>)>,
    entries: Vec<Record>,
    /// The new retention times, where they have changed.
    retention: Option<Retention>,
    /// The callers that wait until the batch is written.
    waiting: Vec<Done>,
    /// Whether it is the last batch.
    last: bool,
}

impl Writer {
    fn run(mut self, received: &Receiver<Message>) {
        let mut sweep = Instant::now() + SWEEP;
        while let Some(batch) = batch::next::<Batch>(received, SWEEP) {
            self.write(&batch);
            if let Some(retention) = batch.retention.filter(|retention| *retention != self.retention) {
                self.retention = retention;
                sweep = Instant::now();
            }
            if Instant::now() >= sweep && !batch.last {
                sweep = Instant::now() + SWEEP;
                if let Err(error) = forget_old(&self.database, self.retention) {
                    tracing::warn!(%error, "cannot forget what is too old");
                }
            }
            let last = batch.last;
            batch.waiting.into_iter().for_each(|done| done());
            if last {
                return;
            }
        }
    }

    fn write(&self, batch: &Batch) {
        if batch.outcomes.is_empty() && batch.entries.is_empty() {
            return;
        }
        let write = || -> Result<(), redb::Error> {
            let transaction = self.database.begin_write()?;
            {
                let mut table = transaction.open_table(outcomes::TABLE)?;
                for (key, value) in &batch.outcomes {
                    table.insert(&key.0, &**value)?;
                }
            }
            self.sink.write(&transaction, &batch.entries)?;
            Ok(transaction.commit()?)
        };
        match write() {
            Ok(()) => self.journal.committed(batch.entries.len()),
            Err(error) => {
                tracing::warn!(%error, "cannot write to the proxy's file");
                self.journal.failed();
                self.ledger.lose(batch.entries.len());
            }
        }
        // What could not be written waits no more either: the requests go on.
        batch.outcomes.iter().for_each(|(key, _)| self.pending.remove(key));
        self.ledger.waiting.fetch_sub(batch.entries.len(), Ordering::Relaxed);
    }
}

impl batch::Batch for Batch {
    type Message = Message;

    fn is_due(&self) -> bool {
        !self.waiting.is_empty() || self.is_full()
    }

    fn is_full(&self) -> bool {
        self.last || self.outcomes.len() + self.entries.len() >= BATCH
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Decision(key, value) => self.outcomes.push((key, value)),
            Message::Entry(record) => self.entries.push(record),
            Message::Retain(retention) => self.retention = Some(retention),
            Message::Flush(done) => self.waiting.push(done),
            Message::End => self.last = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::decision::Tokens;

    const DAY: Duration = Duration::from_hours(24);
    const RETENTION: Retention = Retention { outcomes: DAY, entries: DAY };

    fn kept() -> Decision {
        Decision::Subset { ranges: [0..4, 9..12].into(), tokens: Tokens { before: 9, after: 3 } }
    }

    fn entry(milliseconds: u64, model: &str) -> Entry {
        Entry { milliseconds, model: model.into(), ..Entry::default() }
    }

    fn models(store: &Store) -> Vec<String> {
        let mut models = Vec::new();
        store
            .entries(Place::at(0), Place::at(u64::MAX), |_, entry| {
                models.push(entry.model);
                true
            })
            .unwrap();
        models
    }

    #[test]
    fn outcomes_are_there_after_a_restart_and_gone_when_they_are_old() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deep/proxy.redb");
        let store = Store::open(&file, RETENTION).unwrap();
        for (number, decision) in [(1, kept()), (2, Decision::Declined), (3, Decision::Unchanged)] {
            store.put_decision(Key([number; 32]), &decision);
        }
        let error = Store::open(&file, RETENTION).err().unwrap();
        assert!(matches!(error, StoreError::InUse(_)) && error.to_string().contains("WHITTLE_DATA_DIR"));
        drop(store);
        let store = Store::open(&file, RETENTION).unwrap();
        assert_eq!(store.decision(&Key([1; 32])).unwrap().0, kept());
        assert_eq!(store.decision(&Key([2; 32])).unwrap().0, Decision::Declined);
        assert_eq!(store.decision(&Key([3; 32])), None);
        store.put_decision_of(Key([1; 32]), &kept(), seconds_now() - 2 * DAY.as_secs());
        drop(store);
        let store = Store::open(&file, RETENTION).unwrap();
        assert_eq!((store.decision(&Key([1; 32])), store.decision(&Key([2; 32])).is_some()), (None, true));
    }

    #[test]
    fn entries_are_there_after_a_restart_each_once_and_gone_when_they_are_old() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("proxy.redb");
        let now = seconds_now() * 1000;
        let store = Store::open(&file, RETENTION).unwrap();
        store.put_entry(&entry(now - 2 * DAY.as_millis() as u64, "old"));
        (0..500).for_each(|_| store.put_entry(&entry(now, "same")));
        store.put_entry(&entry(now - 1, "before"));
        store.flush();
        assert_eq!((models(&store).len(), store.waiting(), store.lost()), (502, 0, 0));
        store.put_entry(&entry(now + 1, "last"));
        drop(store);
        let models = models(&Store::open(&file, RETENTION).unwrap());
        assert_eq!(models.len(), 502);
        assert_eq!([&models[0], &models[1], &models[501]], ["before", "same", "last"]);
    }

    #[test]
    fn a_file_that_is_damaged_in_200_ways_is_served_from_or_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("proxy.redb");
        let now = seconds_now() * 1000;
        let store = Store::open(&file, RETENTION).unwrap();
        (0..100).for_each(|number| store.put_decision(Key([number; 32]), &kept()));
        (0..200).for_each(|_| store.put_entry(&entry(now, "m")));
        drop(store);
        let whole = std::fs::read(&file).unwrap();
        let mut renewed = 0;
        for number in 0..200 {
            let mut bytes = whole.clone();
            crate::storage::damage(&mut bytes, number);
            std::fs::write(&file, bytes).unwrap();
            let store = Store::open(&file, RETENTION).unwrap();
            let known: Vec<Decision> = (0..100)
                .filter_map(|key| store.decision(&Key([key; 32])))
                .map(|(decision, _)| decision)
                .collect();
            assert!(
                known.iter().all(|decision| *decision == kept()),
                "{number}: what is known is what was put"
            );
            renewed += usize::from(known.is_empty());
            let before = models(&store).len();
            store.put_decision(Key([200; 32]), &kept());
            store.put_entry(&entry(now, "m"));
            store.flush();
            assert_eq!(
                store.decision(&Key([200; 32])).map(|(decision, _)| decision),
                Some(kept()),
                "{number}"
            );
            assert_eq!(models(&store).len(), before + 1, "{number}");
        }
        let names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let aside = names.filter(|name| name.to_string_lossy().contains(".damaged-")).count();
        assert!(aside > 100 && renewed >= aside, "{aside} of {renewed}");
    }

    #[test]
    fn a_shorter_time_takes_effect_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let long = Retention { outcomes: 30 * DAY, entries: 30 * DAY };
        let store = Store::open(&folder.path().join("proxy.redb"), long).unwrap();
        let now = seconds_now();
        for (days, name) in [(10, "old"), (2, "newer")] {
            let seconds = now - days * DAY.as_secs();
            store.put_entry(&entry(seconds * 1000, name));
            store.put_decision_of(Key([days as u8; 32]), &kept(), seconds);
        }
        store.retain(long);
        store.flush();
        assert_eq!((models(&store).len(), store.decision(&Key([10; 32])).is_some()), (2, true));
        store.retain(Retention { outcomes: 5 * DAY, entries: 5 * DAY });
        store.flush();
        assert_eq!(models(&store), ["newer"]);
        assert_eq!((store.decision(&Key([10; 32])), store.decision(&Key([2; 32])).is_some()), (None, true));
    }

    #[test]
    fn entries_that_a_killed_process_had_not_committed_are_there_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("proxy.redb");
        let store = Store::open(&file, RETENTION).unwrap();
        let now = seconds_now() * 1000;
        // The writer gets no further as long as another transaction is open.
        let other = store.database.begin_write().unwrap();
        (0..30).for_each(|number| store.put_entry(&entry(now + number / 10, &format!("m{number}"))));
        let journal = std::fs::read(folder.path().join("proxy.redb.journal-0")).unwrap();
        drop(other);
        drop(store);
        let all: Vec<String> = (0..30).map(|number| format!("m{number}")).collect();
        // Killed after the commit, and before it.
        for begun in [false, true] {
            if begun {
                std::fs::remove_file(&file).unwrap();
            }
            std::fs::write(folder.path().join("proxy.redb.journal-1"), &journal).unwrap();
            let store = Store::open(&file, RETENTION).unwrap();
            assert_eq!(models(&store), all, "{begun}");
        }
        let empty = |name: &str| folder.path().join(name).metadata().unwrap().len() == 0;
        assert!(empty("proxy.redb.journal-0") && empty("proxy.redb.journal-1"));
    }

    #[test]
    fn an_outbox_has_each_entry_once_until_it_is_taken_out() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("proxy.redb");
        let now = seconds_now() * 1000;
        let store = Store::open(&file, RETENTION).unwrap();
        store.put_entry(&entry(now, "local"));
        drop(store);
        let store = Store::open_with_outbox(&file, RETENTION).unwrap();
        assert_eq!((store.outbox(9).unwrap().len(), store.outbox_len()), (0, 0));
        (0..30).for_each(|_| store.put_entry(&entry(now, "m")));
        let journal = std::fs::read(folder.path().join("proxy.redb.journal-0")).unwrap();
        store.flush();
        let records = store.outbox(100).unwrap();
        let places: std::collections::BTreeSet<Place> = records.iter().map(|record| record.place).collect();
        assert_eq!((records.len(), places.len(), store.outbox_len()), (30, 30, 30));
        assert!(records.iter().all(|record| entry_of(&record.entry).unwrap().model == "m"));
        drop(store);
        // Killed after the commit: what the journal has is there already.
        std::fs::write(folder.path().join("proxy.redb.journal-1"), &journal).unwrap();
        let store = Store::open_with_outbox(&file, RETENTION).unwrap();
        assert_eq!(store.outbox(100).unwrap(), records);
        store.remove_from_outbox(&records[..20]).unwrap();
        assert_eq!(store.outbox(5).unwrap(), records[20..25]);
        store.remove_from_outbox(&records[20..]).unwrap();
        drop(store);
        let store = Store::open(&file, RETENTION).unwrap();
        assert_eq!((models(&store), store.outbox_len()), (vec!["local".to_owned()], 0));
    }

    #[test]
    fn what_cannot_wait_any_more_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("proxy.redb"), RETENTION).unwrap();
        // The writer gets no further than its first batch as long as another transaction is open.
        let other = store.database.begin_write().unwrap();
        let (now, surplus) = (seconds_now() * 1000, 10);
        let all = WAITING + BATCH + surplus;
        (0..all).for_each(|_| store.put_entry(&entry(now, "m")));
        // The writer may still fill its batch, so one of these may be taken, but not all.
        let key = |number: usize| {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&number.to_le_bytes());
            Key(key)
        };
        (0..=BATCH).for_each(|number| store.put_decision(key(number), &kept()));
        assert!(store.lost() >= surplus as u64 && store.waiting() + store.lost() as usize == all);
        drop(other);
        store.flush();
        assert_eq!((models(&store).len() + store.lost() as usize, store.waiting()), (all, 0));
        assert!((0..=BATCH).any(|number| store.decision(&key(number)).is_none()));
    }
}
