//! The reasons why the proxy's data cannot be used.

use crate::index::IndexError;
use crate::telemetry::chain;

/// A reason why the file, or the database that has the ledger, cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Another process holds it.
    #[error("{0} is in use by another whittle: end that one, or name another folder in WHITTLE_DATA_DIR")]
    InUse(String),
    /// Anything else.
    #[error("cannot use {file}: {reason}")]
    Unusable {
        /// The file.
        file: String,
        /// The cause.
        reason: String,
    },
    /// The database that has the ledger cannot be used.
    #[error("cannot use the ledger in the database: {0}")]
    Database(String),
}

impl From<IndexError> for StoreError {
    fn from(error: IndexError) -> Self {
        Self::Database(chain(&error))
    }
}
