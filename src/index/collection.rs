//! One collection: the store and the two indexes of it.

use std::collections::HashMap;
use std::io::{Read, Seek, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::error::SnapshotError;
use super::lexical::{Entry, Lexical, differences, flat};
use super::record::{Allowed, Batch, ChunkHit, NewDocument, Settings, StoredDocument};
use super::snapshot::{self, Snapshot};
use super::store::{Applied, Catalog, FoundChunk, Store, View};
use super::vector_index::{Scored, VectorIndex};
use super::{IndexError, Metadata, Name};

const STORE: &str = "store.redb";
const LEXICAL: &str = "lexical";
const DENSE: &str = "dense";
/// Bytes of text and vectors after which a transaction ends while a snapshot is restored.
const RESTORED_BYTES: usize = 32 << 20;

/// Describes a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statistics {
    /// Documents in it.
    pub documents: u64,
    /// Chunks of them.
    pub chunks: u64,
    /// Batches that were applied so far.
    pub epoch: u64,
    /// Chunks that the dense index has links for.
    pub linked: usize,
    /// Linked chunks that are gone.
    pub dead: usize,
    /// Chunks that the dense index compares one by one.
    pub fresh: usize,
    /// Chunks in the lexical index.
    pub lexical: u64,
    /// Bytes of its files.
    pub bytes: u64,
}

/// Some documents in the order of their age, and where to go on.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The documents.
    pub documents: Vec<StoredDocument>,
    /// The cursor of the next page; `None` at the end.
    pub next: Option<u64>,
}

/// A set of documents that can be searched. Calls block.
pub struct Collection {
    name: Name,
    folder: PathBuf,
    settings: Settings,
    store: Store,
    lexical: Lexical,
    vector_index: VectorIndex,
    catalog: RwLock<Catalog>,
    /// Held while a batch is applied; says whether one still may be.
    writing: Mutex<Life>,
    reports: Vec<String>,
}

/// The state of a collection: whether it takes changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Open,
    Deleted,
}

/// The result of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Documents that it stored.
    pub stored: usize,
    /// Documents that it removed, those included that others took the place of.
    pub removed: usize,
}

impl std::fmt::Debug for Collection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collection")
            .field("name", &self.name)
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

impl Collection {
    /// Makes the files of a new collection in an empty folder.
    pub(super) fn create(folder: &Path, settings: &Settings) -> Result<(), IndexError> {
        Store::create(&folder.join(STORE), settings).map(drop)
    }

    /// Creates a collection from a snapshot, with all that it holds.
    pub(super) fn create_from(
        folder: &Path,
        mut snapshot: Snapshot<impl Read + Seek>,
    ) -> Result<(), IndexError> {
        let store = Store::create(&folder.join(STORE), &snapshot.settings)?;
        let (mut batch, mut bytes, mut stored) = (Batch::default(), 0, 0);
        while let Some(document) = snapshot.next()? {
            bytes += document.text.len() + 4 * snapshot.settings.dimensions * document.chunks.len();
            batch.upsert.push(document);
            stored += 1;
            if bytes > RESTORED_BYTES {
                store.apply(&std::mem::take(&mut batch))?;
                bytes = 0;
            }
        }
        if !batch.upsert.is_empty() {
            store.apply(&batch)?;
        }
        // Of two with one id the last would be there alone.
        if store.view()?.counts()?.0 != stored {
            let reason = "two documents of it have the same id";
            return Err(SnapshotError::Invalid(reason.into()).into());
        }
        Ok(())
    }

    /// Opens the collection in `folder` and brings its indexes up to date.
    pub(super) fn open(name: Name, folder: &Path) -> Result<Self, IndexError> {
        let (store, settings) = Store::open(&folder.join(STORE))?;
        let view = store.view()?;
        let mut reports = Vec::new();
        let mut report = |what: String| {
            tracing::warn!(collection = name.as_str(), "{what}");
            reports.push(what);
        };
        let lexical = followed(&folder.join(LEXICAL), &settings, &view, &mut report)?;
        let numbers = view.numbers()?;
        let vector = |number| {
            let vector = view.vector(number)?.filter(|vector| vector.len() == settings.dimensions);
            vector.ok_or_else(|| IndexError::Store(format!("chunk {number} has no vector")))
        };
        let dense = folder.join(DENSE);
        let vector_index =
            VectorIndex::open(&dense, &settings.id, settings.dimensions, &numbers, &vector, &mut report)?;
        let catalog = RwLock::new(view.catalog()?);
        drop(view);
        Ok(Self {
            name,
            folder: folder.to_owned(),
            settings,
            store,
            lexical,
            vector_index,
            catalog,
            writing: Mutex::new(Life::Open),
            reports,
        })
    }

    /// Returns the collection's name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Returns the collection's settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns descriptions of the damage that was found and repaired on opening.
    #[must_use]
    pub fn reports(&self) -> &[String] {
        &self.reports
    }

    /// Applies `batch` whole or not at all. Once this returns it survives a crash, and searches see it.
    ///
    /// # Errors
    /// A document cannot be stored, the collection was deleted, or the store failed; then nothing has changed.
    pub fn apply(&self, batch: &Batch) -> Result<Change, IndexError> {
        for document in &batch.upsert {
            document.check(self.settings.dimensions)?;
        }
        let life = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if *life == Life::Deleted {
            return Err(IndexError::NotFound(self.name.clone()));
        }
        let applied = self.store.apply(batch)?;
        self.update(batch, &applied);
        Ok(Change { stored: applied.added.len(), removed: applied.removed.len() })
    }

    /// Makes the collection read-only: nothing is changed or written from now on.
    pub(super) fn retire(&self) {
        *self.writing.lock().unwrap_or_else(PoisonError::into_inner) = Life::Deleted;
        self.vector_index.retire();
    }

    /// Brings what is in memory and the lexical index up to date. The batch is on disk already.
    fn update(&self, batch: &Batch, applied: &Applied) {
        // Of two with one id the last was stored.
        let stored: HashMap<&str, &NewDocument> = batch.upsert.iter().map(|new| (&*new.id, new)).collect();
        let vectors = applied.added.iter().flat_map(|document| {
            let new = stored.get(&*document.id);
            let vectors = new.into_iter().flat_map(|new| &new.chunks).map(|new| new.vector.as_slice());
            document.numbers().zip(vectors)
        });
        self.vector_index.apply(vectors, &applied.removed);
        {
            let mut catalog = self.catalog.write().unwrap_or_else(PoisonError::into_inner);
            for range in &applied.removed {
                catalog.remove(&range.start);
            }
            for document in &applied.added {
                let entry = (document.numbers().end, document.metadata.clone());
                catalog.insert(document.first, entry);
            }
        }
        if let Err(error) = self.follow(applied) {
            // The store has it all; searches by words lag until the next batch or start.
            tracing::error!(collection = self.name.as_str(), %error, "the lexical index could not be written");
        }
    }

    /// Brings the lexical index from the epoch before `applied` to that of it.
    fn follow(&self, applied: &Applied) -> Result<(), IndexError> {
        let view = self.store.view()?;
        if self.lexical.epoch() + 1 != applied.epoch {
            return catch_up(&self.lexical, &self.settings.id, &view);
        }
        let added: Vec<u64> = applied.added.iter().flat_map(StoredDocument::numbers).collect();
        let surplus = flat(&applied.removed).collect();
        index_words(&self.lexical, &self.settings.id, &view, &added, surplus)
    }

    /// The `k` chunks with the best BM25 score for `query`, best first.
    ///
    /// # Errors
    /// The index failed.
    pub fn search_words(
        &self,
        query: &str,
        k: usize,
        allowed: Option<&Allowed>,
    ) -> Result<Vec<Scored>, IndexError> {
        self.lexical.search(query, k, allowed)
    }

    /// The `k` chunks whose vectors have the largest product with `query`, best first; found by way of links, so
    /// that now and then one is missed.
    ///
    /// # Errors
    /// `query` is not of the collection's width or holds a value that is no number.
    pub fn search_vectors(
        &self,
        query: &[f32],
        k: usize,
        allowed: Option<&Allowed>,
    ) -> Result<Vec<Scored>, IndexError> {
        self.check_query(query)?;
        Ok(self.vector_index.search(query, k, allowed))
    }

    /// Searches like [`Collection::search_vectors`], but compares with every chunk: the reference for measuring
    /// recall.
    ///
    /// # Errors
    /// As there.
    pub fn search_vectors_exactly(&self, query: &[f32], k: usize) -> Result<Vec<Scored>, IndexError> {
        self.check_query(query)?;
        Ok(self.vector_index.search_exactly(query, k))
    }

    fn check_query(&self, query: &[f32]) -> Result<(), IndexError> {
        let width = self.settings.dimensions;
        if query.len() != width {
            return Err(IndexError::Settings(format!(
                "the query's vector has {} values, those of `{}` have {width}: it was made with the model {}",
                query.len(),
                self.name,
                self.settings.embedder,
            )));
        }
        if !query.iter().all(|value| value.is_finite()) {
            return Err(IndexError::Settings("the query's vector holds a value that is no number".into()));
        }
        Ok(())
    }

    /// Vector of a chunk; none where it is gone.
    #[must_use]
    pub fn vector(&self, number: u64) -> Option<Vec<f32>> {
        self.vector_index.vector(number)
    }

    /// The chunks of `numbers` that are still there, in that order.
    ///
    /// # Errors
    /// The store failed.
    pub fn chunks(&self, numbers: &[u64]) -> Result<Vec<ChunkHit>, IndexError> {
        let view = self.store.view()?;
        numbers.iter().filter_map(|&number| view.chunk(number).transpose()).collect()
    }

    /// Chunks of the documents whose metadata `keep` holds for.
    #[must_use]
    pub fn matching(&self, keep: &dyn Fn(&Metadata) -> bool) -> Allowed {
        let catalog = self.catalog.read().unwrap_or_else(PoisonError::into_inner);
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for (&start, (end, metadata)) in catalog.iter() {
            if keep(metadata) {
                match ranges.last_mut() {
                    Some(last) if last.end == start => last.end = *end,
                    _ => ranges.push(start..*end),
                }
            }
        }
        Allowed(ranges.into())
    }

    /// A document and its text.
    ///
    /// # Errors
    /// The store failed.
    pub fn document(&self, id: &str) -> Result<Option<(StoredDocument, String)>, IndexError> {
        let view = self.store.view()?;
        let Some(number) = view.find(id)? else { return Ok(None) };
        Ok(view.document(number)?.zip(view.text(number)?))
    }

    /// [`StoredDocument::hash`] of each document of `ids`; none where it is not there.
    ///
    /// # Errors
    /// The store failed.
    pub fn hashes(&self, ids: &[&str]) -> Result<Vec<Option<String>>, IndexError> {
        let view = self.store.view()?;
        let hash = |id: &&str| {
            let Some(number) = view.find(id)? else { return Ok(None) };
            Ok(view.document(number)?.map(|document| document.hash))
        };
        ids.iter().map(hash).collect()
    }

    /// Up to `most` documents whose metadata `keep` holds for, the oldest first, from [`Page::next`] on.
    ///
    /// # Errors
    /// The store failed.
    pub fn documents(
        &self,
        from: u64,
        most: usize,
        keep: &dyn Fn(&Metadata) -> bool,
    ) -> Result<Page, IndexError> {
        let mut page = Page { documents: Vec::new(), next: None };
        self.store.view()?.each_document(from, |document| {
            if page.documents.len() == most {
                page.next = Some(document.first);
                return Ok(false);
            }
            if keep(&document.metadata) {
                page.documents.push(document);
            }
            Ok(true)
        })?;
        Ok(page)
    }

    /// Calls `each` with all documents as they are at this moment, the oldest first, and their texts, until it fails.
    ///
    /// # Errors
    /// The store failed, or `each` did.
    pub fn each<E>(
        &self,
        mut each: impl FnMut(StoredDocument, String) -> Result<(), E>,
    ) -> Result<Result<(), E>, IndexError> {
        let (view, mut told) = (self.store.view()?, Ok(()));
        view.each_document(0, |document| {
            let text = view.text(document.first)?;
            let lost = || IndexError::Store(format!("document {} has no text", document.first));
            let text = text.ok_or_else(lost)?;
            told = each(document, text);
            Ok(told.is_ok())
        })?;
        Ok(told)
    }

    /// Writes all that is in the collection at this moment to `out`, for [`super::DataDir::restore`].
    ///
    /// # Errors
    /// The store failed, or `out` did.
    pub fn snapshot(&self, out: &mut dyn Write) -> Result<(), IndexError> {
        snapshot::write(&self.store.view()?, &self.settings, out)
    }

    /// Counts and sizes.
    ///
    /// # Errors
    /// The store failed.
    pub fn statistics(&self) -> Result<Statistics, IndexError> {
        let view = self.store.view()?;
        let (documents, chunks) = view.counts()?;
        let (linked, dead, fresh) = self.vector_index.counts();
        Ok(Statistics {
            documents,
            chunks,
            epoch: view.epoch()?,
            linked,
            dead,
            fresh,
            lexical: self.lexical.len(),
            bytes: bytes_below(&self.folder),
        })
    }

    /// Links the chunks of the dense index anew on another thread if so many have come or gone that searches suffer.
    pub fn maintain(self: &Arc<Self>) {
        if !self.vector_index.needs_rebuild() {
            return;
        }
        let collection = Arc::clone(self);
        let spawned = std::thread::Builder::new().name("whittle-links".into()).spawn(move || {
            // What came while links were made may be enough for the next round.
            while collection.vector_index.needs_rebuild() && collection.optimise().is_ok_and(|built| built) {}
        });
        if let Err(error) = spawned {
            tracing::error!(%error, "no thread could be started to link chunks");
        }
    }

    /// Links the chunks of the dense index anew and puts the links on disk. Gives false where nothing has changed
    /// since the last time, or another thread is at it.
    ///
    /// # Errors
    /// The files cannot be written; the index goes on as it was.
    pub fn optimise(&self) -> Result<bool, IndexError> {
        let built = self.vector_index.rebuild();
        if let Err(error) = &built {
            tracing::error!(collection = self.name.as_str(), %error, "the dense index could not be rebuilt");
        }
        built
    }
}

/// Opens the lexical index and brings it up to date; one that cannot be is made anew.
fn followed(
    folder: &Path,
    Settings { id, words, .. }: &Settings,
    view: &View,
    report: &mut dyn FnMut(String),
) -> Result<Lexical, IndexError> {
    let lexical = Lexical::open(folder, id, *words, report)?;
    let Err(error) = catch_up(&lexical, id, view) else { return Ok(lexical) };
    report(format!("{error}; it is rebuilt from the store"));
    drop(lexical);
    let lexical = Lexical::anew(folder, *words)?;
    catch_up(&lexical, id, view)?;
    Ok(lexical)
}

/// Brings a lexical index to the store's epoch. One that counts other chunks than the store has at its epoch is an error:
/// its list of segments, which has no checksum, is damaged, and what it says of them cannot be relied on.
fn catch_up(lexical: &Lexical, collection: &str, view: &View) -> Result<(), IndexError> {
    if lexical.epoch() != view.epoch()? {
        let (missing, surplus) = differences(&view.numbers()?, &lexical.numbers()?);
        index_words(lexical, collection, view, &missing, surplus)?;
    }
    let (counted, wanted) = (lexical.len(), view.counts()?.1);
    if counted == wanted {
        return Ok(());
    }
    Err(IndexError::Lexical(format!("the lexical index counts {counted} chunks, the store {wanted}")))
}

/// Adds and removes chunks; the index is then at the epoch of `view`.
fn index_words(
    lexical: &Lexical,
    collection: &str,
    view: &View,
    missing: &[u64],
    surplus: Vec<u64>,
) -> Result<(), IndexError> {
    lexical.apply(collection, view.epoch()?, surplus, |add| {
        view.each_chunk(missing, |found| {
            let title = title_of(&found);
            add(Entry { number: found.number, title: &title, text: found.text })
        })
    })
}

fn title_of(found: &FoundChunk<'_>) -> String {
    let titles = found.document.title.iter().chain(&found.chunk.headings);
    titles.map(String::as_str).collect::<Vec<_>>().join("\n")
}

/// Bytes of the files below `folder`; those that go away meanwhile do not count.
fn bytes_below(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}
