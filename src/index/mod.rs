//! Collections that last: documents, their chunks and vectors on disk, with what makes them quick to find.
//!
//! [`Collection::apply`] returns once a batch is in the store (redb, one transaction, synchronised to disk): the
//! store is the truth. The lexical index (tantivy) and the dense one (`hnsw_rs`) are caches of it. Each carries
//! what it was made from, is checked before it is read, and is brought up to date or made anew where it differs.

mod collection;
mod data_dir;
mod dense;
mod error;
mod generation;
mod lexical;
mod name;
mod nearest;
mod record;
mod snapshot;
mod store;
#[cfg(test)]
mod tests;
mod vectors;

pub use collection::{Allowed, Change, Collection, Page, Statistics};
pub use data_dir::DataDir;
pub use error::IndexError;
pub use name::Name;
pub use nearest::Scored;
pub use record::{
    Batch, ChunkHit, ID_BYTES, Metadata, NewChunk, NewDocument, Settings, StoredChunk, StoredDocument,
};
pub use snapshot::SnapshotError;
