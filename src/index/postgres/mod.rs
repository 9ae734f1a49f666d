//! Collections in PostgreSQL with pgvector, which several replicas share.
//!
//! Each collection has tables of its own, named by a number: documents, chunks with their vectors and an HNSW index, the
//! words of chunks as our own tokenizer cuts them with a GIN index, and in how many chunks each word is. A batch is one
//! transaction that holds the collection's row, so that replicas apply batches one after the other; searches wait for
//! nobody. Nothing is kept in this process, so that what one replica stored the next one finds at once.
//!
//! What replicas share besides is in tables of its own: the keys of callers (`keys`), the ledger (`ledger`) and the proxy's
//! decisions (`decisions`). Here they are rows; what they mean is for the modules that use them.
//!
//! A statement's text is made of ours alone: what callers say is bound as parameters.

mod collection;
#[cfg(feature = "server")]
mod decisions;
mod error;
mod filter;
#[cfg(feature = "upstream")]
mod keys;
#[cfg(feature = "server")]
mod ledger;
mod link;
mod measure;
mod numbers;
mod store;
mod terms;

#[cfg(feature = "server")]
pub(crate) use decisions::DecisionRow;
#[cfg(feature = "upstream")]
pub(crate) use keys::{KeyChange, KeyRow};
#[cfg(feature = "server")]
pub(crate) use ledger::LedgerRow;
pub use link::Postgres;
pub use measure::{DatabaseState, TIME_BOUNDS, TransactionTimes};
