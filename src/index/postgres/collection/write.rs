//! A batch of changes, whole or not at all.

use std::collections::{BTreeSet, HashMap};

use tokio_postgres::types::Type;

use super::Collection;
use crate::index::lexical::TextWords;
use crate::index::postgres::filter::has_nul;
use crate::index::postgres::link::Session;
use crate::index::postgres::numbers::{bigint, column, integer};
use crate::index::postgres::terms;
use crate::index::record::{Batch, NewDocument, StoredDocument};
use crate::index::{Change, IndexError};

/// Bytes of texts and vectors that one statement stores, if it is more than one chunk.
const STATEMENT_BYTES: usize = 4 << 20;

/// Applies a batch within the transaction. Other batches of the collection wait for its end.
pub(in crate::index::postgres) async fn apply(
    session: &Session,
    collection: &Collection,
    batch: &Batch,
) -> Result<Change, IndexError> {
    let id = collection.id;
    let last: HashMap<&str, usize> =
        batch.upsert.iter().enumerate().map(|(i, document)| (document.id.as_str(), i)).collect();
    let upsert = batch.upsert.iter().enumerate().filter(|(i, document)| last[document.id.as_str()] == *i);
    let upsert: Vec<&NewDocument> = upsert.map(|(_, document)| document).collect();
    for document in &upsert {
        check(document)?;
    }
    let hold = "SELECT next FROM collections WHERE id = $1 FOR UPDATE";
    let held = session.first(hold, &[(&id, Type::INT8)]).await?.ok_or_else(|| collection.gone())?;
    let first: i64 = column(&held, 0)?;
    let gone = remove(session, id, &removed(batch, &upsert)).await?;
    let mut insert = Insert::new(session, collection, first.cast_unsigned());
    for document in &upsert {
        insert.add(document).await?;
    }
    insert.store().await?;
    let (next, words) = (insert.next.cast_signed(), insert.length);
    count(session, id, (first, next)).await?;
    let (documents, chunks) = (bigint(upsert.len()) - gone.documents, next - first - gone.chunks);
    let words = words - gone.words;
    let update = "UPDATE collections SET next = $2, epoch = epoch + 1, documents = documents + $3, \
                  chunks = chunks + $4, words = words + $5 WHERE id = $1";
    let values = [&id, &next, &documents, &chunks, &words];
    session.query(update, &values.map(|value| (value as _, Type::INT8))).await?;
    Ok(Change { stored: upsert.len(), removed: gone.documents as usize })
}

/// Checks that PostgreSQL can store a document.
fn check(document: &NewDocument) -> Result<(), IndexError> {
    let metadata = document.metadata.iter().any(|(key, value)| key.contains('\0') || has_nul(value));
    if document.id.contains('\0') || document.text.contains('\0') || metadata {
        return Err(IndexError::Document {
            id: document.id.chars().take(80).collect(),
            reason: "it holds the character U+0000, which PostgreSQL cannot store: take it out".into(),
        });
    }
    if i32::try_from(document.text.len()).is_err() {
        return Err(IndexError::Document {
            id: document.id.chars().take(80).collect(),
            reason: "its text is larger than PostgreSQL can store: split it".into(),
        });
    }
    Ok(())
}

/// Ids of documents that a batch takes out, those included that others take the place of.
fn removed<'a>(batch: &'a Batch, upsert: &[&'a NewDocument]) -> Vec<&'a str> {
    let ids = batch.remove.iter().map(String::as_str);
    let ids: BTreeSet<&str> = ids.chain(upsert.iter().map(|document| document.id.as_str())).collect();
    ids.into_iter().filter(|id| !id.contains('\0')).collect()
}

/// Counts of what was taken out.
#[derive(Debug, Default)]
struct Gone {
    documents: i64,
    chunks: i64,
    words: i64,
}

async fn remove(session: &Session, id: i64, ids: &[&str]) -> Result<Gone, IndexError> {
    if ids.is_empty() {
        return Ok(Gone::default());
    }
    let delete = format!("DELETE FROM documents_{id} WHERE id = ANY ($1) RETURNING first, chunks");
    let rows = session.query(&delete, &[(&ids, Type::TEXT_ARRAY)]).await?;
    if rows.is_empty() {
        return Ok(Gone::default());
    }
    let mut gone = Gone { documents: bigint(rows.len()), ..Gone::default() };
    let mut numbers: Vec<i64> = Vec::new();
    for row in &rows {
        let (first, chunks): (i64, i64) = (column(row, 0)?, column(row, 1)?);
        numbers.extend(first..first + chunks);
    }
    let numbers = [(&numbers as _, Type::INT8_ARRAY)];
    let uncount = format!(
        "UPDATE counts_{id} AS c SET chunks = c.chunks - less.chunks FROM (
            SELECT lexeme, count(*) AS chunks FROM words_{id} AS w, unnest(w.words) WHERE w.number = ANY ($1)
            GROUP BY lexeme
        ) AS less WHERE c.word = less.lexeme"
    );
    session.query(&uncount, &numbers).await?;
    session.query(&format!("DELETE FROM chunks_{id} WHERE number = ANY ($1)"), &numbers).await?;
    let delete = format!(
        "WITH gone AS (DELETE FROM words_{id} WHERE number = ANY ($1) RETURNING length)
         SELECT count(*), coalesce(sum(length), 0)::bigint FROM gone"
    );
    if let Some(row) = session.first(&delete, &numbers).await? {
        (gone.chunks, gone.words) = (column(&row, 0)?, column(&row, 1)?);
    }
    Ok(gone)
}

/// Counts in how many chunks each word is, for the chunks from the first number to before the second.
async fn count(session: &Session, id: i64, (from, to): (i64, i64)) -> Result<(), IndexError> {
    let count = format!(
        "INSERT INTO counts_{id} AS c (word, chunks)
         SELECT lexeme, count(*) FROM words_{id} AS w, unnest(w.words) WHERE w.number >= $1 AND w.number < $2
         GROUP BY lexeme
         ON CONFLICT (word) DO UPDATE SET chunks = c.chunks + excluded.chunks"
    );
    session.query(&count, &[(&from, Type::INT8), (&to, Type::INT8)]).await.map(drop)
}

/// Documents and chunks on their way into the tables, some at once.
struct Insert<'a> {
    session: &'a Session,
    collection: &'a Collection,
    analyser: TextWords,
    /// The number of the next chunk.
    next: u64,
    /// Words so far.
    length: i64,
    bytes: usize,
    documents: Documents,
    chunks: Chunks,
}

/// Columns of documents.
#[derive(Debug, Default)]
struct Documents {
    first: Vec<i64>,
    id: Vec<String>,
    hash: Vec<String>,
    chunks: Vec<i64>,
    record: Vec<String>,
    metadata: Vec<String>,
    text: Vec<String>,
}

/// Columns of chunks. All vectors are in one list, one behind the other.
#[derive(Debug, Default)]
struct Chunks {
    number: Vec<i64>,
    document: Vec<i64>,
    start: Vec<i32>,
    bytes: Vec<i32>,
    header_start: Vec<Option<i32>>,
    header_bytes: Vec<Option<i32>>,
    record: Vec<String>,
    vectors: Vec<f32>,
    length: Vec<i32>,
    words: Vec<String>,
}

impl<'a> Insert<'a> {
    fn new(session: &'a Session, collection: &'a Collection, next: u64) -> Self {
        let (documents, chunks) = (Documents::default(), Chunks::default());
        let analyser = TextWords::new(collection.words());
        Self { session, collection, analyser, next, length: 0, bytes: 0, documents, chunks }
    }

    /// Takes a document in, and stores what there is if that is much.
    async fn add(&mut self, new: &NewDocument) -> Result<(), IndexError> {
        let document = StoredDocument {
            id: new.id.clone(),
            title: new.title.clone(),
            metadata: new.metadata.clone(),
            layout: new.layout,
            hash: new.hash.clone(),
            first: self.next,
            chunks: new.chunks.len() as u64,
            bytes: new.text.len(),
        };
        let first = document.first.cast_signed();
        self.documents.record.push(serde_json::to_string(&document)?);
        self.documents.metadata.push(serde_json::to_string(&document.metadata)?);
        self.documents.first.push(first);
        self.documents.id.push(document.id);
        self.documents.hash.push(document.hash);
        self.documents.chunks.push(document.chunks.cast_signed());
        self.documents.text.push(new.text.clone());
        self.bytes += new.text.len();
        for new_chunk in &new.chunks {
            let chunk = &new_chunk.chunk;
            let header = chunk.header.clone();
            let titles = new.title.iter().chain(&chunk.headings).map(String::as_str);
            let text: Vec<&str> = titles.chain([&new.text[chunk.range.clone()]]).collect();
            let (words, length) = terms::vector(self.analyser.of(&text.join("\n")));
            self.length += bigint(length);
            self.bytes += words.len() + 4 * new_chunk.vector.len();
            let chunks = &mut self.chunks;
            chunks.number.push(self.next.cast_signed());
            chunks.document.push(first);
            chunks.start.push(integer(chunk.range.start));
            chunks.bytes.push(integer(chunk.range.len()));
            chunks.header_start.push(header.as_ref().map(|header| integer(header.start)));
            chunks.header_bytes.push(header.map(|header| integer(header.len())));
            chunks.record.push(serde_json::to_string(chunk)?);
            chunks.vectors.extend_from_slice(&new_chunk.vector);
            chunks.length.push(integer(length));
            chunks.words.push(words);
            self.next += 1;
            if self.bytes > STATEMENT_BYTES {
                self.store().await?;
            }
        }
        Ok(())
    }

    /// Stores what there is.
    async fn store(&mut self) -> Result<(), IndexError> {
        self.bytes = 0;
        let (id, width) = (self.collection.id, self.collection.dimensions());
        let documents = std::mem::take(&mut self.documents);
        if !documents.first.is_empty() {
            let insert = format!(
                "INSERT INTO documents_{id} (first, id, hash, chunks, record, metadata, text)
                 SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::jsonb[], $7::text[])"
            );
            let values = [
                (&documents.first as _, Type::INT8_ARRAY),
                (&documents.id as _, Type::TEXT_ARRAY),
                (&documents.hash as _, Type::TEXT_ARRAY),
                (&documents.chunks as _, Type::INT8_ARRAY),
                (&documents.record as _, Type::TEXT_ARRAY),
                (&documents.metadata as _, Type::TEXT_ARRAY),
                (&documents.text as _, Type::TEXT_ARRAY),
            ];
            self.session.query(&insert, &values).await?;
        }
        let chunks = std::mem::take(&mut self.chunks);
        if chunks.number.is_empty() {
            return Ok(());
        }
        let insert = format!(
            "INSERT INTO chunks_{id}
                 (number, document, start_byte, bytes, header_start, header_bytes, record, embedding)
             SELECT number, document, start_byte, bytes, header_start, header_bytes, record,
                 ($8::real[])[(place - 1) * {width} + 1 : place * {width}]::vector({width})
             FROM unnest($1::bigint[], $2::bigint[], $3::integer[], $4::integer[], $5::integer[], $6::integer[], $7::text[])
                 WITH ORDINALITY AS c
                 (number, document, start_byte, bytes, header_start, header_bytes, record, place)"
        );
        let values = [
            (&chunks.number as _, Type::INT8_ARRAY),
            (&chunks.document as _, Type::INT8_ARRAY),
            (&chunks.start as _, Type::INT4_ARRAY),
            (&chunks.bytes as _, Type::INT4_ARRAY),
            (&chunks.header_start as _, Type::INT4_ARRAY),
            (&chunks.header_bytes as _, Type::INT4_ARRAY),
            (&chunks.record as _, Type::TEXT_ARRAY),
            (&chunks.vectors as _, Type::FLOAT4_ARRAY),
        ];
        self.session.query(&insert, &values).await?;
        let insert = format!(
            "INSERT INTO words_{id} (number, document, length, words)
             SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::integer[], $4::tsvector[])"
        );
        let values = [
            (&chunks.number as _, Type::INT8_ARRAY),
            (&chunks.document as _, Type::INT8_ARRAY),
            (&chunks.length as _, Type::INT4_ARRAY),
            (&chunks.words as _, Type::TEXT_ARRAY),
        ];
        self.session.query(&insert, &values).await.map(drop)
    }
}
