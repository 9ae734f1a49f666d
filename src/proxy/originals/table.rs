//! The tables of originals: encrypted texts, when each was last sent, and their order by that.

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use super::cipher::Place;

/// The encrypted texts.
const VALUES: TableDefinition<&Place, &[u8]> = TableDefinition::new("values.1");
/// The seconds since the epoch at which each was last sent, and its bytes.
const SENT: TableDefinition<&Place, (u64, u64)> = TableDefinition::new("sent.1");
/// The places in the order of these seconds.
const ORDER: TableDefinition<(u64, &Place), ()> = TableDefinition::new("order.1");
/// The value by which the secret is known that all of them are encrypted with.
const CHECK: TableDefinition<u8, &[u8; 32]> = TableDefinition::new("check.1");

/// The bounds on the originals that are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// Seconds after it was last sent.
    pub(super) seconds: u64,
    /// Bytes of all of them.
    pub(super) bytes: u64,
}

impl Limits {
    /// Whether an original is still kept that was last sent at `sent`. One of a clock that was far ahead is not.
    pub(super) const fn holds(self, sent: u64, now: u64) -> bool {
        sent.abs_diff(now) <= self.seconds
    }
}

/// Makes the tables, and empties them where they were filled with another secret, for nothing in them can be read.
pub(super) fn prepare(database: &Database, check: &[u8; 32]) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    let known = transaction.open_table(CHECK)?.get(0)?.map(|known| *known.value());
    if known.is_some_and(|known| known != *check) {
        tracing::warn!("originals were encrypted with another key: they are removed");
        transaction.delete_table(VALUES)?;
        transaction.delete_table(SENT)?;
        transaction.delete_table(ORDER)?;
    }
    transaction.open_table(CHECK)?.insert(0, check)?;
    transaction.open_table(VALUES)?;
    transaction.open_table(SENT)?;
    transaction.open_table(ORDER)?;
    Ok(transaction.commit()?)
}

/// The bytes of all that is kept.
pub(super) fn bytes(database: &Database) -> Result<u64, redb::Error> {
    let table = database.begin_read()?.open_table(SENT)?;
    let mut bytes = 0;
    for stored in table.iter()? {
        bytes += stored?.1.value().1;
    }
    Ok(bytes)
}

/// The encrypted text at a place, if it still holds.
pub(super) fn get(
    database: &Database,
    place: &Place,
    limits: Limits,
    now: u64,
) -> Result<Option<Vec<u8>>, redb::Error> {
    let transaction = database.begin_read()?;
    let sent = transaction.open_table(SENT)?.get(place)?.map(|sent| sent.value().0);
    if !sent.is_some_and(|sent| limits.holds(sent, now)) {
        return Ok(None);
    }
    Ok(transaction.open_table(VALUES)?.get(place)?.map(|value| value.value().to_vec()))
}

/// A transaction, and the bytes that are kept once it is done.
pub(super) struct Writing {
    transaction: WriteTransaction,
    bytes: u64,
}

impl Writing {
    /// Begins a transaction on a file that keeps so many `bytes`.
    pub(super) fn begin(database: &Database, bytes: u64) -> Result<Self, redb::Error> {
        Ok(Self { transaction: database.begin_write()?, bytes })
    }

    /// Takes note that the original at `place` is sent `now`, and stores it by `seal` where there is none. Whatever is
    /// there already stays.
    pub(super) fn put(
        &mut self,
        place: &Place,
        now: u64,
        seal: impl FnOnce() -> Option<Vec<u8>>,
    ) -> Result<(), redb::Error> {
        let (mut sent, mut order) = (self.transaction.open_table(SENT)?, self.transaction.open_table(ORDER)?);
        let known = sent.get(place)?.map(|known| known.value());
        let bytes = if let Some((before, bytes)) = known {
            order.remove((before, place))?;
            bytes
        } else {
            let Some(sealed) = seal() else { return Ok(()) };
            self.transaction.open_table(VALUES)?.insert(place, &*sealed)?;
            self.bytes += sealed.len() as u64;
            sealed.len() as u64
        };
        sent.insert(place, (now, bytes))?;
        order.insert((now, place), ())?;
        Ok(())
    }

    /// Removes what is too old, and the oldest of what is too much. Gives their places.
    pub(super) fn forget(&mut self, limits: Limits, now: u64) -> Result<Vec<Place>, redb::Error> {
        let (mut sent, mut order) = (self.transaction.open_table(SENT)?, self.transaction.open_table(ORDER)?);
        let mut values = self.transaction.open_table(VALUES)?;
        let mut gone = Vec::new();
        loop {
            let first = order.first()?.map(|(key, _)| own(key.value()));
            let last = order.last()?.map(|(key, _)| own(key.value()));
            let old = |entry: &(u64, Place)| !limits.holds(entry.0, now);
            let next = first.filter(|first| self.bytes > limits.bytes || old(first)).or(last.filter(old));
            let Some((at, place)) = next else { return Ok(gone) };
            order.remove((at, &place))?;
            values.remove(&place)?;
            let bytes = sent.remove(&place)?.map_or(0, |sent| sent.value().1);
            self.bytes = self.bytes.saturating_sub(bytes);
            gone.push(place);
        }
    }

    /// Ends the transaction. Gives the bytes that are kept now.
    pub(super) fn commit(self) -> Result<u64, redb::Error> {
        self.transaction.commit()?;
        Ok(self.bytes)
    }
}

const fn own((at, place): (u64, &Place)) -> (u64, Place) {
    (at, *place)
}
