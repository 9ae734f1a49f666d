//! The collections, or the banks of examples, in a database.

use std::sync::Arc;

use tokio_postgres::types::Type;

use super::collection::{Collection, is_indexed, write};
use super::link::{Postgres, Session};
use super::measure::Access;
use super::numbers::column;
use crate::index::record::{Batch, Settings};
use crate::index::snapshot::Snapshot;
use crate::index::{CollectionStore, DocumentStore, IndexError, Name, ReadSeek, SnapshotError};

/// Values of a vector at most, for the type `vector`.
const MOST_DIMENSIONS: usize = 16_000;
/// Bytes of text and vectors that are stored at once while a snapshot is restored.
const RESTORED_BYTES: usize = 8 << 20;

impl Postgres {
    /// Returns the collections in the database.
    #[must_use]
    pub fn collections(&self) -> Arc<dyn CollectionStore> {
        Arc::new(Space { database: self.clone(), name: "collections" })
    }

    /// Returns the banks of examples in the database, whose names are apart from those of collections.
    #[must_use]
    pub fn banks(&self) -> Arc<dyn CollectionStore> {
        Arc::new(Space { database: self.clone(), name: "banks" })
    }
}

/// The collections of one space of names.
#[derive(Debug)]
pub(super) struct Space {
    database: Postgres,
    name: &'static str,
}

impl Space {
    /// Makes the row and the tables of a collection; nobody sees them before the transaction ends.
    async fn insert(
        &self,
        session: &Session,
        name: &Name,
        settings: &Settings,
    ) -> Result<Collection, IndexError> {
        if settings.dimensions > MOST_DIMENSIONS {
            let message = format!(
                "vectors of {} values; PostgreSQL stores at most {MOST_DIMENSIONS}: choose another embedder, or \
                 `store.kind = \"local\"`",
                settings.dimensions
            );
            return Err(IndexError::Settings(message));
        }
        let json = serde_json::to_string(settings)?;
        let insert = "INSERT INTO collections (space, name, settings) VALUES ($1, $2, $3) \
                      ON CONFLICT (space, name) DO NOTHING RETURNING id";
        let values =
            [(&self.name as _, Type::TEXT), (&name.as_str() as _, Type::TEXT), (&json as _, Type::TEXT)];
        let inserted = session.first(insert, &values).await?;
        let inserted = inserted.ok_or_else(|| IndexError::Exists(name.clone()))?;
        let id: i64 = column(&inserted, 0)?;
        session.batch(&tables(id, settings.dimensions)).await?;
        Ok(Collection::new(self.database.clone(), id, name.clone(), settings.clone()))
    }

    async fn find(&self, session: &Session, name: &Name) -> Result<Collection, IndexError> {
        let find = "SELECT id, settings FROM collections WHERE space = $1 AND name = $2";
        let values = [(&self.name as _, Type::TEXT), (&name.as_str() as _, Type::TEXT)];
        let found = session.first(find, &values).await?;
        let found = found.ok_or_else(|| IndexError::NotFound(name.clone()))?;
        let settings = serde_json::from_str(column(&found, 1)?)?;
        Ok(Collection::new(self.database.clone(), column(&found, 0)?, name.clone(), settings))
    }
}

impl CollectionStore for Space {
    fn create(&self, name: &Name, settings: &Settings) -> Result<Arc<dyn DocumentStore>, IndexError> {
        let made = async |session: &Session| self.insert(session, name, settings).await;
        Ok(Arc::new(self.database.transact(Access::Write, made)?))
    }

    fn get(&self, name: &Name) -> Result<Arc<dyn DocumentStore>, IndexError> {
        let found = async |session: &Session| self.find(session, name).await;
        Ok(Arc::new(self.database.transact(Access::Read, found)?))
    }

    fn names(&self) -> Result<Vec<Name>, IndexError> {
        self.database.transact(Access::Read, async |session| {
            let names = "SELECT name FROM collections WHERE space = $1 ORDER BY name COLLATE \"C\"";
            let rows = session.query(names, &[(&self.name, Type::TEXT)]).await?;
            rows.iter().map(|row| Ok(column::<&str>(row, 0)?.parse()?)).collect()
        })
    }

    fn delete(&self, name: &Name) -> Result<(), IndexError> {
        self.database.transact(Access::Write, async |session| {
            let delete = "DELETE FROM collections WHERE space = $1 AND name = $2 RETURNING id";
            let values = [(&self.name as _, Type::TEXT), (&name.as_str() as _, Type::TEXT)];
            let found = session.first(delete, &values).await?;
            let id: i64 = column(&found.ok_or_else(|| IndexError::NotFound(name.clone()))?, 0)?;
            // In the order in which searches take them: in another one both could wait for each other.
            session.batch(&format!("DROP TABLE documents_{id}, counts_{id}, words_{id}, chunks_{id}")).await
        })
    }

    fn check_free(&self, name: &Name) -> Result<(), IndexError> {
        match self.get(name) {
            Ok(_) => Err(IndexError::Exists(name.clone())),
            Err(IndexError::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn restore(
        &self,
        name: &Name,
        snapshot: &mut dyn ReadSeek,
    ) -> Result<Arc<dyn DocumentStore>, IndexError> {
        self.check_free(name)?;
        let mut snapshot = Snapshot::open(snapshot)?;
        let collection = self.database.transact(Access::Write, async |session| {
            let collection = self.insert(session, name, &snapshot.settings).await?;
            let (mut batch, mut bytes, mut stored) = (Batch::default(), 0, 0);
            loop {
                let document = snapshot.next()?;
                let is_last = document.is_none();
                if let Some(document) = document {
                    bytes += document.text.len() + 4 * collection.dimensions() * document.chunks.len();
                    batch.upsert.push(document);
                }
                if is_last || bytes > RESTORED_BYTES {
                    let batch = std::mem::take(&mut batch);
                    let change = write::apply(session, &collection, &batch).await?;
                    // Of two with one id the last would be there alone.
                    if change.removed > 0 || change.stored < batch.upsert.len() {
                        let reason = "two documents of it have the same id";
                        return Err(SnapshotError::Invalid(reason.into()).into());
                    }
                    (bytes, stored) = (0, stored + change.stored);
                }
                if is_last {
                    break;
                }
            }
            tracing::info!(collection = name.as_str(), documents = stored, "restored into PostgreSQL");
            Ok(collection)
        })?;
        Ok(Arc::new(collection))
    }
}

/// Returns the statements that make the tables of a collection.
fn tables(id: i64, dimensions: usize) -> String {
    let statements = format!(
        "CREATE TABLE documents_{id} (
            first bigint PRIMARY KEY,
            id text COLLATE \"C\" NOT NULL UNIQUE,
            hash text NOT NULL,
            chunks bigint NOT NULL,
            record text NOT NULL,
            metadata jsonb NOT NULL,
            text text NOT NULL
        );
        CREATE TABLE chunks_{id} (
            number bigint PRIMARY KEY,
            document bigint NOT NULL,
            start_byte integer NOT NULL,
            bytes integer NOT NULL,
            header_start integer,
            header_bytes integer,
            record text NOT NULL,
            embedding vector({dimensions}) NOT NULL
        );
        CREATE TABLE words_{id} (
            number bigint PRIMARY KEY,
            document bigint NOT NULL,
            length integer NOT NULL,
            words tsvector NOT NULL
        ) WITH (toast_tuple_target = 8160);
        CREATE INDEX ON words_{id} USING gin (words) WITH (fastupdate = off);
        CREATE TABLE counts_{id} (
            word text COLLATE \"C\" PRIMARY KEY,
            chunks bigint NOT NULL
        ) WITH (fillfactor = 70);"
    );
    if !is_indexed(dimensions) {
        return statements;
    }
    format!(
        "{statements} CREATE INDEX ON chunks_{id} USING hnsw ((embedding::halfvec({dimensions})) halfvec_ip_ops) \
         WITH (m = 16, ef_construction = 100);"
    )
}
