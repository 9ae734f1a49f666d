//! The truth: documents, chunks and vectors in a redb database.
//!
//! A document is known by the number of its first chunk, and its chunks follow each other. Numbers only ever grow,
//! so that a cache can tell by them what it lacks and what is gone.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use redb::{
    AccessGuard, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition,
    WriteTransaction,
};

use super::record::{Batch, ChunkHit, NewChunk, NewDocument, Settings, StoredChunk, StoredDocument};
use super::vectors::values;
use super::{IndexError, Metadata};
use crate::storage::{DatabaseFile, StorageError};

/// Format of the tables below.
pub(super) const FORMAT: u32 = 1;

/// Bytes of pages that a database keeps in memory at most.
const CACHE_BYTES: usize = 64 << 20;

const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
/// The table from a document's id to its number.
const IDS: TableDefinition<&str, u64> = TableDefinition::new("ids");
const DOCUMENTS: TableDefinition<u64, &[u8]> = TableDefinition::new("documents");
const TEXTS: TableDefinition<u64, &str> = TableDefinition::new("texts");
const CHUNKS: TableDefinition<u64, &[u8]> = TableDefinition::new("chunks");
const VECTORS: TableDefinition<u64, &[u8]> = TableDefinition::new("vectors");

/// The changes of a batch.
#[derive(Debug, Default)]
pub(super) struct Applied {
    /// The number of batches so far.
    pub(super) epoch: u64,
    /// Documents that are new, by number, in the order of their numbers.
    pub(super) added: Vec<StoredDocument>,
    /// Numbers of chunks that are gone.
    pub(super) removed: Vec<Range<u64>>,
}

/// One collection's database.
#[derive(Debug)]
pub(super) struct Store {
    database: DatabaseFile,
}

impl Store {
    /// Makes the database of a new collection.
    pub(super) fn create(path: &Path, settings: &Settings) -> Result<Self, IndexError> {
        let database = DatabaseFile::create(path, CACHE_BYTES)?;
        let transaction = database.begin_write()?;
        {
            let mut meta = transaction.open_table(META)?;
            meta.insert("format", FORMAT.to_le_bytes().as_slice())?;
            meta.insert("settings", serde_json::to_vec(settings)?.as_slice())?;
            transaction.open_table(IDS)?;
            transaction.open_table(DOCUMENTS)?;
            transaction.open_table(TEXTS)?;
            transaction.open_table(CHUNKS)?;
            transaction.open_table(VECTORS)?;
        }
        transaction.commit()?;
        Ok(Self { database })
    }

    /// Opens the database of a collection; after a crash it is repaired to the last batch. It is the truth: damage is an
    /// error that names the file, which is left as it is.
    pub(super) fn open(path: &Path) -> Result<(Self, Settings), IndexError> {
        let store = Self { database: DatabaseFile::open(path, CACHE_BYTES)? };
        let damaged =
            |reason: String| IndexError::from(StorageError::Damaged { path: path.to_owned(), reason });
        let view = store.view()?;
        let format = view.number("format").map_err(|error| damaged(error.to_string()))?;
        let format = format.unwrap_or_default() as u32;
        if format != FORMAT {
            return Err(IndexError::Format { path: path.to_owned(), found: format, known: FORMAT });
        }
        let meta = view.transaction.open_table(META)?;
        let settings = meta.get("settings")?.ok_or_else(|| damaged("it has no settings".into()))?;
        let settings = serde_json::from_slice(settings.value());
        let settings = settings.map_err(|error| damaged(format!("its settings cannot be read: {error}")))?;
        Ok((store, settings))
    }

    /// The state at this moment, whatever is written meanwhile.
    pub(super) fn view(&self) -> Result<View, IndexError> {
        Ok(View { transaction: self.database.begin_read()? })
    }

    /// Applies `batch` whole or not at all; it is on disk when this returns.
    pub(super) fn apply(&self, batch: &Batch) -> Result<Applied, IndexError> {
        let transaction = self.database.begin_write()?;
        let applied = Writer { transaction: &transaction }.apply(batch)?;
        transaction.commit()?;
        Ok(applied)
    }
}

/// A write transaction.
struct Writer<'a> {
    transaction: &'a WriteTransaction,
}

impl Writer<'_> {
    fn apply(&self, batch: &Batch) -> Result<Applied, IndexError> {
        let mut applied = Applied { epoch: self.number("epoch")? + 1, ..Applied::default() };
        let mut next = self.number("next")?;
        for id in &batch.remove {
            applied.removed.extend(self.remove(id)?);
        }
        let last: HashMap<&str, usize> =
            batch.upsert.iter().enumerate().map(|(i, document)| (document.id.as_str(), i)).collect();
        for (i, document) in batch.upsert.iter().enumerate() {
            if last[document.id.as_str()] == i {
                applied.removed.extend(self.remove(&document.id)?);
                applied.added.push(self.insert(document, &mut next)?);
            }
        }
        let mut meta = self.transaction.open_table(META)?;
        meta.insert("epoch", applied.epoch.to_le_bytes().as_slice())?;
        meta.insert("next", next.to_le_bytes().as_slice())?;
        Ok(applied)
    }

    fn number(&self, key: &str) -> Result<u64, IndexError> {
        let meta = self.transaction.open_table(META)?;
        let value = meta.get(key)?.map_or(0, |value| little_endian(value.value()));
        Ok(value)
    }

    fn remove(&self, id: &str) -> Result<Option<Range<u64>>, IndexError> {
        let removed = self.transaction.open_table(IDS)?.remove(id)?.map(|number| number.value());
        let Some(number) = removed else { return Ok(None) };
        let mut documents = self.transaction.open_table(DOCUMENTS)?;
        let removed = documents.remove(number)?;
        let document: StoredDocument = removed
            .map(|document| serde_json::from_slice(document.value()))
            .ok_or_else(|| IndexError::Store(format!("document {number} is missing")))??;
        self.transaction.open_table(TEXTS)?.remove(number)?;
        let mut chunks = self.transaction.open_table(CHUNKS)?;
        let mut vectors = self.transaction.open_table(VECTORS)?;
        for number in document.numbers() {
            chunks.remove(number)?;
            vectors.remove(number)?;
        }
        Ok(Some(document.numbers()))
    }

    fn insert(&self, new: &NewDocument, next: &mut u64) -> Result<StoredDocument, IndexError> {
        let document = StoredDocument {
            id: new.id.clone(),
            title: new.title.clone(),
            metadata: new.metadata.clone(),
            layout: new.layout,
            hash: new.hash.clone(),
            first: *next,
            chunks: new.chunks.len() as u64,
            bytes: new.text.len(),
        };
        self.transaction.open_table(IDS)?.insert(new.id.as_str(), document.first)?;
        let record = serde_json::to_vec(&document)?;
        self.transaction.open_table(DOCUMENTS)?.insert(document.first, record.as_slice())?;
        self.transaction.open_table(TEXTS)?.insert(document.first, new.text.as_str())?;
        let mut chunks = self.transaction.open_table(CHUNKS)?;
        let mut vectors = self.transaction.open_table(VECTORS)?;
        for (number, new) in document.numbers().zip(&new.chunks) {
            chunks.insert(number, serde_json::to_vec(&new.chunk)?.as_slice())?;
            let bytes: Vec<u8> = new.vector.iter().flat_map(|value| value.to_le_bytes()).collect();
            vectors.insert(number, bytes.as_slice())?;
        }
        *next += document.chunks;
        Ok(document)
    }
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, &byte| (number << 8) | u64::from(byte))
}

/// A read transaction: the state of one moment.
pub(super) struct View {
    transaction: ReadTransaction,
}

impl View {
    fn number(&self, key: &str) -> Result<Option<u64>, IndexError> {
        let meta = self.transaction.open_table(META)?;
        Ok(meta.get(key)?.map(|value| little_endian(value.value())))
    }

    /// Returns the number of batches so far.
    pub(super) fn epoch(&self) -> Result<u64, IndexError> {
        Ok(self.number("epoch")?.unwrap_or_default())
    }

    /// Returns the numbers of documents and chunks.
    pub(super) fn counts(&self) -> Result<(u64, u64), IndexError> {
        Ok((self.transaction.open_table(DOCUMENTS)?.len()?, self.transaction.open_table(CHUNKS)?.len()?))
    }

    /// Number of the document called `id`.
    pub(super) fn find(&self, id: &str) -> Result<Option<u64>, IndexError> {
        Ok(self.transaction.open_table(IDS)?.get(id)?.map(|number| number.value()))
    }

    /// A document by its number.
    pub(super) fn document(&self, number: u64) -> Result<Option<StoredDocument>, IndexError> {
        let documents = self.transaction.open_table(DOCUMENTS)?;
        let document = documents.get(number)?;
        Ok(document.map(|document| serde_json::from_slice(document.value())).transpose()?)
    }

    /// Text of a document.
    pub(super) fn text(&self, number: u64) -> Result<Option<String>, IndexError> {
        Ok(self.transaction.open_table(TEXTS)?.get(number)?.map(|text| text.value().to_owned()))
    }

    /// A document with its text, chunks and vectors, as it could be stored anew.
    pub(super) fn whole(&self, document: StoredDocument) -> Result<NewDocument, IndexError> {
        let lacks = |what: &str| IndexError::Store(format!("document {} has no {what}", document.first));
        let text = self.text(document.first)?.ok_or_else(|| lacks("text"))?;
        let records = self.transaction.open_table(CHUNKS)?;
        let mut chunks = Vec::with_capacity(document.chunks as usize);
        for number in document.numbers() {
            let chunk = records.get(number)?.ok_or_else(|| lacks("chunks"))?;
            let chunk: StoredChunk = serde_json::from_slice(chunk.value())?;
            let vector = self.vector(number)?.ok_or_else(|| lacks("vectors"))?;
            chunks.push(NewChunk { chunk, vector });
        }
        let StoredDocument { id, title, metadata, layout, hash, .. } = document;
        Ok(NewDocument { id, title, text, metadata, layout, hash, chunks })
    }

    /// Calls `each` with the documents from number `from` on, until it says false or fails.
    pub(super) fn each_document(
        &self,
        from: u64,
        mut each: impl FnMut(StoredDocument) -> Result<bool, IndexError>,
    ) -> Result<(), IndexError> {
        for entry in self.transaction.open_table(DOCUMENTS)?.range(from..)? {
            if !each(serde_json::from_slice(entry?.1.value())?)? {
                break;
            }
        }
        Ok(())
    }

    /// Numbers of all chunks, ascending.
    pub(super) fn numbers(&self) -> Result<Vec<u64>, IndexError> {
        let mut numbers = Vec::new();
        self.each_document(0, |document| {
            numbers.extend(document.numbers());
            Ok(true)
        })?;
        Ok(numbers)
    }

    /// Vector of a chunk, as the bytes of its values.
    pub(super) fn vector(&self, number: u64) -> Result<Option<Vec<f32>>, IndexError> {
        let vectors = self.transaction.open_table(VECTORS)?;
        let vector = vectors.get(number)?;
        Ok(vector.map(|vector| values(vector.value())))
    }

    /// A chunk with its text and document; none where it is gone.
    pub(super) fn chunk(&self, number: u64) -> Result<Option<ChunkHit>, IndexError> {
        let mut hit = None;
        self.each_chunk(&[number], |found| {
            let FoundChunk { document, chunk, text, header, .. } = found;
            let (document, header) = (document.clone(), header.map(ToOwned::to_owned));
            hit = Some(ChunkHit { number, document, chunk: chunk.clone(), text: text.to_owned(), header });
            Ok(())
        })?;
        Ok(hit)
    }

    /// Calls `each` with those chunks of `numbers` that are there, in that order, until it fails. Where numbers of one
    /// document follow each other it is read once, and no more than one document's text is in memory.
    pub(super) fn each_chunk(
        &self,
        numbers: &[u64],
        mut each: impl FnMut(FoundChunk<'_>) -> Result<(), IndexError>,
    ) -> Result<(), IndexError> {
        let documents = self.transaction.open_table(DOCUMENTS)?;
        let (chunks, texts) = (self.transaction.open_table(CHUNKS)?, self.transaction.open_table(TEXTS)?);
        let mut open: Option<(StoredDocument, Option<AccessGuard<'_, &str>>)> = None;
        for &number in numbers {
            let Some(chunk) = chunks.get(number)? else { continue };
            let chunk: StoredChunk = serde_json::from_slice(chunk.value())?;
            if open.as_ref().is_none_or(|(document, _)| !document.numbers().contains(&number)) {
                let Some(entry) = documents.range(..=number)?.next_back() else { continue };
                let document: StoredDocument = serde_json::from_slice(entry?.1.value())?;
                let text = texts.get(document.first)?;
                open = Some((document, text));
            }
            let Some((document, text)) = &open else { continue };
            let whole = text.as_ref().map(AccessGuard::value);
            let header = chunk.header.clone().and_then(|header| whole?.get(header));
            let text = whole.and_then(|text| text.get(chunk.range.clone()));
            let text = text.ok_or_else(|| IndexError::Store(format!("chunk {number} has no text")))?;
            each(FoundChunk { number, document, chunk: &chunk, text, header })?;
        }
        Ok(())
    }
}

/// A chunk as it stands in the store.
pub(super) struct FoundChunk<'a> {
    pub(super) number: u64,
    pub(super) document: &'a StoredDocument,
    pub(super) chunk: &'a StoredChunk,
    pub(super) text: &'a str,
    /// The header row of the table that it begins inside of.
    pub(super) header: Option<&'a str>,
}

/// Metadata by the numbers of the first chunk.
pub(super) type Catalog = std::collections::BTreeMap<u64, (u64, Metadata)>;

impl View {
    /// Returns the fields of all documents that filters need.
    pub(super) fn catalog(&self) -> Result<Catalog, IndexError> {
        let mut catalog = Catalog::new();
        self.each_document(0, |document| {
            catalog.insert(document.first, (document.first + document.chunks, document.metadata));
            Ok(true)
        })?;
        Ok(catalog)
    }
}
