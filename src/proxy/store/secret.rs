//! The secret by which conversations are named: made once for a data folder.

use redb::{Database, ReadableDatabase, TableDefinition, TableError};

/// Random bits.
pub(in crate::proxy) type Secret = [u8; 32];

const TABLE: TableDefinition<u8, &Secret> = TableDefinition::new("secret.1");

/// The stored secret, or a new one where there is none.
pub(super) fn read_or_begin(database: &Database) -> Result<Secret, redb::Error> {
    if let Some(secret) = read(database)? {
        return Ok(secret);
    }
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|error| redb::Error::Io(std::io::Error::other(error)))?;
    let transaction = database.begin_write()?;
    transaction.open_table(TABLE)?.insert(0, &secret)?;
    transaction.commit()?;
    Ok(secret)
}

fn read(database: &Database) -> Result<Option<Secret>, redb::Error> {
    match database.begin_read()?.open_table(TABLE) {
        Ok(table) => Ok(table.get(0)?.map(|value| *value.value())),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
