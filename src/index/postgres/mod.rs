//! Collections in PostgreSQL with pgvector, which several replicas share.
//!
//! Each collection has tables of its own, named by a number: documents, chunks with their vectors and an HNSW index, the
//! words of chunks as our own tokenizer cuts them with a GIN index, and in how many chunks each word is. A batch is one
//! transaction that holds the collection's row, so that replicas apply batches one after the other; searches wait for
//! nobody. Nothing is kept in this process, so that what one replica stored the next one finds at once.
//!
//! A statement's text is made of ours alone: what callers say is bound as parameters.

mod collection;
mod error;
mod filter;
mod link;
mod measure;
mod numbers;
mod store;
mod terms;

pub use link::Postgres;
pub use measure::{DatabaseState, TIME_BOUNDS, TransactionTimes};
