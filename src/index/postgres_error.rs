//! The reasons why PostgreSQL cannot be used.

use std::time::Duration;

/// A reason why the database that holds collections cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PostgresError {
    /// The variable with the password is not set.
    #[error(
        "`store.password_env` names the environment variable {0}, which is not set: set it, or leave out \
         `store.password_env` if the database asks for no password"
    )]
    NoPassword(String),
    /// The address cannot be used.
    #[error("`store.url` cannot be used: {0}")]
    Address(String),
    /// No connection was tried yet.
    #[error("PostgreSQL at {address} is not connected to yet")]
    Connecting {
        /// The server's host, port and database.
        address: String,
    },
    /// The connection cannot be made, or broke.
    #[error(
        "PostgreSQL at {address} cannot be reached: {reason}; check that it runs there, and that `store.url` says \
         `sslmode=disable` if, and only if, it speaks no TLS"
    )]
    Unreachable {
        /// The server's host, port and database.
        address: String,
        /// The cause.
        reason: String,
    },
    /// All connections are in use.
    #[error(
        "PostgreSQL at {address} has no free connection within {} ms: try again in a moment, or raise `store.pool`",
        .time.as_millis()
    )]
    Busy {
        /// The server's host, port and database.
        address: String,
        /// The time that was waited.
        time: Duration,
    },
    /// A statement was not answered in time.
    #[error(
        "PostgreSQL at {address} did not answer within {} ms (`store.timeout_ms`): try again, with fewer documents at \
         once",
        .time.as_millis()
    )]
    Late {
        /// The server's host, port and database.
        address: String,
        /// The time that it had.
        time: Duration,
    },
    /// The password is wrong, or there is none.
    #[error(
        "PostgreSQL at {address} refuses the user or the password: put the right password into an environment variable, \
         and its name into `store.password_env`"
    )]
    Password {
        /// The server's host, port and database.
        address: String,
    },
    /// The extension for vectors is missing.
    #[error(
        "PostgreSQL at {address} lacks the extension pgvector 0.8 or later, and {reason}: install it there, and have an \
         administrator run `CREATE EXTENSION vector` in this database"
    )]
    NoVectors {
        /// The server's host, port and database.
        address: String,
        /// The server's words, or the version that it has.
        reason: String,
    },
    /// Tables were made by a version of whittle that this one does not know.
    #[error(
        "the tables in PostgreSQL at {address} have the version {found}, and this build knows {known}: use the whittle \
         that made them"
    )]
    Newer {
        /// The server's host, port and database.
        address: String,
        /// The version that was found.
        found: i32,
        /// The version of this build.
        known: i32,
    },
    /// The server cannot do what it was asked at the moment, or is not allowed to.
    #[error("PostgreSQL at {address} refuses: {reason}")]
    Refused {
        /// The server's host, port and database.
        address: String,
        /// The server's words.
        reason: String,
    },
    /// A table is missing, such as those of a collection that was deleted meanwhile.
    #[error("PostgreSQL at {address} lacks a table: {reason}")]
    NoTable {
        /// The server's host, port and database.
        address: String,
        /// The server's words.
        reason: String,
    },
    /// The server's disk is full.
    #[error(
        "the disk of PostgreSQL at {address} is full: make room there and try again; what was acknowledged is kept"
    )]
    Full {
        /// The server's host, port and database.
        address: String,
    },
}
