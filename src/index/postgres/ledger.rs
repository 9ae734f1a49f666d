//! The ledger of requests in a database, as rows: what an entry says is for `proxy` to say.

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::link::Postgres;
use super::measure::Access;
use super::numbers::{bigint, column};
use crate::index::IndexError;

/// An entry as the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LedgerRow {
    /// Milliseconds since the epoch.
    pub(crate) time: i64,
    /// Tells entries of one millisecond apart.
    pub(crate) number: i64,
    /// The id of the key.
    pub(crate) key: Option<String>,
    /// Billionths of a dollar.
    pub(crate) cost: Option<i64>,
    pub(crate) entry: Vec<u8>,
}

impl Postgres {
    /// Adds entries, all or none, leaving those as they are that are there already. Blocks.
    pub(crate) fn add_entries(&self, rows: &[LedgerRow]) -> Result<(), IndexError> {
        let times: Vec<i64> = rows.iter().map(|row| row.time).collect();
        let numbers: Vec<i64> = rows.iter().map(|row| row.number).collect();
        let keys: Vec<Option<&str>> = rows.iter().map(|row| row.key.as_deref()).collect();
        let costs: Vec<Option<i64>> = rows.iter().map(|row| row.cost).collect();
        let entries: Vec<&[u8]> = rows.iter().map(|row| &*row.entry).collect();
        let insert = "INSERT INTO ledger (time, number, key, cost, entry) SELECT * FROM \
                      unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::bytea[]) ON CONFLICT DO NOTHING";
        let values = [
            (&times as _, Type::INT8_ARRAY),
            (&numbers as _, Type::INT8_ARRAY),
            (&keys as _, Type::TEXT_ARRAY),
            (&costs as _, Type::INT8_ARRAY),
            (&entries as _, Type::BYTEA_ARRAY),
        ];
        self.transact(Access::Write, async |session| session.query(insert, &values).await.map(drop))
    }

    /// Returns the first entries, `most` at most, from one time and number up to another, in their order. Blocks.
    pub(crate) fn entries(
        &self,
        from: (i64, i64),
        until: (i64, i64),
        most: usize,
    ) -> Result<Vec<LedgerRow>, IndexError> {
        let some = "SELECT time, number, key, cost, entry FROM ledger \
                    WHERE (time, number) >= ($1, $2) AND (time, number) < ($3, $4) ORDER BY time, number LIMIT $5";
        let values = [from.0, from.1, until.0, until.1, bigint(most)];
        let values: Vec<_> = values.iter().map(|value| (value as _, Type::INT8)).collect();
        self.transact(Access::Read, async |session| {
            session.query(some, &values).await?.iter().map(row).collect()
        })
    }

    /// Returns what each key has spent from one time up to another, in billionths of a dollar. Blocks.
    pub(crate) fn spent(&self, from: i64, until: i64) -> Result<Vec<(String, i64)>, IndexError> {
        let spent = "SELECT key, least(sum(cost), 9223372036854775807)::bigint FROM ledger \
                     WHERE time >= $1 AND time < $2 AND key IS NOT NULL AND cost IS NOT NULL GROUP BY key";
        self.transact(Access::Read, async |session| {
            let rows = session.query(spent, &[(&from, Type::INT8), (&until, Type::INT8)]).await?;
            rows.iter().map(|row| Ok((column(row, 0)?, column(row, 1)?))).collect()
        })
    }

    /// Takes out the entries from before a time. Blocks.
    pub(crate) fn forget_entries(&self, oldest: i64) -> Result<(), IndexError> {
        let forget = "DELETE FROM ledger WHERE time < $1";
        self.transact(Access::Write, async |session| {
            session.query(forget, &[(&oldest, Type::INT8)]).await.map(drop)
        })
    }
}

fn row(row: &Row) -> Result<LedgerRow, IndexError> {
    Ok(LedgerRow {
        time: column(row, 0)?,
        number: column(row, 1)?,
        key: column(row, 2)?,
        cost: column(row, 3)?,
        entry: column(row, 4)?,
    })
}
