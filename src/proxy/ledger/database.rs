//! The ledger in the database that replicas share.
//!
//! An entry must outlive a kill that comes right after the last byte of its answer, and no answer should wait for the
//! database. So an entry goes into the journal of the data folder first, by one small write, as that of a local ledger
//! does; the store's writer commits it to an outbox there, and a thread takes the outbox into the database, some 200 ms
//! after the answer. Committing to the database before the last byte would cost each answer a round trip and a commit, and
//! would stall all of them, or lose entries, while the database is away; the outbox waits for it as long as there is disk.
//!
//! Each entry has a random number from the start. Whatever is sent twice, as after a kill between the commit there and the
//! removal here, is there once: the database leaves alone what it has. Only an entry whose data folder is lost within those
//! 200 ms, with its machine, is lost.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Entry;
use super::stores::{LedgerSource, LedgerStore};
use crate::index::{LedgerRow, Postgres};
use crate::proxy::store::{OutboxRecord, Place, Retention, Store, entry_of, seconds_now};
use crate::proxy::store_error::StoreError;

/// Time between two looks at the outbox.
const PAUSE: Duration = Duration::from_millis(100);
/// Time between two attempts while the database cannot be used.
const AWAY_PAUSE: Duration = Duration::from_millis(500);
/// The longest time that somebody waits until the outbox is empty.
const FLUSH_TIME: Duration = Duration::from_secs(5);
/// Entries that are sent or read at once.
const PAGE: usize = 2_000;
/// Time between two looks for entries that are too old.
const SWEEP: Duration = Duration::from_hours(1);

/// The table with the entries of all replicas.
#[derive(Debug, Clone)]
pub(in crate::proxy) struct LedgerTable(Postgres);

/// The ledger of all replicas, with this process's outbox.
pub(in crate::proxy) struct SharedLedger {
    table: LedgerTable,
    store: Arc<Store>,
    retention: Arc<Mutex<Retention>>,
    messages: Sender<Message>,
    relay: Option<JoinHandle<()>>,
}

/// Called once the outbox is empty, or with the reason why it is not.
type Done = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// A message to the relay.
enum Message {
    /// Empty the outbox now, and say so.
    Send(Done),
    /// The ledger is gone.
    End,
}

impl LedgerTable {
    pub(in crate::proxy) fn new(database: Postgres) -> Self {
        Self(database)
    }
}

/// Returns a number as a `bigint`; one that is too large for it is as good as its largest.
fn bigint(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl LedgerSource for LedgerTable {
    fn entries(
        &self,
        from: Place,
        until: Place,
        each: &mut dyn FnMut(Place, Entry) -> bool,
    ) -> Result<(), StoreError> {
        let place = |Place(time, number)| (bigint(time), bigint(number));
        let mut from = from;
        loop {
            let rows = self.0.entries(place(from), place(until), PAGE)?;
            for row in &rows {
                let here = Place(row.time.cast_unsigned(), row.number.cast_unsigned());
                if !each(here, entry_of(&row.entry)?) {
                    return Ok(());
                }
                from = here.after();
            }
            if rows.len() < PAGE {
                return Ok(());
            }
        }
    }

    fn spent(&self, from: u64, until: u64) -> Result<HashMap<String, i64>, StoreError> {
        Ok(self.0.spent(bigint(from), bigint(until))?.into_iter().collect())
    }
}

impl SharedLedger {
    /// The ledger in `database` of the requests whose entries `store` keeps in its outbox meanwhile.
    ///
    /// # Errors
    /// No thread can be started.
    pub(in crate::proxy) fn new(
        database: Postgres,
        store: Arc<Store>,
        retention: Retention,
    ) -> std::io::Result<Self> {
        let table = LedgerTable::new(database);
        let (messages, received) = channel();
        let retention = Arc::new(Mutex::new(retention));
        let relay = OutboxRelay {
            table: table.clone(),
            store: Arc::clone(&store),
            retention: Arc::clone(&retention),
            away: false,
            sweep: Instant::now(),
        };
        let relay =
            std::thread::Builder::new().name("whittle-ledger".into()).spawn(move || relay.run(&received))?;
        Ok(Self { table, store, retention, messages, relay: Some(relay) })
    }
}

impl Drop for SharedLedger {
    fn drop(&mut self) {
        // The relay ends only with the ledger.
        self.messages.send(Message::End).unwrap_or_default();
        if let Some(relay) = self.relay.take() {
            relay.join().unwrap_or_default();
        }
    }
}

impl LedgerSource for SharedLedger {
    fn entries(
        &self,
        from: Place,
        until: Place,
        each: &mut dyn FnMut(Place, Entry) -> bool,
    ) -> Result<(), StoreError> {
        self.table.entries(from, until, each)
    }

    fn spent(&self, from: u64, until: u64) -> Result<HashMap<String, i64>, StoreError> {
        // What a process that was killed has left here counts, too.
        self.flush()?;
        self.table.spent(from, until)
    }
}

impl LedgerStore for SharedLedger {
    fn put(&self, entry: &Entry) {
        self.store.put_entry(entry);
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.store.flush();
        let (sender, receiver) = channel();
        let done: Done = Box::new(move |sent| sender.send(sent).unwrap_or_default());
        self.messages.send(Message::Send(done)).unwrap_or_default();
        // The relay is gone only after a panic, which is logged.
        receiver.recv_timeout(FLUSH_TIME).unwrap_or_else(|_| {
            Err(StoreError::Database(format!("it took no entry for {} s", FLUSH_TIME.as_secs())))
        })
    }

    fn retain(&self, retention: Retention) {
        *self.retention.lock().unwrap_or_else(PoisonError::into_inner) = retention;
        self.store.retain(retention);
    }

    fn waiting(&self) -> usize {
        self.store.waiting() + self.store.outbox_len()
    }

    fn lost(&self) -> u64 {
        self.store.lost()
    }
}

/// The thread that takes entries from the outbox into the database.
struct OutboxRelay {
    table: LedgerTable,
    store: Arc<Store>,
    retention: Arc<Mutex<Retention>>,
    /// Whether the last attempt failed.
    away: bool,
    /// The time of the next look for entries, and decisions on texts, that are too old.
    sweep: Instant,
}

impl OutboxRelay {
    fn run(mut self, received: &Receiver<Message>) {
        let mut last = false;
        while !last {
            let mut waiting = Vec::new();
            let mut take = |message| match message {
                Message::Send(done) => waiting.push(done),
                Message::End => last = true,
            };
            match received.recv_timeout(if self.away { AWAY_PAUSE } else { PAUSE }) {
                Ok(message) => take(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => take(Message::End),
            }
            while let Ok(message) = received.try_recv() {
                take(message);
            }
            let sent = self.send();
            self.note(&sent);
            for done in waiting {
                done(sent.clone());
            }
        }
    }

    /// Empties the outbox.
    fn send(&mut self) -> Result<(), StoreError> {
        loop {
            let records = self.store.outbox(PAGE)?;
            if !records.is_empty() {
                self.table.0.add_entries(&rows(&records))?;
                self.store.remove_from_outbox(&records)?;
            }
            if records.len() < PAGE {
                break;
            }
        }
        if Instant::now() >= self.sweep {
            let keep = *self.retention.lock().unwrap_or_else(PoisonError::into_inner);
            let oldest = |keep: Duration| seconds_now().saturating_sub(keep.as_secs());
            self.table.0.forget_entries(bigint(oldest(keep.entries).saturating_mul(1000)))?;
            self.table.0.forget_decisions(bigint(oldest(keep.outcomes)))?;
            self.sweep = Instant::now() + SWEEP;
        }
        Ok(())
    }

    /// Notes whether the database can be used, on one line of the log for each time that it is lost or comes back.
    fn note(&mut self, sent: &Result<(), StoreError>) {
        match (self.away, sent) {
            (false, Err(error)) => {
                tracing::error!(%error, "entries of the ledger wait in the data folder until the database is back");
            }
            (true, Ok(())) => tracing::info!("entries of the ledger go into the database again"),
            _ => {}
        }
        self.away = sent.is_err();
    }
}

/// Returns entries as the database has them. One that cannot be read is left out.
fn rows(records: &[OutboxRecord]) -> Vec<LedgerRow> {
    let row = |record: &OutboxRecord| {
        let entry = entry_of(&record.entry)
            .inspect_err(|error| tracing::error!(%error, "an entry of the ledger is left out"));
        let (Entry { key, cost, .. }, Place(time, number)) = (entry.ok()?, record.place);
        let entry = record.entry.clone();
        Some(LedgerRow { time: bigint(time), number: bigint(number), key, cost, entry })
    };
    records.iter().filter_map(row).collect()
}
