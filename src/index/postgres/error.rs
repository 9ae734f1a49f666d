//! The meaning of the client library's errors.

use std::error::Error as _;
use std::time::Duration;

use tokio_postgres::error::SqlState;

use crate::index::{IndexError, PostgresError};

/// Returns the error that an error of the client library is. Nothing of a document is in it: of the server's words it
/// takes the message alone.
pub(super) fn of(address: &str, error: &tokio_postgres::Error, time: Duration) -> IndexError {
    let address = address.to_owned();
    let Some(server) = error.as_db_error() else {
        let reason = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        let broken = error.is_closed() || error.source().is_some();
        return if broken {
            PostgresError::Unreachable { address, reason }.into()
        } else {
            IndexError::Store(error.to_string())
        };
    };
    let (code, reason) = (server.code(), server.message().to_owned());
    let away = |class: &str| code.code().starts_with(class);
    let error = match *code {
        SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            PostgresError::Password { address }
        }
        SqlState::QUERY_CANCELED | SqlState::LOCK_NOT_AVAILABLE => PostgresError::Late { address, time },
        SqlState::DISK_FULL => PostgresError::Full { address },
        SqlState::UNDEFINED_TABLE => PostgresError::NoTable { address, reason },
        SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN | SqlState::CANNOT_CONNECT_NOW => {
            PostgresError::Unreachable { address, reason }
        }
        SqlState::T_R_SERIALIZATION_FAILURE
        | SqlState::T_R_DEADLOCK_DETECTED
        | SqlState::READ_ONLY_SQL_TRANSACTION
        | SqlState::INSUFFICIENT_PRIVILEGE
        | SqlState::UNDEFINED_DATABASE => PostgresError::Refused { address, reason },
        // Connections, and what the server has too little of.
        _ if away("08") || away("53") => PostgresError::Refused { address, reason },
        _ => return IndexError::Store(format!("{reason} ({})", code.code())),
    };
    error.into()
}
