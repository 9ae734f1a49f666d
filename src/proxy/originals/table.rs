//! The tables of originals: encrypted texts, when each was last sent and by whom, and their order by that.

use std::collections::HashMap;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use super::cipher::{Owner, Place};

/// The encrypted texts.
const VALUES: TableDefinition<&Place, &[u8]> = TableDefinition::new("values.2");
/// The seconds since the epoch at which each was last sent, its bytes, and its owner.
const SENT: TableDefinition<&Place, (u64, u64, Owner)> = TableDefinition::new("sent.2");
/// The places in the order of these seconds.
const ORDER: TableDefinition<(u64, &Place), ()> = TableDefinition::new("order.2");
/// The places of each owner in the same order.
const OWNED: TableDefinition<(Owner, u64, &Place), ()> = TableDefinition::new("owned.2");
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

/// The bytes that are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// All of them.
    pub(super) bytes: u64,
    /// The bytes of each owner.
    by_owner: HashMap<Owner, u64>,
}

impl Kept {
    fn add(&mut self, owner: Owner, bytes: u64) {
        self.bytes += bytes;
        *self.by_owner.entry(owner).or_default() += bytes;
    }

    fn take(&mut self, owner: Owner, bytes: u64) {
        self.bytes = self.bytes.saturating_sub(bytes);
        if let Some(held) = self.by_owner.get_mut(&owner) {
            *held = held.saturating_sub(bytes);
            if *held == 0 {
                self.by_owner.remove(&owner);
            }
        }
    }

    /// The owner of the most bytes.
    fn largest(&self) -> Option<Owner> {
        self.by_owner.iter().max_by_key(|(owner, bytes)| (**bytes, **owner)).map(|(owner, _)| *owner)
    }
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
        transaction.delete_table(OWNED)?;
    }
    transaction.open_table(CHECK)?.insert(0, check)?;
    transaction.open_table(VALUES)?;
    transaction.open_table(SENT)?;
    transaction.open_table(ORDER)?;
    transaction.open_table(OWNED)?;
    Ok(transaction.commit()?)
}

/// The bytes of all that is kept.
pub(super) fn kept(database: &Database) -> Result<Kept, redb::Error> {
    let table = database.begin_read()?.open_table(SENT)?;
    let mut kept = Kept::default();
    for stored in table.iter()? {
        let (_, bytes, owner) = stored?.1.value();
        kept.add(owner, bytes);
    }
    Ok(kept)
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
    kept: Kept,
}

impl Writing {
    /// Begins a transaction on a file that keeps so much.
    pub(super) fn begin(database: &Database, kept: Kept) -> Result<Self, redb::Error> {
        Ok(Self { transaction: database.begin_write()?, kept })
    }

    /// Takes note that the original at `place` is sent `now`, and stores it for its owner by `seal` where there is none.
    /// Whatever is there already stays.
    pub(super) fn put(
        &mut self,
        (place, owner): (&Place, Owner),
        now: u64,
        seal: impl FnOnce() -> Option<Vec<u8>>,
    ) -> Result<(), redb::Error> {
        let (mut sent, mut order) = (self.transaction.open_table(SENT)?, self.transaction.open_table(ORDER)?);
        let mut owned = self.transaction.open_table(OWNED)?;
        let known = sent.get(place)?.map(|known| known.value());
        let bytes = if let Some((before, bytes, owner)) = known {
            order.remove((before, place))?;
            owned.remove((owner, before, place))?;
            bytes
        } else {
            let Some(sealed) = seal() else { return Ok(()) };
            self.transaction.open_table(VALUES)?.insert(place, &*sealed)?;
            self.kept.add(owner, sealed.len() as u64);
            sealed.len() as u64
        };
        sent.insert(place, (now, bytes, owner))?;
        order.insert((now, place), ())?;
        owned.insert((owner, now, place), ())?;
        Ok(())
    }

    /// Removes what is too old, and of what is too much the oldest of the owner who has most, again and again. Gives their
    /// places.
    pub(super) fn forget(&mut self, limits: Limits, now: u64) -> Result<Vec<Place>, redb::Error> {
        let (mut sent, mut order) = (self.transaction.open_table(SENT)?, self.transaction.open_table(ORDER)?);
        let mut owned = self.transaction.open_table(OWNED)?;
        let mut values = self.transaction.open_table(VALUES)?;
        let mut gone = Vec::new();
        loop {
            let first = order.first()?.map(|(key, _)| own(key.value()));
            let last = order.last()?.map(|(key, _)| own(key.value()));
            let old = |entry: &(u64, Place)| !limits.holds(entry.0, now);
            let mut next = first.filter(old).or(last.filter(old));
            if next.is_none() && self.kept.bytes > limits.bytes {
                let Some(owner) = self.kept.largest() else { return Ok(gone) };
                let mut theirs = owned.range((owner, 0, &[0; 32])..)?;
                let oldest = theirs.next().transpose()?.map(|(key, _)| {
                    let (_, at, place) = key.value();
                    (at, *place)
                });
                next = oldest;
            }
            let Some((at, place)) = next else { return Ok(gone) };
            order.remove((at, &place))?;
            values.remove(&place)?;
            if let Some((_, bytes, owner)) = sent.remove(&place)?.map(|sent| sent.value()) {
                owned.remove((owner, at, &place))?;
                self.kept.take(owner, bytes);
            }
            gone.push(place);
        }
    }

    /// Ends the transaction. Gives what is kept now.
    pub(super) fn commit(self) -> Result<Kept, redb::Error> {
        self.transaction.commit()?;
        Ok(self.kept)
    }
}

const fn own((at, place): (u64, &Place)) -> (u64, Place) {
    (at, *place)
}
