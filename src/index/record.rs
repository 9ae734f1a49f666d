//! The records of the store.

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::IndexError;
use super::words::WordSettings;
use crate::text::{ChunkSettings, Layout};

/// Longest id of a document, in bytes.
pub const ID_BYTES: usize = 512;

/// Free data of a document.
pub type Metadata = serde_json::Map<String, serde_json::Value>;

/// The settings of a collection, fixed for its lifetime.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Unique: files of another collection of the same name are not taken for this one's.
    pub id: String,
    /// Model that made the vectors.
    pub embedder: String,
    /// The fingerprint of the embedder's files, so that another model of the same name is not mistaken for it; unknown
    /// for old collections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// Values in a vector, at least 2.
    pub dimensions: usize,
    /// The settings for chunking documents.
    pub chunks: ChunkSettings,
    /// The settings for searching words; collections of earlier versions have those that were the only ones then.
    #[serde(default)]
    pub words: WordSettings,
}

impl Settings {
    /// Settings for a new collection.
    ///
    /// # Errors
    /// A value is out of its range.
    pub fn new(embedder: &str, dimensions: usize, chunks: ChunkSettings) -> Result<Self, IndexError> {
        if !(2..=65_536).contains(&dimensions) {
            return Err(IndexError::Settings(format!(
                "{dimensions} dimensions; they must be from 2 to 65536"
            )));
        }
        chunks.check().map_err(IndexError::Settings)?;
        let id = uuid::Uuid::now_v7().to_string();
        let words = WordSettings::default();
        Ok(Self { id, embedder: embedder.to_owned(), identity: None, dimensions, chunks, words })
    }

    /// Returns the settings with words that are searched for by `words`.
    #[must_use]
    pub fn with_words(self, words: WordSettings) -> Self {
        Self { words, ..self }
    }

    /// Returns the settings with `identity` as the fingerprint of the model's files.
    #[must_use]
    pub fn with_identity(self, identity: &str) -> Self {
        Self { identity: Some(identity.to_owned()), ..self }
    }

    /// Would a collection with `other` settings do for one with these? One of them may not know its model's files.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        let known = self.identity.as_ref().zip(other.identity.as_ref());
        known.is_none_or(|(identity, other)| identity == other)
            && (&self.embedder, self.dimensions, self.chunks, self.words)
                == (&other.embedder, other.dimensions, other.chunks, other.words)
    }

    /// Checks the ranges and returns the settings for another collection.
    ///
    /// # Errors
    /// A value is out of its range.
    pub fn renewed(self) -> Result<Self, IndexError> {
        let Self { id, .. } = Self::new(&self.embedder, self.dimensions, self.chunks)?;
        Ok(Self { id, ..self })
    }
}

/// A document to store, in place of one with the same id if there is one.
#[derive(Debug, Clone)]
pub struct NewDocument {
    /// Unique in its collection; 1 to 512 bytes.
    pub id: String,
    /// May be searched for, too.
    pub title: Option<String>,
    /// The text that the chunks are ranges of.
    pub text: String,
    /// Free data; filters look at it.
    pub metadata: Metadata,
    /// The layout of the text.
    pub layout: Layout,
    /// Tells whether a document has changed.
    pub hash: String,
    /// The chunks, at least one.
    pub chunks: Vec<NewChunk>,
}

/// A part of a document to store.
#[derive(Debug, Clone)]
pub struct NewChunk {
    /// The position and heading of the chunk.
    pub chunk: StoredChunk,
    /// The embedding, of length 1.
    pub vector: Vec<f32>,
}

impl NewDocument {
    /// Checks that the document can be stored in a collection with vectors of `dimensions` values.
    pub(super) fn check(&self, dimensions: usize) -> Result<(), IndexError> {
        let wrong =
            |reason: String| Err(IndexError::Document { id: self.id.chars().take(80).collect(), reason });
        if self.id.is_empty() || self.id.len() > ID_BYTES {
            return wrong(format!("an id has 1 to {ID_BYTES} bytes"));
        }
        if self.chunks.is_empty() {
            return wrong("it is empty".into());
        }
        for NewChunk { chunk, vector } in &self.chunks {
            if self.text.get(chunk.range.clone()).is_none() {
                return wrong(format!("the chunk {:?} is not a part of its text", chunk.range));
            }
            if let Some(header) =
                chunk.header.clone().filter(|header| self.text.get(header.clone()).is_none())
            {
                return wrong(format!("the header {header:?} of a chunk is not a part of its text"));
            }
            if vector.len() != dimensions {
                return wrong(format!(
                    "its vector has {} values, those of the collection have {dimensions}",
                    vector.len()
                ));
            }
            let length = vector.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
            if !(0.99..=1.01).contains(&length) {
                return wrong(format!("its vector has the length {length}, not 1"));
            }
        }
        Ok(())
    }
}

/// Changes that take place together or not at all.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Ids of documents to remove; those that do not exist are passed over.
    pub remove: Vec<String>,
    /// Documents to store; of two with the same id the last holds.
    pub upsert: Vec<NewDocument>,
}

/// A document without its text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredDocument {
    /// Unique in its collection.
    pub id: String,
    /// The title as given.
    pub title: Option<String>,
    /// The metadata as given.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// The layout as given.
    pub layout: Layout,
    /// The hash as given.
    pub hash: String,
    /// Number of its first chunk.
    pub first: u64,
    /// The number of chunks.
    pub chunks: u64,
    /// Bytes of its text.
    pub bytes: usize,
}

impl StoredDocument {
    /// Numbers of its chunks.
    #[must_use]
    pub fn numbers(&self) -> Range<u64> {
        self.first..self.first + self.chunks
    }
}

/// A chunk without its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredChunk {
    /// Byte range of the document's text.
    pub range: Range<usize>,
    /// The headings that it stands under, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headings: Vec<String>,
    /// Byte range of the header row of the table that it begins inside of; chunks of earlier versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<Range<usize>>,
    /// Tokens, as the embedder counts them, those of the header included.
    pub tokens: usize,
}

/// A chunk with what it is a part of.
#[derive(Debug, Clone, PartialEq)]
pub struct ChunkHit {
    /// Number in the collection; never used again once it is gone.
    pub number: u64,
    /// The document of the chunk.
    pub document: StoredDocument,
    /// The position of the chunk.
    pub chunk: StoredChunk,
    /// The text at that place.
    pub text: String,
    /// The header row of the table that it begins inside of.
    pub header: Option<String>,
}

impl ChunkHit {
    /// Name of the chunk: the document's id and its place among the chunks, from 0.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}#{}", self.document.id, self.number - self.document.first)
    }

    /// The text with the header of its table before it, as a reader needs it.
    #[must_use]
    pub fn readable(&self) -> String {
        self.header.as_ref().map_or_else(|| self.text.clone(), |header| format!("{header}\n{}", self.text))
    }
}

/// Chunks that a search may give, as ascending ranges of their numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed(pub(super) Arc<[Range<u64>]>);

impl Allowed {
    /// Returns whether the chunk is in the set.
    #[must_use]
    pub fn contains(&self, number: u64) -> bool {
        let after = self.0.partition_point(|range| range.start <= number);
        after.checked_sub(1).is_some_and(|at| self.0[at].contains(&number))
    }

    /// Returns the number of chunks.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.iter().map(|range| range.end - range.start).sum()
    }

    /// Are there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ranges.
    #[must_use]
    pub fn ranges(&self) -> &[Range<u64>] {
        &self.0
    }
}
