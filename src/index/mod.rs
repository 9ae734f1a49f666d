//! Collections that last: documents, their chunks and vectors on disk, with what makes them quick to find.
//!
//! [`Collection::apply`] returns once a batch is in the store (redb, one transaction, synchronised to disk): the
//! store is the truth. The lexical index (tantivy) and the dense one (`hnsw_rs`) are caches of it. Each carries
//! what it was made from, is checked before it is read, and is brought up to date or made anew where it differs.
//!
//! What uses collections sees two traits, [`CollectionStore`] and [`DocumentStore`], whatever keeps them.

mod collection;
mod data_dir;
mod dense_file;
mod error;
mod filter;
mod hnsw;
mod lexical;
mod name;
mod postgres;
mod postgres_error;
mod record;
mod snapshot;
mod store;
mod stores;
#[cfg(test)]
mod tests;
mod vector_index;
mod vectors;
mod words;

pub use collection::{Change, Collection, Page, Statistics};
pub use data_dir::DataDir;
pub use error::{IndexError, SnapshotError};
pub use filter::Filter;
pub use name::{Name, NameError};
pub use postgres::{DatabaseState, Postgres, TIME_BOUNDS, TransactionTimes};
#[cfg(feature = "server")]
pub(crate) use postgres::{DecisionRow, LedgerRow};
#[cfg(feature = "upstream")]
pub(crate) use postgres::{KeyChange, KeyRow};
pub use postgres_error::PostgresError;
pub use record::{
    Allowed, Batch, ChunkHit, ID_BYTES, Metadata, NewChunk, NewDocument, Settings, StoredChunk,
    StoredDocument,
};
pub use stores::{CollectionStore, DocumentStore, Lookup, Rankings, ReadSeek};
pub use vector_index::Scored;
pub use words::{WordLanguage, WordSettings};
