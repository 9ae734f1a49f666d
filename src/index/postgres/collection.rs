//! One collection in a database: what is read of it.

mod search;
pub(super) mod write;

use std::io::Write;
use std::sync::Arc;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::filter::{self, Texts};
use super::link::{Parameter, Postgres, Session};
use super::measure::Access;
use super::numbers::{bigints, column};
use crate::index::record::{Batch, ChunkHit, NewChunk, NewDocument, Settings, StoredChunk, StoredDocument};
use crate::index::snapshot;
use crate::index::{
    Change, DocumentStore, Filter, IndexError, Lookup, Name, Page, PostgresError, Rankings, Scored,
    Statistics,
};

/// Values of a vector that an index can have at most, for the type `halfvec`.
const INDEXED_DIMENSIONS: usize = 4_000;
/// Documents that are read at once while all are.
const READ_AT_ONCE: usize = 32;

/// A collection in a database. It holds nothing but who it is.
#[derive(Debug, Clone)]
pub(super) struct Collection {
    database: Postgres,
    /// The number that its tables are named by.
    pub(super) id: i64,
    name: Name,
    settings: Settings,
}

impl Collection {
    pub(super) fn new(database: Postgres, id: i64, name: Name, settings: Settings) -> Self {
        Self { database, id, name, settings }
    }

    /// The number of values in a vector.
    pub(super) fn dimensions(&self) -> usize {
        self.settings.dimensions
    }

    /// The settings for searching words.
    pub(super) fn words(&self) -> crate::index::WordSettings {
        self.settings.words
    }

    /// The error of a collection that another replica has deleted.
    pub(super) fn gone(&self) -> IndexError {
        IndexError::NotFound(self.name.clone())
    }

    /// Has `work` read in one transaction, all as of one moment.
    fn read<T>(&self, work: impl AsyncFnOnce(&Session) -> Result<T, IndexError>) -> Result<T, IndexError> {
        match self.database.transact(Access::Read, work) {
            // Its tables are gone with its row.
            Err(IndexError::Postgres(PostgresError::NoTable { .. })) => Err(self.gone()),
            read => read,
        }
    }

    fn check_query(&self, query: &[f32]) -> Result<(), IndexError> {
        let (name, settings) = (&self.name, &self.settings);
        if query.len() != settings.dimensions {
            return Err(IndexError::Settings(format!(
                "the query's vector has {} values, those of `{name}` have {}: it was made with the model {}",
                query.len(),
                settings.dimensions,
                settings.embedder,
            )));
        }
        if !query.iter().all(|value| value.is_finite()) {
            return Err(IndexError::Settings("the query's vector holds a value that is no number".into()));
        }
        Ok(())
    }

    /// Calls `each` with all documents and their texts, the oldest first, until it says false or fails.
    async fn each_document(
        &self,
        session: &Session,
        each: &mut dyn FnMut(StoredDocument, String) -> Result<bool, IndexError>,
    ) -> Result<(), IndexError> {
        let (id, mut from) = (self.id, 0);
        let some = format!(
            "SELECT record, text FROM documents_{id} WHERE first >= $1 ORDER BY first LIMIT {READ_AT_ONCE}"
        );
        loop {
            let rows = session.query(&some, &[(&from, Type::INT8)]).await?;
            for row in &rows {
                let document = document(row, 0)?;
                from = document.first.cast_signed() + 1;
                if !each(document, column(row, 1)?)? {
                    return Ok(());
                }
            }
            if rows.len() < READ_AT_ONCE {
                return Ok(());
            }
        }
    }

    /// Returns the chunks of a document with their vectors.
    async fn chunks_of(
        &self,
        session: &Session,
        document: &StoredDocument,
    ) -> Result<Vec<NewChunk>, IndexError> {
        let chunks = format!(
            "SELECT record, embedding::real[] FROM chunks_{} WHERE number >= $1 AND number < $2 ORDER BY number",
            self.id
        );
        let numbers = document.numbers();
        let (from, to) = (numbers.start.cast_signed(), numbers.end.cast_signed());
        let rows = session.query(&chunks, &[(&from, Type::INT8), (&to, Type::INT8)]).await?;
        rows.iter().map(|row| Ok(NewChunk { chunk: chunk(row, 0)?, vector: column(row, 1)? })).collect()
    }
}

/// Returns the document whose record is in a column.
fn document(row: &Row, index: usize) -> Result<StoredDocument, IndexError> {
    Ok(serde_json::from_str(column(row, index)?)?)
}

/// Returns the chunk whose record is in a column.
fn chunk(row: &Row, index: usize) -> Result<StoredChunk, IndexError> {
    Ok(serde_json::from_str(column(row, index)?)?)
}

/// Returns whether vectors of so many values have an index.
pub(super) fn is_indexed(dimensions: usize) -> bool {
    dimensions <= INDEXED_DIMENSIONS
}

impl DocumentStore for Collection {
    fn name(&self) -> &Name {
        &self.name
    }

    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn reports(&self) -> &[String] {
        &[]
    }

    fn apply(&self, batch: &Batch) -> Result<Change, IndexError> {
        for document in &batch.upsert {
            document.check(self.settings.dimensions)?;
        }
        self.database.transact(Access::Write, async |session| write::apply(session, self, batch).await)
    }

    fn rank(&self, lookup: &Lookup<'_>) -> Result<Rankings, IndexError> {
        if let Some(vector) = lookup.vector {
            self.check_query(vector)?;
        }
        self.read(async |session| search::rank(session, self, lookup).await)
    }

    fn rank_exactly(&self, query: &[f32], k: usize) -> Result<Vec<Scored>, IndexError> {
        self.check_query(query)?;
        self.read(async |session| search::exactly(session, self, query, k).await)
    }

    fn vectors(&self, wanted: &[u64]) -> Result<Vec<Option<Vec<f32>>>, IndexError> {
        let vectors = format!(
            "SELECT embedding::real[] FROM unnest($1::bigint[]) WITH ORDINALITY AS n (number, place) \
             LEFT JOIN chunks_{} USING (number) ORDER BY place",
            self.id
        );
        self.read(async |session| {
            let rows = session.query(&vectors, &[(&bigints(wanted), Type::INT8_ARRAY)]).await?;
            rows.iter().map(|row| column(row, 0)).collect()
        })
    }

    fn chunks(&self, wanted: &[u64]) -> Result<Vec<ChunkHit>, IndexError> {
        let id = self.id;
        // The text of a document is turned into bytes once, however many of its chunks are wanted.
        let chunks = format!(
            "WITH d AS MATERIALIZED (
                SELECT first, record, convert_to(text, 'UTF8') AS text FROM documents_{id}
                WHERE first IN (SELECT document FROM chunks_{id} WHERE number = ANY ($1::bigint[]))
             )
             SELECT c.number, d.record, c.record,
                convert_from(substring(d.text FROM c.start_byte + 1 FOR c.bytes), 'UTF8'),
                convert_from(substring(d.text FROM c.header_start + 1 FOR c.header_bytes), 'UTF8')
             FROM unnest($1::bigint[]) WITH ORDINALITY AS n (number, place)
             JOIN chunks_{id} AS c USING (number) JOIN d ON d.first = c.document ORDER BY place"
        );
        self.read(async |session| {
            let rows = session.query(&chunks, &[(&bigints(wanted), Type::INT8_ARRAY)]).await?;
            let hit = |row: &Row| {
                Ok(ChunkHit {
                    number: column::<i64>(row, 0)?.cast_unsigned(),
                    document: document(row, 1)?,
                    chunk: chunk(row, 2)?,
                    text: column(row, 3)?,
                    header: column(row, 4)?,
                })
            };
            rows.iter().map(hit).collect()
        })
    }

    fn has_field(&self, field: &str) -> Result<bool, IndexError> {
        // No document has such a name, for it cannot be stored.
        if field.contains('\0') {
            return Ok(false);
        }
        let mut texts = Texts::behind(0);
        let value = filter::field(field, &mut texts)?;
        let there =
            format!("SELECT EXISTS (SELECT FROM documents_{} AS d WHERE {value} IS NOT NULL)", self.id);
        self.read(async |session| {
            let row = session.first(&there, &texts.parameters()).await?;
            row.map_or(Ok(false), |row| column(&row, 0))
        })
    }

    fn document(&self, id: &str) -> Result<Option<(StoredDocument, String)>, IndexError> {
        if id.contains('\0') {
            return Ok(None);
        }
        let find = format!("SELECT record, text FROM documents_{} WHERE id = $1", self.id);
        self.read(async |session| {
            let row = session.first(&find, &[(&id, Type::TEXT)]).await?;
            row.map(|row| Ok((document(&row, 0)?, column(&row, 1)?))).transpose()
        })
    }

    fn hashes(&self, ids: &[&str]) -> Result<Vec<Option<String>>, IndexError> {
        let storable = |id: &&str| if id.contains('\0') { None } else { Some((*id).to_owned()) };
        let wanted: Vec<Option<String>> = ids.iter().map(storable).collect();
        let hashes = format!(
            "SELECT hash FROM unnest($1::text[]) WITH ORDINALITY AS n (id, place) \
             LEFT JOIN documents_{} USING (id) ORDER BY place",
            self.id
        );
        self.read(async |session| {
            let rows = session.query(&hashes, &[(&wanted, Type::TEXT_ARRAY)]).await?;
            rows.iter().map(|row| column(row, 0)).collect()
        })
    }

    fn documents(&self, from: u64, most: usize, filter: Option<&Filter>) -> Result<Page, IndexError> {
        let limit = i64::try_from(most).unwrap_or(i64::MAX - 1).min(i64::MAX - 1) + 1;
        let from = i64::try_from(from).unwrap_or(i64::MAX);
        let mut texts = Texts::behind(2);
        let condition = filter::condition(filter, &mut texts)?;
        let some = format!(
            "SELECT record FROM documents_{} AS d WHERE first >= $1 AND {condition} ORDER BY first LIMIT $2",
            self.id
        );
        let own: [Parameter<'_>; 2] = [(&from, Type::INT8), (&limit, Type::INT8)];
        let parameters: Vec<Parameter<'_>> = own.into_iter().chain(texts.parameters()).collect();
        self.read(async |session| {
            let rows = session.query(&some, &parameters).await?;
            let mut documents: Vec<StoredDocument> =
                rows.iter().map(|row| document(row, 0)).collect::<Result<_, _>>()?;
            let next = documents.get(most).map(|document| document.first);
            documents.truncate(most);
            Ok(Page { documents, next })
        })
    }

    fn each(&self, each: &mut dyn FnMut(StoredDocument, String) -> bool) -> Result<(), IndexError> {
        let each = &mut |document, text| Ok(each(document, text));
        self.read(async |session| self.each_document(session, each).await)
    }

    fn snapshot(&self, out: &mut dyn Write) -> Result<(), IndexError> {
        let (id, settings) = (self.id, &self.settings);
        let some = format!(
            "SELECT record, text FROM documents_{id} WHERE first >= $1 ORDER BY first LIMIT {READ_AT_ONCE}"
        );
        self.read(async |session| {
            let counted = "SELECT documents FROM collections WHERE id = $1";
            let row = session.first(counted, &[(&id, Type::INT8)]).await?.ok_or_else(|| self.gone())?;
            let mut writer = snapshot::Writer::new(out, settings, column::<i64>(&row, 0)?.cast_unsigned())?;
            let mut from = 0;
            loop {
                let rows = session.query(&some, &[(&from, Type::INT8)]).await?;
                for row in &rows {
                    let (stored, text) = (document(row, 0)?, column(row, 1)?);
                    let chunks = self.chunks_of(session, &stored).await?;
                    from = stored.first.cast_signed() + 1;
                    let StoredDocument { id, title, metadata, layout, hash, .. } = stored;
                    writer.add(NewDocument { id, title, text, metadata, layout, hash, chunks })?;
                }
                if rows.len() < READ_AT_ONCE {
                    return writer.finish();
                }
            }
        })
    }

    fn statistics(&self) -> Result<Statistics, IndexError> {
        let id = self.id;
        let size = |table: &str| format!("pg_total_relation_size('{table}_{id}'::regclass)");
        let statistics = format!(
            "SELECT documents, chunks, epoch, {} + {} + {} + {} FROM collections WHERE id = $1",
            size("documents"),
            size("chunks"),
            size("words"),
            size("counts"),
        );
        self.read(async |session| {
            let row = session.first(&statistics, &[(&id, Type::INT8)]).await?.ok_or_else(|| self.gone())?;
            let count = |index| Ok::<_, IndexError>(column::<i64>(&row, index)?.cast_unsigned());
            let chunks = count(1)?;
            let linked = if is_indexed(self.settings.dimensions) { chunks } else { 0 };
            Ok(Statistics {
                documents: count(0)?,
                chunks,
                epoch: count(2)?,
                linked: linked as usize,
                dead: 0,
                fresh: (chunks - linked) as usize,
                lexical: chunks,
                bytes: count(3)?,
            })
        })
    }

    fn maintain(self: Arc<Self>) {
        // The server does so by itself.
    }

    fn optimise(&self) -> Result<bool, IndexError> {
        let id = self.id;
        // In the order in which searches and deletions take them.
        let analyse = format!("ANALYZE documents_{id}, counts_{id}, words_{id}, chunks_{id}");
        self.database.transact(Access::Write, async |session| session.batch(&analyse).await)?;
        Ok(true)
    }
}
