//! The keys of callers in a database, as rows of text: what they mean is for `keys` to say.

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::link::{Postgres, Session};
use super::measure::Access;
use super::numbers::column;
use crate::index::IndexError;

/// A key as the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) hash: String,
    pub(crate) created: String,
    pub(crate) revoked: Option<String>,
    /// JSON.
    pub(crate) policy: String,
}

/// A change of keys.
#[derive(Debug, Default)]
pub(crate) struct KeyChange {
    /// The new keys.
    pub(crate) added: Vec<KeyRow>,
    /// The ids of the keys that are revoked, each with the time.
    pub(crate) revoked: Vec<(String, String)>,
}

impl Postgres {
    /// Returns the number that is another one after each change of keys. Blocks.
    pub(crate) fn keys_version(&self) -> Result<i64, IndexError> {
        self.transact(Access::Read, async |session| {
            let row = session.first("SELECT number FROM versions WHERE what = 'keys'", &[]).await?;
            row.map_or_else(|| Err(no_version()), |row| column(&row, 0))
        })
    }

    /// Returns all keys in the order in which they were made. Blocks.
    pub(crate) fn keys(&self) -> Result<Vec<KeyRow>, IndexError> {
        self.transact(Access::Read, read)
    }

    /// Changes the keys as `change` says, by all that there are, one process at a time. Where it fails, nothing is
    /// changed. Blocks.
    pub(crate) fn change_keys<E>(
        &self,
        change: impl FnOnce(Vec<KeyRow>) -> Result<KeyChange, E>,
    ) -> Result<Result<(), E>, IndexError> {
        self.transact(Access::Write, async |session| {
            // Whoever changes keys at the same time waits here, and then sees what this change has made.
            let hold = "SELECT number FROM versions WHERE what = 'keys' FOR UPDATE";
            session.first(hold, &[]).await?.ok_or_else(no_version)?;
            match change(read(session).await?) {
                Ok(change) => write(session, &change).await.map(Ok),
                Err(refused) => Ok(Err(refused)),
            }
        })
    }
}

fn no_version() -> IndexError {
    IndexError::Store("the table `versions` has no row for keys".into())
}

async fn read(session: &Session) -> Result<Vec<KeyRow>, IndexError> {
    let all = "SELECT id, name, hash, created, revoked, policy FROM keys ORDER BY number";
    session.query(all, &[]).await?.iter().map(key).collect()
}

fn key(row: &Row) -> Result<KeyRow, IndexError> {
    Ok(KeyRow {
        id: column(row, 0)?,
        name: column(row, 1)?,
        hash: column(row, 2)?,
        created: column(row, 3)?,
        revoked: column(row, 4)?,
        policy: column(row, 5)?,
    })
}

async fn write(session: &Session, change: &KeyChange) -> Result<(), IndexError> {
    if change.added.is_empty() && change.revoked.is_empty() {
        return Ok(());
    }
    let insert =
        "INSERT INTO keys (id, name, hash, created, revoked, policy) VALUES ($1, $2, $3, $4, $5, $6)";
    for KeyRow { id, name, hash, created, revoked, policy } in &change.added {
        let values = [
            (id as _, Type::TEXT),
            (name as _, Type::TEXT),
            (hash as _, Type::TEXT),
            (created as _, Type::TEXT),
            (revoked as _, Type::TEXT),
            (policy as _, Type::TEXT),
        ];
        session.query(insert, &values).await?;
    }
    for (id, time) in &change.revoked {
        let revoke = "UPDATE keys SET revoked = $2 WHERE id = $1 AND revoked IS NULL";
        session.query(revoke, &[(id, Type::TEXT), (time, Type::TEXT)]).await?;
    }
    session.batch("UPDATE versions SET number = number + 1 WHERE what = 'keys'").await
}
