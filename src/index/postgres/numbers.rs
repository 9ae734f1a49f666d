//! Numbers as PostgreSQL has them, which are signed, and columns of rows.

use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use crate::index::IndexError;

/// Returns a count as a `bigint`; one that is too large for it is as good as its largest.
pub(super) fn bigint(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Returns a count as an `integer`; one that is too large for it is as good as its largest.
pub(super) fn integer(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// Returns the numbers of chunks, none of which is as large as a `bigint` can be.
pub(super) fn bigints(numbers: &[u64]) -> Vec<i64> {
    numbers.iter().map(|number| number.cast_signed()).collect()
}

/// Returns a column of a row.
pub(super) fn column<'a, T: FromSql<'a>>(row: &'a Row, index: usize) -> Result<T, IndexError> {
    row.try_get(index).map_err(|error| IndexError::Store(error.to_string()))
}
