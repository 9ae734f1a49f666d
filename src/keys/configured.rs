//! The store of keys that a configuration names.

use std::path::Path;
use std::sync::Arc;

use super::database::KeyTable;
use super::file::KeyFile;
use super::{KeyStore, KeysError};
use crate::config::{Env, StoreConfig};
use crate::index::Postgres;

/// The longest time that one look at the keys may wait for a connection, in milliseconds.
const WAIT_MS: u64 = 1_000;
/// The longest time that one statement on keys may take, in milliseconds.
const TIMEOUT_MS: u64 = 5_000;
/// Connections for keys alone: one that looks at them and one that changes them.
const CONNECTIONS: usize = 2;

/// Returns the keys where `config` keeps them: in the database that it names, with a connection of their own, so that no
/// search keeps a revocation waiting; else in the folder `data`.
///
/// # Errors
/// The database's password is not set, or its address cannot be used. It is not connected to yet.
pub fn configured(config: &StoreConfig, env: &dyn Env, data: &Path) -> Result<Arc<dyn KeyStore>, KeysError> {
    let config = StoreConfig {
        pool: CONNECTIONS,
        wait_ms: config.wait_ms.min(WAIT_MS),
        timeout_ms: config.timeout_ms.min(TIMEOUT_MS),
        ..config.clone()
    };
    let database = Postgres::new(&config, env).map_err(|error| KeysError::Database(error.into()))?;
    Ok(match database {
        Some(database) => Arc::new(KeyTable::new(database)),
        None => Arc::new(KeyFile::new(data)),
    })
}
