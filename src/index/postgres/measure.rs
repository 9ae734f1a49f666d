//! The work of the connections in numbers, for metrics and reports.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::index::{IndexError, PostgresError};

/// The upper bounds, in seconds, of the buckets that transactions are counted in. Longer ones have a bucket of their own.
pub const TIME_BOUNDS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// The reasons that failed transactions are counted by.
const REASONS: [&str; 6] = ["busy", "unreachable", "late", "full", "refused", "other"];

/// The purpose of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// The transaction reads, all as of one moment.
    Read,
    /// The transaction writes.
    Write,
}

/// The state of the database that holds collections, and what was done with it since the service began.
#[derive(Debug, Clone, PartialEq)]
pub struct DatabaseState {
    /// The server's host, port and database.
    pub address: String,
    /// The reason why it could not be used when it was looked at last, if so.
    pub away: Option<PostgresError>,
    /// The connections that are in use.
    pub in_use: usize,
    /// The connections that are open and free.
    pub idle: usize,
    /// The requests that wait for a connection.
    pub waiting: usize,
    /// Failed transactions by reason.
    pub errors: [(&'static str, u64); 6],
    /// The times of transactions that read.
    pub reads: TransactionTimes,
    /// The times of transactions that write.
    pub writes: TransactionTimes,
}

/// The number of transactions by their time, without the wait for a connection.
#[derive(Debug, Clone, PartialEq)]
pub struct TransactionTimes {
    /// The number up to each bound of [`TIME_BOUNDS`] and above the one before it, and at last of all longer ones.
    pub counts: [u64; TIME_BOUNDS.len() + 1],
    /// The sum of all times.
    pub total: Duration,
}

/// Counters that all users of a database add to.
#[derive(Debug, Default)]
pub(super) struct Measures {
    errors: [AtomicU64; REASONS.len()],
    reads: Times,
    writes: Times,
    waiting: AtomicUsize,
}

/// A request that waits for its turn to write, as long as this lives.
pub(super) struct Waits<'a>(&'a AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
struct Times {
    counts: [AtomicU64; TIME_BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
}

impl Measures {
    /// Counts a request that waits for its turn to write.
    pub(super) fn waits(&self) -> Waits<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waits(&self.waiting)
    }

    /// Returns how many requests wait for their turn to write.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Counts a transaction that held its connection for some time, whatever came of it.
    pub(super) fn took(&self, access: Access, time: Duration) {
        let times = match access {
            Access::Read => &self.reads,
            Access::Write => &self.writes,
        };
        let seconds = time.as_secs_f64();
        let place = TIME_BOUNDS.iter().position(|&bound| seconds <= bound).unwrap_or(TIME_BOUNDS.len());
        times.counts[place].fetch_add(1, Ordering::Relaxed);
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        times.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// Counts an error, unless it says something about a request alone.
    pub(super) fn failed(&self, error: &IndexError) {
        let reason = match error {
            IndexError::Postgres(PostgresError::Busy { .. }) => "busy",
            IndexError::Postgres(PostgresError::Unreachable { .. } | PostgresError::Connecting { .. }) => {
                "unreachable"
            }
            IndexError::Postgres(PostgresError::Late { .. }) => "late",
            IndexError::Postgres(PostgresError::Full { .. }) => "full",
            IndexError::Postgres(_) => "refused",
            IndexError::Store(_) => "other",
            _ => return,
        };
        let counters = REASONS.iter().zip(&self.errors);
        counters.filter(|(name, _)| **name == reason).for_each(|(_, count)| {
            count.fetch_add(1, Ordering::Relaxed);
        });
    }

    /// Returns the failed transactions by reason.
    pub(super) fn errors(&self) -> [(&'static str, u64); REASONS.len()] {
        std::array::from_fn(|i| (REASONS[i], self.errors[i].load(Ordering::Relaxed)))
    }

    /// Returns the times of transactions that read, and of those that write.
    pub(super) fn times(&self) -> [TransactionTimes; 2] {
        [&self.reads, &self.writes].map(|times| TransactionTimes {
            counts: std::array::from_fn(|i| times.counts[i].load(Ordering::Relaxed)),
            total: Duration::from_nanos(times.nanoseconds.load(Ordering::Relaxed)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transactions_are_counted_in_the_bucket_of_their_time() {
        let measures = Measures::default();
        for milliseconds in [1, 2, 2, 5_000, 5_001, 60_000] {
            measures.took(Access::Read, Duration::from_millis(milliseconds));
        }
        measures.took(Access::Write, Duration::from_millis(30));
        let [reads, writes] = measures.times();
        assert_eq!(reads.counts, [1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(reads.total, Duration::from_millis(70_006));
        assert_eq!(writes.counts, [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn errors_are_counted_by_what_is_to_be_done_about_them() {
        let (measures, address) = (Measures::default(), || "db".to_owned());
        let time = Duration::from_secs(1);
        let faults = [
            PostgresError::Busy { address: address(), time },
            PostgresError::Late { address: address(), time },
            PostgresError::Late { address: address(), time },
            PostgresError::Full { address: address() },
            PostgresError::Password { address: address() },
            PostgresError::Unreachable { address: address(), reason: String::new() },
        ];
        for fault in faults {
            measures.failed(&fault.into());
        }
        measures.failed(&IndexError::Store("x".into()));
        measures.failed(&IndexError::Settings("a fault of the request".into()));
        let wanted =
            [("busy", 1), ("unreachable", 1), ("late", 2), ("full", 1), ("refused", 1), ("other", 1)];
        assert_eq!(measures.errors(), wanted);
    }
}
