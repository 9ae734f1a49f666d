//! The proxy's decisions on texts in a database, as bytes: what they say is for `proxy` to say.

use std::collections::BTreeMap;

use tokio::task::JoinHandle;
use tokio_postgres::types::Type;

use super::link::Postgres;
use super::measure::Access;
use super::numbers::column;
use crate::index::IndexError;

/// A decision as the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DecisionRow {
    /// The hash that names it.
    pub(crate) key: [u8; 32],
    /// Seconds since the epoch.
    pub(crate) seconds: i64,
    pub(crate) value: Vec<u8>,
    /// Whether it takes the place of one that is there.
    pub(crate) replaces: bool,
}

/// Work on the threads of the database, which is given up where nobody waits for it any more.
struct Running<T>(JoinHandle<T>);

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T> Running<Result<T, IndexError>> {
    async fn ended(mut self) -> Result<T, IndexError> {
        (&mut self.0).await.unwrap_or_else(|error| Err(IndexError::Store(error.to_string())))
    }
}

impl Postgres {
    /// Returns the values of decisions, each none where there is none. It waits without blocking a thread.
    pub(crate) async fn decisions(&self, keys: Vec<[u8; 32]>) -> Result<Vec<Option<Vec<u8>>>, IndexError> {
        let database = self.clone();
        let read = async move {
            let keys: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
            let values = "SELECT value FROM unnest($1::bytea[]) WITH ORDINALITY AS n (key, place) \
                          LEFT JOIN decisions USING (key) ORDER BY place";
            let read = database.transaction(Access::Read, async |session| {
                let rows = session.query(values, &[(&keys, Type::BYTEA_ARRAY)]).await?;
                rows.iter().map(|row| column(row, 0)).collect()
            });
            read.await
        };
        Running(self.spawn(read)?).ended().await
    }

    /// Stores decisions. One that does not replace another leaves what is there. It waits without blocking a thread.
    pub(crate) async fn put_decisions(&self, rows: Vec<DecisionRow>) -> Result<(), IndexError> {
        let database = self.clone();
        let write = async move {
            // Each key once, for a statement changes a row once, and in order, so that replicas do not wait for each other
            // in a circle.
            let mut last: [BTreeMap<[u8; 32], &DecisionRow>; 2] = Default::default();
            for row in &rows {
                last[usize::from(row.replaces)].insert(row.key, row);
            }
            let write = database.transaction(Access::Write, async |session| {
                for (rows, conflict) in last.iter().zip([
                    "DO NOTHING",
                    "(key) DO UPDATE SET seconds = excluded.seconds, value = excluded.value",
                ]) {
                    if rows.is_empty() {
                        continue;
                    }
                    let keys: Vec<&[u8]> = rows.keys().map(|key| &key[..]).collect();
                    let seconds: Vec<i64> = rows.values().map(|row| row.seconds).collect();
                    let values: Vec<&[u8]> = rows.values().map(|row| &*row.value).collect();
                    let insert = format!(
                        "INSERT INTO decisions (key, seconds, value) \
                         SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bytea[]) ON CONFLICT {conflict}"
                    );
                    let parameters = [
                        (&keys as _, Type::BYTEA_ARRAY),
                        (&seconds as _, Type::INT8_ARRAY),
                        (&values as _, Type::BYTEA_ARRAY),
                    ];
                    session.query(&insert, &parameters).await?;
                }
                Ok(())
            });
            write.await
        };
        Running(self.spawn(write)?).ended().await
    }

    /// Takes out the decisions from before a time, in seconds since the epoch. Blocks.
    pub(crate) fn forget_decisions(&self, oldest: i64) -> Result<(), IndexError> {
        let forget = "DELETE FROM decisions WHERE seconds < $1";
        self.transact(Access::Write, async |session| {
            session.query(forget, &[(&oldest, Type::INT8)]).await.map(drop)
        })
    }
}
