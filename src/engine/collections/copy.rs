//! A collection on its way from the data folder into a database, or back.

use std::sync::Arc;

use super::{Collections, parsed};
use crate::config::StoreKind;
use crate::engine::{EngineError, ErrorKind};
use crate::index::{
    Batch, CollectionStore, DataDir, DocumentStore, IndexError, NewChunk, NewDocument, StoredDocument,
};
use crate::model::Cancel;

/// Documents that are looked at together.
const PAGE: usize = 128;
/// Bytes of texts that are stored together, if it is more than one document.
const BATCH_BYTES: usize = 4 << 20;

/// The result of copying a collection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copied {
    /// Documents that were copied now.
    pub copied: usize,
    /// Documents that were there already, just as they are.
    pub unchanged: usize,
}

impl Collections<'_> {
    /// Copies a collection, vectors and all, from one place to the other under the same name, and then compares the
    /// number of documents and the hash of each. What was copied stays when it is cut off; another call goes on from there.
    ///
    /// # Errors
    /// No database is configured, there is no such collection, or one with other settings or documents is there already;
    /// also see [`EngineError`].
    pub fn copy(
        &self,
        name: &str,
        (from, to): (StoreKind, StoreKind),
        cancel: &Cancel,
    ) -> Result<Copied, EngineError> {
        let name = parsed(name)?;
        if from == to {
            let message = "a collection is copied from one place to the other: `local` and `postgres`";
            return Err(EngineError::invalid("same_store", "to", message));
        }
        let source = self.place(from)?.get(&name)?;
        let target = self.place(to)?;
        let settings = source.settings().clone().renewed()?;
        let target = match target.create(&name, &settings) {
            Err(IndexError::Exists(_)) => target.get(&name)?,
            created => created?,
        };
        if !target.settings().same_as(source.settings()) {
            return Err(IndexError::Exists(name).into());
        }
        let copied = copy(&*source, &*target, cancel)?;
        Arc::clone(&target).maintain();
        if digest(&*source)? == digest(&*target)? {
            return Ok(copied);
        }
        let message = format!(
            "the collection `{name}` differs from its copy: it was changed meanwhile, or the copy had documents of its own; \
             copy again, or delete the copy first"
        );
        Err(EngineError { kind: ErrorKind::Conflict, code: "copy_differs", param: None, message })
    }

    /// Returns the collections of one place.
    fn place(&self, kind: StoreKind) -> Result<Arc<dyn CollectionStore>, EngineError> {
        let database = self.engine.collections.database().ok_or_else(|| {
            let message =
                "no database is configured: set `store.kind` to `postgres` and `store.url` to its address";
            EngineError {
                kind: ErrorKind::Invalid,
                code: "no_database",
                param: None,
                message: message.into(),
            }
        })?;
        match kind {
            StoreKind::Local => Ok(Arc::new(DataDir::open(self.engine.collections.root()?)?)),
            StoreKind::Postgres => Ok(database.collections()),
        }
    }
}

fn copy(
    source: &dyn DocumentStore,
    target: &dyn DocumentStore,
    cancel: &Cancel,
) -> Result<Copied, EngineError> {
    let (mut copied, mut from) = (Copied::default(), Some(0));
    let (mut batch, mut bytes) = (Batch::default(), 0);
    while let Some(start) = from {
        cancel.check()?;
        let page = source.documents(start, PAGE, None)?;
        from = page.next;
        let ids: Vec<&str> = page.documents.iter().map(|document| document.id.as_str()).collect();
        let there = target.hashes(&ids)?;
        for (document, there) in page.documents.into_iter().zip(there) {
            if there.as_deref() == Some(document.hash.as_str()) {
                copied.unchanged += 1;
                continue;
            }
            bytes += document.bytes;
            batch.upsert.extend(whole(source, document)?);
            if bytes > BATCH_BYTES || batch.upsert.len() == PAGE {
                copied.copied += target.apply(&std::mem::take(&mut batch))?.stored;
                bytes = 0;
            }
        }
    }
    if !batch.upsert.is_empty() {
        copied.copied += target.apply(&batch)?.stored;
    }
    Ok(copied)
}

/// Returns a document with its text, chunks and vectors; none where it went away meanwhile.
fn whole(source: &dyn DocumentStore, document: StoredDocument) -> Result<Option<NewDocument>, EngineError> {
    let numbers: Vec<u64> = document.numbers().collect();
    let chunks = source.chunks(&numbers)?;
    let vectors = source.vectors(&numbers)?;
    let text = source.document(&document.id)?.filter(|(found, _)| *found == document);
    let Some((_, text)) = text.filter(|_| chunks.len() == numbers.len()) else { return Ok(None) };
    let new = |(hit, vector): (crate::index::ChunkHit, Option<Vec<f32>>)| {
        Some(NewChunk { chunk: hit.chunk, vector: vector? })
    };
    let Some(chunks) = chunks.into_iter().zip(vectors).map(new).collect() else { return Ok(None) };
    let StoredDocument { id, title, metadata, layout, hash, .. } = document;
    Ok(Some(NewDocument { id, title, text, metadata, layout, hash, chunks }))
}

/// Returns the number of documents and a hash over the id, the hash and the number of chunks of each.
fn digest(collection: &dyn DocumentStore) -> Result<(usize, blake3::Hash), EngineError> {
    let mut lines = Vec::new();
    let mut from = Some(0);
    while let Some(start) = from {
        let page = collection.documents(start, PAGE, None)?;
        from = page.next;
        let line = |document: StoredDocument| {
            serde_json::json!([document.id, document.hash, document.chunks]).to_string()
        };
        lines.extend(page.documents.into_iter().map(line));
    }
    // One that was stored again stands elsewhere.
    lines.sort_unstable();
    Ok((lines.len(), blake3::hash(lines.join("\n").as_bytes())))
}
