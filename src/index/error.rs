//! Errors of data on disk.

use std::io;
use std::path::{Path, PathBuf};

use super::name::{Name, NameError};
use super::postgres_error::PostgresError;
use crate::storage::StorageError;

/// Bytes of a document at most, for it is held in memory when it is read.
pub(super) const DOCUMENT_BYTES: u64 = 1 << 30;

/// Why a snapshot cannot be taken or restored.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It is another kind of file.
    #[error("this is not a snapshot: create one with `whittle index snapshot` or POST .../snapshot")]
    Foreign,
    /// Written by a version of whittle that this one does not know.
    #[error(
        "the snapshot has the format {found}, and this build knows {known}: use the whittle that took it, or export and import"
    )]
    Format {
        /// Its format.
        found: u32,
        /// That of this build.
        known: u32,
    },
    /// Bytes of it are lost or changed.
    #[error("the snapshot is damaged or truncated: create or download it again")]
    Damaged,
    /// It is whole, but no collection can hold what it says.
    #[error("the snapshot was not written by whittle: {0}")]
    Invalid(String),
    /// A document is too large for a snapshot.
    #[error(
        "document `{id}` takes {bytes} bytes, and a snapshot has room for {DOCUMENT_BYTES} of one: split it"
    )]
    TooLarge {
        /// Its id.
        id: String,
        /// What it takes.
        bytes: u64,
    },
    /// The file cannot be read or written.
    #[error("cannot {action} the snapshot: {reason}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Why not.
        reason: io::Error,
    },
}

/// An error of an operation on a collection.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// Another process has the data.
    #[error(
        "{} is in use by another whittle: stop it, use its HTTP service, or name another folder in WHITTLE_DATA_DIR",
        .0.display()
    )]
    InUse(PathBuf),
    /// A name that no collection can have.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The collection does not exist.
    #[error(
        "there is no collection `{0}`: `whittle index list` and GET /v1/collections name those that exist"
    )]
    NotFound(Name),
    /// The collection exists already.
    #[error(
        "there is a collection `{0}` with other settings already: delete it first, or choose another name"
    )]
    Exists(Name),
    /// Written by a version of whittle that this one does not know.
    #[error("{} has the format {found}, and this build knows {known}: use the whittle that wrote it, or export and import", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The format version that was found.
        found: u32,
        /// The format version of this build.
        known: u32,
    },
    /// A setting is out of its range.
    #[error("{0}")]
    Settings(String),
    /// A document cannot be stored.
    #[error("document `{id}`: {reason}")]
    Document {
        /// The id of the document.
        id: String,
        /// The description of the fault.
        reason: String,
    },
    /// The disk is full or faulty.
    #[error(
        "the disk failed or is full ({0}): see to it and try again, after a restart of a service; what was \
        acknowledged is kept"
    )]
    Disk(redb::Error),
    /// A collection's file is damaged, and is left as it is.
    #[error(
        "the store {} is damaged ({reason}): restore the collection from a snapshot, or delete it and ingest its \
        documents again",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The database failed while it was open.
    #[error("the store failed: {0}")]
    Store(String),
    /// The lexical index failed.
    #[error("the lexical index failed: {0}")]
    Lexical(String),
    /// A dense index on disk is not what its manifest says.
    #[error("the dense index in {} is unusable: {reason}", path.display())]
    Generation {
        /// The folder of the collection.
        path: PathBuf,
        /// The description of the fault.
        reason: String,
    },
    /// The database cannot be used.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// A snapshot cannot be taken or restored.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A file cannot be worked with.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The action that failed.
        action: &'static str,
        /// The path of the file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl IndexError {
    /// Returns the error of a file or folder that cannot be worked with.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}

macro_rules! store_error {
    ($($from:ty),*) => {
        $(impl From<$from> for IndexError {
            fn from(error: $from) -> Self {
                match redb::Error::from(error) {
                    error @ (redb::Error::Io(_) | redb::Error::PreviousIo) => Self::Disk(error),
                    error => Self::Store(error.to_string()),
                }
            }
        })*
    };
}
store_error!(redb::TransactionError, redb::TableError, redb::StorageError, redb::CommitError);

impl From<StorageError> for IndexError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::InUse(path) => Self::InUse(path),
            StorageError::Damaged { path, reason } => Self::Damaged { path, reason },
            StorageError::Io { action, path, source } => Self::Io { action, path, source },
        }
    }
}

impl From<serde_json::Error> for IndexError {
    fn from(error: serde_json::Error) -> Self {
        Self::Store(error.to_string())
    }
}
