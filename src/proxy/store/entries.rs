//! The encoding of the ledger's entries, ordered by time, and the outbox of those that belong into a database.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use redb::{
    Database, Durability, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition,
    TableError, WriteTransaction,
};

use crate::proxy::ledger::entry::Entry;

const TABLE: TableDefinition<(u64, u64), &[u8]> = TableDefinition::new("ledger.1");
/// Entries by their milliseconds and their own numbers.
const OUTBOX: TableDefinition<(u64, u64), &[u8]> = TableDefinition::new("outbox.1");

/// The table that entries go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sink {
    /// The ledger of this file.
    Ledger,
    /// The outbox, from which they are taken into a database.
    Outbox,
}

/// An entry in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::proxy) struct OutboxRecord {
    /// The key of the entry, wherever it is stored.
    pub(in crate::proxy) place: Place,
    /// The encoded entry.
    pub(in crate::proxy) entry: Vec<u8>,
}

/// The key of an entry: milliseconds since the epoch, and a number that tells entries of one millisecond apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::proxy) struct Place(pub(in crate::proxy) u64, pub(in crate::proxy) u64);

impl Place {
    /// Returns the key before all entries of that millisecond.
    pub(in crate::proxy) fn at(milliseconds: u64) -> Self {
        Self(milliseconds, 0)
    }

    /// The next one.
    pub(in crate::proxy) fn after(self) -> Self {
        match self.1.checked_add(1) {
            Some(number) => Self(self.0, number),
            None => Self(self.0.saturating_add(1), 0),
        }
    }
}

/// The milliseconds of an entry, and the entry as it is stored.
pub(super) type Record = (u64, Vec<u8>);

/// Encodes an entry, which gets a number of its own.
pub(super) fn record(entry: &Entry, serial: u64) -> Result<Record, postcard::Error> {
    Ok((entry.milliseconds, postcard::to_extend(&serial, encode(entry)?)?))
}

impl Sink {
    /// Stores entries.
    pub(super) fn write(self, transaction: &WriteTransaction, records: &[Record]) -> Result<(), redb::Error> {
        match self {
            Self::Ledger => write(transaction, records),
            Self::Outbox => write_to_outbox(transaction, records),
        }
    }

    /// Stores those of `records` that are not there yet.
    pub(super) fn restore(
        self,
        transaction: &WriteTransaction,
        records: Vec<Record>,
    ) -> Result<(), redb::Error> {
        match self {
            Self::Ledger => restore(transaction, records),
            // One that was in the outbox before is what the database has already, and leaves as it is.
            Self::Outbox => write_to_outbox(transaction, &records),
        }
    }
}

fn write_to_outbox(transaction: &WriteTransaction, records: &[Record]) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(OUTBOX)?;
    for (time, value) in records {
        let serial = decode(value).map_err(|error| corrupted(&error))?.serial;
        table.insert((*time, serial.unwrap_or_else(|| derived_serial(value))), &**value)?;
    }
    Ok(())
}

/// The number of an entry that was encoded before entries had one.
fn derived_serial(value: &[u8]) -> u64 {
    let hash = blake3::hash(value);
    hash.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes) >> 1)
}

/// Returns the first entries of the outbox, `most` at most.
pub(super) fn outbox(database: &Database, most: usize) -> Result<Vec<OutboxRecord>, redb::Error> {
    let table = match database.begin_read()?.open_table(OUTBOX) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        table => table?,
    };
    let record = |stored: Result<(redb::AccessGuard<'_, _>, redb::AccessGuard<'_, &[u8]>), _>| {
        let (place, value): (redb::AccessGuard<'_, (u64, u64)>, _) = stored?;
        let (time, number) = place.value();
        Ok(OutboxRecord { place: Place(time, number), entry: value.value().to_vec() })
    };
    table.iter()?.take(most).map(record).collect()
}

/// Returns the number of entries in the outbox.
pub(super) fn outbox_len(database: &Database) -> Result<u64, redb::Error> {
    match database.begin_read()?.open_table(OUTBOX) {
        Err(TableError::TableDoesNotExist(_)) => Ok(0),
        table => Ok(table?.len()?),
    }
}

/// Takes entries out of the outbox. A crash may bring them back: then they are sent once more.
pub(super) fn remove_from_outbox(database: &Database, records: &[OutboxRecord]) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::None)?;
    {
        let mut table = transaction.open_table(OUTBOX)?;
        for OutboxRecord { place: Place(time, number), .. } in records {
            table.remove((*time, *number))?;
        }
    }
    Ok(transaction.commit()?)
}

fn write(transaction: &WriteTransaction, records: &[Record]) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(TABLE)?;
    for (time, value) in records {
        // A clock may go back: an entry that is there already must not be written over.
        let last = table.range((*time, 0)..=(*time, u64::MAX))?.next_back().transpose()?;
        let number = last.map_or(0, |(place, _)| place.value().1 + 1);
        table.insert((*time, number), &**value)?;
    }
    Ok(())
}

/// Writes those of `records` that are not there yet.
fn restore(transaction: &WriteTransaction, mut records: Vec<Record>) -> Result<(), redb::Error> {
    let table = transaction.open_table(TABLE)?;
    // Two requests may have the same id, and come in the same millisecond: as many are known as are stored.
    let mut known: HashMap<Record, usize> = HashMap::new();
    for (time, value) in records.iter().collect::<HashSet<_>>() {
        for stored in table.range((*time, 0)..=(*time, u64::MAX))? {
            if stored?.1.value() == value {
                *known.entry((*time, value.clone())).or_default() += 1;
            }
        }
    }
    drop(table);
    records.retain(|record| match known.get_mut(record) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    });
    write(transaction, &records)
}

pub(super) fn read(
    database: &Database,
    places: Range<Place>,
    mut each: impl FnMut(Place, Entry) -> bool,
) -> Result<(), redb::Error> {
    let table = database.begin_read()?.open_table(TABLE)?;
    let Range { start, end } = places;
    if start >= end {
        return Ok(());
    }
    for stored in table.range((start.0, start.1)..(end.0, end.1))? {
        let (place, value) = stored?;
        let (time, number) = place.value();
        let entry = decode(value.value()).map_err(|error| corrupted(&error))?;
        if !each(Place(time, number), entry) {
            break;
        }
    }
    Ok(())
}

/// Takes out what is older than `oldest`, in seconds since the epoch.
pub(super) fn forget(transaction: &WriteTransaction, oldest: u64) -> Result<(), redb::Error> {
    transaction.open_table(TABLE)?.retain_in(..(oldest.saturating_mul(1000), 0), |_, _| false)?;
    Ok(())
}

/// The entry as it always was, and behind it what was added since: either reader understands what the other wrote.
fn encode(entry: &Entry) -> Result<Vec<u8>, postcard::Error> {
    let more = postcard::to_extend(&entry.more, postcard::to_allocvec(entry)?)?;
    postcard::to_extend(&entry.reason, more)
}

pub(super) fn decode(bytes: &[u8]) -> Result<Entry, postcard::Error> {
    let (mut entry, rest) = postcard::take_from_bytes::<Entry>(bytes)?;
    if !rest.is_empty() {
        let (more, rest) = postcard::take_from_bytes(rest)?;
        entry.more = more;
        if !rest.is_empty() {
            let (reason, rest) = postcard::take_from_bytes(rest)?;
            entry.reason = reason;
            entry.serial = if rest.is_empty() { None } else { Some(postcard::from_bytes(rest)?) };
        }
    }
    Ok(entry)
}

fn corrupted(error: &postcard::Error) -> redb::Error {
    redb::Error::Corrupted(format!("an entry of the ledger: {error}"))
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::proxy::ledger::entry::{More, Part};
    use crate::wire::Usage;

    /// An entry as the first versions wrote and read it.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct First {
        milliseconds: u64,
        request: String,
        key: Option<String>,
        model: String,
        upstream: String,
        status: u16,
        texts: (u64, u64),
        usage: Usage,
        estimated: bool,
        compressor: u64,
        cost: Option<i64>,
        saving: Option<i64>,
    }

    fn first() -> First {
        First {
            milliseconds: 1_700_000_000_000,
            request: "r-1".into(),
            key: Some("k".into()),
            model: "m".into(),
            upstream: "u".into(),
            status: 200,
            texts: (900, 300),
            usage: Usage { input: 5, output: 6, cache_read: 7, cache_write: 8 },
            estimated: true,
            compressor: 9,
            cost: Some(-10),
            saving: None,
        }
    }

    #[test]
    fn entries_of_the_first_versions_are_read_and_theirs_read_ours() {
        let old = postcard::to_allocvec(&first()).unwrap();
        let mut entry = decode(&old).unwrap();
        assert_eq!((entry.texts, entry.usage.cache_write, entry.cost), ((900, 300), 8, Some(-10)));
        assert_eq!((&entry.more, &entry.reason), (&More::default(), &None));
        entry.reason = Some("small".into());
        entry.more.folded = vec![Part { rule: "repeats".into(), kind: "code".into(), tokens: 600 }];
        let new = encode(&entry).unwrap();
        assert_eq!(decode(&new).unwrap(), entry);
        assert_eq!(postcard::from_bytes::<First>(&new).unwrap(), first());
        assert!(decode(&new[..new.len() - 2]).is_err());
        // With a number, as `record` writes them; without a reason, as the second versions did.
        let (_, numbered) = record(&entry, u64::MAX >> 1).unwrap();
        assert_eq!(decode(&numbered).unwrap(), Entry { serial: Some(u64::MAX >> 1), ..entry.clone() });
        assert_eq!(postcard::from_bytes::<First>(&numbered).unwrap(), first());
        let second = postcard::to_extend(&entry.more, postcard::to_allocvec(&entry).unwrap()).unwrap();
        assert_eq!(decode(&second).unwrap(), Entry { reason: None, ..entry });
    }
}
