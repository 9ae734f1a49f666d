//! The traits of what keeps collections, and the local ones behind them.

use std::io::{Read, Seek, Write};
use std::sync::Arc;

use super::collection::{Change, Collection, Page, Statistics};
use super::data_dir::DataDir;
use super::filter::Filter;
use super::record::{Batch, ChunkHit, Settings, StoredDocument};
use super::vector_index::Scored;
use super::{IndexError, Name};

/// A file that can be read from any place.
pub trait ReadSeek: Read + Seek {}

impl<T: Read + Seek> ReadSeek for T {}

/// All collections of one place: a folder of this machine, or a database. Calls block.
pub trait CollectionStore: Send + Sync {
    /// Makes a collection. Once this returns it survives a crash.
    ///
    /// # Errors
    /// There is one of that name, or it cannot be written.
    fn create(&self, name: &Name, settings: &Settings) -> Result<Arc<dyn DocumentStore>, IndexError>;

    /// Returns the collection called `name`.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    fn get(&self, name: &Name) -> Result<Arc<dyn DocumentStore>, IndexError>;

    /// Returns the names of all collections, in order.
    ///
    /// # Errors
    /// They cannot be read.
    fn names(&self) -> Result<Vec<Name>, IndexError>;

    /// Removes a collection with all that is in it.
    ///
    /// # Errors
    /// There is none, or it cannot be removed.
    fn delete(&self, name: &Name) -> Result<(), IndexError>;

    /// Checks that a collection can be created under this name.
    ///
    /// # Errors
    /// There is one.
    fn check_free(&self, name: &Name) -> Result<(), IndexError>;

    /// Makes a collection of what [`DocumentStore::snapshot`] wrote, whole or not at all.
    ///
    /// # Errors
    /// There is one of that name, `snapshot` is damaged or none, or the collection cannot be written.
    fn restore(&self, name: &Name, snapshot: &mut dyn ReadSeek)
    -> Result<Arc<dyn DocumentStore>, IndexError>;
}

/// The documents of one collection, their chunks and the search in them. Calls block.
pub trait DocumentStore: Send + Sync {
    /// Returns the collection's name.
    fn name(&self) -> &Name;

    /// Returns the collection's settings.
    fn settings(&self) -> &Settings;

    /// Returns descriptions of the damage that was found and repaired on opening.
    fn reports(&self) -> &[String];

    /// Applies `batch` whole or not at all. Once this returns it survives a crash, and searches see it.
    ///
    /// # Errors
    /// A document cannot be stored, the collection was deleted, or the store failed; then nothing has changed.
    fn apply(&self, batch: &Batch) -> Result<Change, IndexError>;

    /// Ranks chunks by words, by vectors or by both, as they are at one moment.
    ///
    /// # Errors
    /// The vector is not of the collection's width or holds a value that is no number, or an index failed.
    fn rank(&self, lookup: &Lookup<'_>) -> Result<Rankings, IndexError>;

    /// Ranks chunks by vectors like [`DocumentStore::rank`], but compares with every chunk.
    ///
    /// # Errors
    /// As there.
    fn rank_exactly(&self, query: &[f32], k: usize) -> Result<Vec<Scored>, IndexError>;

    /// Returns the vectors of chunks, in that order; `None` where a chunk is gone.
    ///
    /// # Errors
    /// The store failed.
    fn vectors(&self, numbers: &[u64]) -> Result<Vec<Option<Vec<f32>>>, IndexError>;

    /// Returns the chunks of `numbers` that are still there, in that order.
    ///
    /// # Errors
    /// The store failed.
    fn chunks(&self, numbers: &[u64]) -> Result<Vec<ChunkHit>, IndexError>;

    /// Returns whether the metadata of any document has this field, by its name or path.
    ///
    /// # Errors
    /// The store failed.
    fn has_field(&self, field: &str) -> Result<bool, IndexError>;

    /// Returns a document and its text, if it is there.
    ///
    /// # Errors
    /// The store failed.
    fn document(&self, id: &str) -> Result<Option<(StoredDocument, String)>, IndexError>;

    /// Returns [`StoredDocument::hash`] of each document of `ids`; `None` where it is not there.
    ///
    /// # Errors
    /// The store failed.
    fn hashes(&self, ids: &[&str]) -> Result<Vec<Option<String>>, IndexError>;

    /// Returns up to `most` documents that meet the filter, the oldest first, from [`Page::next`] on.
    ///
    /// # Errors
    /// The store failed.
    fn documents(&self, from: u64, most: usize, filter: Option<&Filter>) -> Result<Page, IndexError>;

    /// Calls `each` with the documents as they are at this moment, the oldest first, and their texts, until it says
    /// false.
    ///
    /// # Errors
    /// The store failed.
    fn each(&self, each: &mut dyn FnMut(StoredDocument, String) -> bool) -> Result<(), IndexError>;

    /// Writes all that is in the collection at this moment to `out`, for [`CollectionStore::restore`].
    ///
    /// # Errors
    /// The store failed, or `out` did.
    fn snapshot(&self, out: &mut dyn Write) -> Result<(), IndexError>;

    /// Returns counts and sizes.
    ///
    /// # Errors
    /// The store failed.
    fn statistics(&self) -> Result<Statistics, IndexError>;

    /// Brings indexes up to date on another thread if so much has come or gone that searches suffer.
    fn maintain(self: Arc<Self>);

    /// Brings indexes up to date now. Gives false where there was nothing to do.
    ///
    /// # Errors
    /// They cannot be written.
    fn optimise(&self) -> Result<bool, IndexError>;
}

/// The question to a collection: which chunks are best by words, by a vector, or by each of them.
#[derive(Debug, Clone, Copy)]
pub struct Lookup<'a> {
    /// The text whose words rank chunks, if words do.
    pub words: Option<&'a str>,
    /// The vector that ranks chunks, if vectors do.
    pub vector: Option<&'a [f32]>,
    /// The number of chunks in each ranking at most.
    pub depth: usize,
    /// The condition on the chunks' documents.
    pub filter: Option<&'a Filter>,
}

/// The best chunks by words and by vectors, each ranking best first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rankings {
    /// The ranking by words; empty where none was asked for.
    pub words: Vec<Scored>,
    /// The ranking by vectors; empty where none was asked for.
    pub vectors: Vec<Scored>,
}

impl CollectionStore for DataDir {
    fn create(&self, name: &Name, settings: &Settings) -> Result<Arc<dyn DocumentStore>, IndexError> {
        Ok(DataDir::create(self, name, settings)?)
    }

    fn get(&self, name: &Name) -> Result<Arc<dyn DocumentStore>, IndexError> {
        Ok(DataDir::get(self, name)?)
    }

    fn names(&self) -> Result<Vec<Name>, IndexError> {
        DataDir::names(self)
    }

    fn delete(&self, name: &Name) -> Result<(), IndexError> {
        DataDir::delete(self, name)
    }

    fn check_free(&self, name: &Name) -> Result<(), IndexError> {
        DataDir::check_free(self, name)
    }

    fn restore(
        &self,
        name: &Name,
        snapshot: &mut dyn ReadSeek,
    ) -> Result<Arc<dyn DocumentStore>, IndexError> {
        Ok(DataDir::restore(self, name, snapshot)?)
    }
}

impl DocumentStore for Collection {
    fn name(&self) -> &Name {
        Collection::name(self)
    }

    fn settings(&self) -> &Settings {
        Collection::settings(self)
    }

    fn reports(&self) -> &[String] {
        Collection::reports(self)
    }

    fn apply(&self, batch: &Batch) -> Result<Change, IndexError> {
        Collection::apply(self, batch)
    }

    fn rank(&self, lookup: &Lookup<'_>) -> Result<Rankings, IndexError> {
        let allowed = lookup.filter.map(|filter| self.matching(&|metadata| filter.matches(metadata)));
        if allowed.as_ref().is_some_and(super::Allowed::is_empty) {
            return Ok(Rankings::default());
        }
        let words = lookup.words.map(|words| self.search_words(words, lookup.depth, allowed.as_ref()));
        let words = words.transpose()?.unwrap_or_default();
        let vectors = lookup.vector.map(|query| self.search_vectors(query, lookup.depth, allowed.as_ref()));
        Ok(Rankings { words, vectors: vectors.transpose()?.unwrap_or_default() })
    }

    fn rank_exactly(&self, query: &[f32], k: usize) -> Result<Vec<Scored>, IndexError> {
        self.search_vectors_exactly(query, k)
    }

    fn vectors(&self, numbers: &[u64]) -> Result<Vec<Option<Vec<f32>>>, IndexError> {
        Ok(numbers.iter().map(|&number| self.vector(number)).collect())
    }

    fn chunks(&self, numbers: &[u64]) -> Result<Vec<ChunkHit>, IndexError> {
        Collection::chunks(self, numbers)
    }

    fn has_field(&self, field: &str) -> Result<bool, IndexError> {
        Ok(!self.matching(&|metadata| Filter::has(metadata, field)).is_empty())
    }

    fn document(&self, id: &str) -> Result<Option<(StoredDocument, String)>, IndexError> {
        Collection::document(self, id)
    }

    fn hashes(&self, ids: &[&str]) -> Result<Vec<Option<String>>, IndexError> {
        Collection::hashes(self, ids)
    }

    fn documents(&self, from: u64, most: usize, filter: Option<&Filter>) -> Result<Page, IndexError> {
        let keep = |metadata: &_| filter.is_none_or(|filter| filter.matches(metadata));
        Collection::documents(self, from, most, &keep)
    }

    fn each(&self, each: &mut dyn FnMut(StoredDocument, String) -> bool) -> Result<(), IndexError> {
        // The error is what ends it, and says nothing.
        let told = |document, text| if each(document, text) { Ok(()) } else { Err(()) };
        Collection::each(self, told).map(|_| ())
    }

    fn snapshot(&self, out: &mut dyn Write) -> Result<(), IndexError> {
        Collection::snapshot(self, out)
    }

    fn statistics(&self) -> Result<Statistics, IndexError> {
        Collection::statistics(self)
    }

    fn maintain(self: Arc<Self>) {
        Collection::maintain(&self);
    }

    fn optimise(&self) -> Result<bool, IndexError> {
        Collection::optimise(self)
    }
}
