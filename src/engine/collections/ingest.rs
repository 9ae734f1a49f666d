//! Ingestion: documents are cut, embedded and stored; what is stored already, just as it is, is left alone.

use std::cell::RefCell;
use std::collections::HashSet;
use std::time::Instant;

use super::Collections;
use super::api::{SourceDocument, UpsertRequest, UpsertResponse};
use crate::engine::models::{Embedder, Scorer};
use crate::engine::{EngineError, milliseconds_since};
use crate::index::{Batch, ChunkHit, DocumentStore, NewChunk, NewDocument, StoredChunk};
use crate::model::{Cancel, Embedder as _, ScoreJob, TokenScorer as _};
use crate::text::{Chunk, ChunkSettings, chunks};

impl Collections<'_> {
    /// Stores documents, all or none. Once this returns they survive a crash.
    ///
    /// # Errors
    /// There is no such collection, a document cannot be stored; also see [`EngineError`].
    pub fn upsert(
        &self,
        name: &str,
        request: UpsertRequest,
        cancel: &Cancel,
    ) -> Result<UpsertResponse, EngineError> {
        let start = Instant::now();
        self.engine.check_count("documents", request.documents.len())?;
        let collection = self.engine.collections.get(name)?;
        let documents = named(request.documents)?;
        let mut response = UpsertResponse {
            ids: documents.iter().map(|(id, _)| id.clone()).collect(),
            ..UpsertResponse::default()
        };
        let Changes { changed, unchanged } = changes(&*collection, documents, &mut response)?;
        let scorer = request.score.then(|| self.engine.models.scorer()).transpose()?;
        let mut new = Vec::new();
        if !changed.is_empty() {
            let embedder = self.engine.embedder_of(&*collection)?;
            new = prepared(&embedder, collection.settings().chunks, changed, &mut response, cancel)?;
        }
        if let Some(scorer) = scorer {
            let scored = Instant::now();
            let stored = chunks_of(&*collection, &unchanged)?;
            response.scored = keep_scores(&scorer, &new, &stored, cancel)?;
            response.timing_ms.stages.insert("score", milliseconds_since(scored));
        }
        if !new.is_empty() {
            let stored = Instant::now();
            collection.apply(&Batch { remove: Vec::new(), upsert: new })?;
            response.timing_ms.stages.insert("store", milliseconds_since(stored));
            collection.maintain();
        }
        response.timing_ms.total = milliseconds_since(start);
        Ok(response)
    }
}

/// Documents with their ids, no two alike; of the same document without an id one is enough.
fn named(documents: Vec<SourceDocument>) -> Result<Vec<(String, SourceDocument)>, EngineError> {
    let mut ids = HashSet::new();
    let mut name = |document: SourceDocument| {
        let id = id_of(&document);
        if document.text.trim().is_empty() {
            let message = format!("the document `{id}` is empty or holds only white space");
            return Err(EngineError::invalid("empty_document", "documents", message));
        }
        if !ids.insert(id.clone()) {
            if document.id.is_none() {
                return Ok(None); // Named by what it holds, so that it is the very same document.
            }
            let message = format!("two documents have the id `{id}`");
            return Err(EngineError::invalid("duplicate_document_id", "documents", message));
        }
        Ok(Some((id, document)))
    };
    documents.into_iter().filter_map(|document| name(document).transpose()).collect()
}

/// The id of a document: its own, or one that is made of what it holds.
pub(super) fn id_of(document: &SourceDocument) -> String {
    document.id.clone().unwrap_or_else(|| hash(document)[..32].to_owned())
}

/// Tells whether a document has changed.
fn hash(document: &SourceDocument) -> String {
    let SourceDocument { id: _, title, text, metadata, layout } = document;
    let mut hasher = blake3::Hasher::new();
    // Each part with its length, so that no two documents run together to the same bytes.
    for part in
        [title.as_deref().unwrap_or_default(), text, &serde_json::json!((metadata, layout)).to_string()]
    {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// A document that is to be stored.
struct Changed {
    id: String,
    source: SourceDocument,
    hash: String,
}

/// The changes to store for some documents.
#[derive(Default)]
struct Changes {
    changed: Vec<Changed>,
    /// Ids of those that are stored already.
    unchanged: Vec<String>,
}

fn changes(
    collection: &dyn DocumentStore,
    documents: Vec<(String, SourceDocument)>,
    response: &mut UpsertResponse,
) -> Result<Changes, EngineError> {
    let ids: Vec<&str> = documents.iter().map(|(id, _)| id.as_str()).collect();
    let stored = collection.hashes(&ids)?;
    let mut changes = Changes::default();
    for ((id, source), stored) in documents.into_iter().zip(stored) {
        let hash = hash(&source);
        match stored {
            Some(stored) if stored == hash => {
                response.unchanged += 1;
                changes.unchanged.push(id);
            }
            Some(_) => {
                response.updated += 1;
                changes.changed.push(Changed { id, source, hash });
            }
            None => {
                response.added += 1;
                changes.changed.push(Changed { id, source, hash });
            }
        }
    }
    Ok(changes)
}

/// Documents with their chunks and vectors.
fn prepared(
    embedder: &Embedder,
    settings: ChunkSettings,
    documents: Vec<Changed>,
    response: &mut UpsertResponse,
    cancel: &Cancel,
) -> Result<Vec<NewDocument>, EngineError> {
    let start = Instant::now();
    let cuts: Vec<Vec<Chunk>> = documents
        .iter()
        .map(|document| cut(&document.source, settings, embedder, cancel))
        .collect::<Result<_, _>>()?;
    response.timing_ms.stages.insert("chunk", milliseconds_since(start));
    let start = Instant::now();
    let texts: Vec<String> = documents
        .iter()
        .zip(&cuts)
        .flat_map(|(document, cuts)| cuts.iter().map(|chunk| embedded(&document.source, chunk)))
        .collect();
    let vectors = embedder.embed(&texts.iter().map(String::as_str).collect::<Vec<_>>(), cancel)?;
    response.timing_ms.stages.insert("embed", milliseconds_since(start));
    response.chunks = vectors.len();
    let mut vectors = vectors.into_iter();
    let new = |(document, cuts): (Changed, Vec<Chunk>)| {
        let Changed { id, source: SourceDocument { title, text, metadata, layout, .. }, hash } = document;
        let chunks = cuts.into_iter().zip(vectors.by_ref()).map(|(chunk, vector)| {
            let Chunk { range, headings, header, tokens } = chunk;
            NewChunk { chunk: StoredChunk { range, headings, header, tokens }, vector }
        });
        NewDocument { id, title, chunks: chunks.collect(), text, metadata, layout, hash }
    };
    Ok(documents.into_iter().zip(cuts).map(new).collect())
}

/// The chunks of documents that are stored; those that went away meanwhile are left out.
fn chunks_of(collection: &dyn DocumentStore, ids: &[String]) -> Result<Vec<ChunkHit>, EngineError> {
    let mut numbers = Vec::new();
    for id in ids {
        numbers.extend(collection.document(id)?.into_iter().flat_map(|(document, _)| document.numbers()));
    }
    Ok(collection.chunks(&numbers)?)
}

/// Scores chunks by themselves, as a method does that goes without a question: those of new documents, and stored ones.
/// Gives how many had not been scored yet.
fn keep_scores(
    scorer: &Scorer,
    documents: &[NewDocument],
    stored: &[ChunkHit],
    cancel: &Cancel,
) -> Result<usize, EngineError> {
    let texts = documents
        .iter()
        .flat_map(|document| document.chunks.iter().map(|chunk| &document.text[chunk.chunk.range.clone()]))
        .chain(stored.iter().map(|chunk| chunk.text.as_str()));
    let ids = |text| scorer.encode(text).into_iter().map(|token| token.id).collect();
    let jobs: Vec<ScoreJob> = texts.map(|text| ScoreJob { prefix: [].into(), ids: ids(text) }).collect();
    Ok(scorer.keep(&jobs, cancel)?)
}

fn cut(
    document: &SourceDocument,
    settings: ChunkSettings,
    embedder: &Embedder,
    cancel: &Cancel,
) -> Result<Vec<Chunk>, EngineError> {
    let failed = RefCell::new(None);
    let count = |text: &str| {
        embedder.count(text, cancel).unwrap_or_else(|error| {
            failed.borrow_mut().get_or_insert(error);
            0
        })
    };
    let chunks = chunks(&document.text, document.layout, settings, &count);
    match failed.into_inner() {
        Some(error) => Err(error.into()),
        None => Ok(chunks),
    }
}

/// Returns the text that is embedded for a chunk: title and headings tell what it is about, and the header what the
/// columns of its table are.
fn embedded(document: &SourceDocument, chunk: &Chunk) -> String {
    let lines = document.title.iter().chain(&chunk.headings).map(String::as_str);
    let header = chunk.header.clone().map(|header| &document.text[header]);
    lines.chain(header).chain([&document.text[chunk.range.clone()]]).collect::<Vec<_>>().join("\n")
}
