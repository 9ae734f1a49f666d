//! The encoding of the ledger's entries, ordered by time.

use std::ops::Range;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use crate::proxy::ledger::entry::Entry;

const TABLE: TableDefinition<(u64, u64), &[u8]> = TableDefinition::new("ledger.1");

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

pub(super) fn write(transaction: &WriteTransaction, entries: &[Entry]) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(TABLE)?;
    for entry in entries {
        // A clock may go back: an entry that is there already must not be written over.
        let time = entry.milliseconds;
        let last = table.range((time, 0)..=(time, u64::MAX))?.next_back().transpose()?;
        let number = last.map_or(0, |(place, _)| place.value().1 + 1);
        let value = postcard::to_allocvec(entry).map_err(|error| corrupted(&error))?;
        table.insert((time, number), &*value)?;
    }
    Ok(())
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
        let entry = postcard::from_bytes(value.value()).map_err(|error| corrupted(&error))?;
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

fn corrupted(error: &postcard::Error) -> redb::Error {
    redb::Error::Corrupted(format!("an entry of the ledger: {error}"))
}
