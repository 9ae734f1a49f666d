//! The reasons why keys cannot be read or changed.

use std::io;
use std::path::PathBuf;

use crate::index::IndexError;

/// An error of reading or changing keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file cannot be read or written.
    #[error("cannot use the file with the keys, {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file does not hold keys.
    #[error("{} contains no keys: {reason}; restore it, or remove it and create new keys", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The description of the fault.
        reason: String,
    },
    /// The database with the keys cannot be used.
    #[error("cannot use the keys in the database: {0}")]
    Database(#[from] IndexError),
    /// What keys have spent today cannot be read, without which none of them can be let in.
    #[error("cannot read what keys have spent today: {0}")]
    Spending(String),
    /// A key cannot be made.
    #[error("{0}")]
    Invalid(String),
    /// No key has the id or name.
    #[error("no valid key has the id or name `{0}`: `whittle keys list` shows them")]
    NoSuchKey(String),
}
