//! The tables that all collections share, and those of keys, ledger and decisions, made and changed step by step.

use tokio_postgres::types::Type;

use super::Session;
use crate::index::postgres::numbers::{column, integer};
use crate::index::{IndexError, PostgresError};

/// Statements of each step, by its number less one. A step that has been released is never changed.
const STEPS: [&str; 4] = [
    include_str!("migrations/1.sql"),
    include_str!("migrations/2.sql"),
    include_str!("migrations/3.sql"),
    include_str!("migrations/4.sql"),
];

/// Brings the tables in `schema` up to date and returns the schemas that names are looked up in. Each step is a
/// transaction under a lock, so that of several replicas one makes it.
pub(super) async fn run(session: &Session, schema: &str) -> Result<String, IndexError> {
    let path = prepared(session, schema).await;
    let path = ended(session, path).await?;
    loop {
        session.begin("BEGIN", &path).await?;
        let step = step(session, schema).await;
        if ended(session, step).await? {
            return Ok(path);
        }
    }
}

/// Ends the transaction as its result says.
async fn ended<T>(session: &Session, result: Result<T, IndexError>) -> Result<T, IndexError> {
    match result {
        Ok(value) => session.batch("COMMIT").await.map(|()| value),
        Err(error) => {
            // The error says more than whether its remains could be cleared.
            session.batch("ROLLBACK").await.ok();
            Err(error)
        }
    }
}

/// Makes the schema and the extension where they are missing.
async fn prepared(session: &Session, schema: &str) -> Result<String, IndexError> {
    session.begin("BEGIN", &quoted(schema)).await?;
    lock(session, schema).await?;
    let there = "SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1";
    if session.first(there, &[(&schema, Type::TEXT)]).await?.is_none() {
        session.batch(&format!("CREATE SCHEMA {}", quoted(schema))).await?;
    }
    let lacking = |reason: String| PostgresError::NoVectors { address: session.address(), reason };
    let extension = "SELECT nspname::text, extversion FROM pg_catalog.pg_extension \
                     JOIN pg_catalog.pg_namespace n ON n.oid = extnamespace WHERE extname = 'vector'";
    let mut found = session.first(extension, &[]).await?;
    if found.is_none() {
        let made = session.batch("CREATE EXTENSION vector SCHEMA public").await;
        made.map_err(|error| match error {
            IndexError::Store(reason) | IndexError::Postgres(PostgresError::Refused { reason, .. }) => {
                lacking(reason).into()
            }
            error => error,
        })?;
        found = session.first(extension, &[]).await?;
    }
    let found = found.ok_or_else(|| lacking("it was not made".into()))?;
    let (place, version): (String, String) = (column(&found, 0)?, column(&found, 1)?);
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or_default());
    if (parts.next().unwrap_or_default(), parts.next().unwrap_or_default()) < (0, 8) {
        return Err(lacking(format!("it has {version}")).into());
    }
    // What is built in comes before both.
    Ok(format!("{}, {}", quoted(schema), quoted(&place)))
}

/// Makes one step; returns whether there is none left.
async fn step(session: &Session, schema: &str) -> Result<bool, IndexError> {
    lock(session, schema).await?;
    session
        .batch(
            "CREATE TABLE IF NOT EXISTS migrations (number integer PRIMARY KEY, made timestamptz NOT NULL DEFAULT now())",
        )
        .await?;
    let made = made(session).await?;
    let Some(step) = STEPS.get(made as usize) else { return Ok(true) };
    session.batch(step).await?;
    session.query("INSERT INTO migrations (number) VALUES ($1)", &[(&(made + 1), Type::INT4)]).await?;
    tracing::info!(step = made + 1, schema, "made tables in PostgreSQL");
    Ok(false)
}

/// Returns the number of the last step that was made, unless this build does not know it.
pub(super) async fn made(session: &Session) -> Result<i32, IndexError> {
    let found = session.first("SELECT coalesce(max(number), 0) FROM migrations", &[]).await?;
    let found: i32 = found.map(|row| column(&row, 0)).transpose()?.unwrap_or_default();
    let known = integer(STEPS.len());
    if found > known {
        return Err(PostgresError::Newer { address: session.address(), found, known }.into());
    }
    Ok(found)
}

/// Waits until no other process makes tables in the schema, until the transaction ends.
async fn lock(session: &Session, schema: &str) -> Result<(), IndexError> {
    let name = format!("whittle {schema}");
    let lock = "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($1, 0))";
    session.query(lock, &[(&name, Type::TEXT)]).await.map(drop)
}

/// Returns a name as a statement has it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
