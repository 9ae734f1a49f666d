//! Decisions in the database that replicas share.

use std::time::Duration;

use tokio::time::timeout;

use super::{Answer, DecisionStore, EncodedDecision};
use crate::index::{DecisionRow, IndexError, Postgres};
use crate::proxy::decision::Key;
use crate::proxy::metrics::Failures;

/// The time that all of a request may wait for the database. One that is away is not waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// The decisions in a database.
pub(super) struct DatabaseDecisions {
    database: Postgres,
    failed: Failures,
}

impl DatabaseDecisions {
    pub(super) fn new(database: Postgres, failed: Failures) -> Self {
        Self { database, failed }
    }

    /// Waits for the database, and counts where that is in vain.
    async fn bounded<T>(
        &self,
        within: Duration,
        answer: impl Future<Output = Result<T, IndexError>>,
    ) -> Option<T> {
        // Its log says so.
        if self.database.away().is_some() {
            self.failed.inc();
            return None;
        }
        match timeout(within, answer).await {
            Ok(Ok(value)) => return Some(value),
            Ok(Err(error)) => tracing::debug!(%error, "decisions on texts are not shared"),
            Err(_) => tracing::debug!("decisions on texts are not shared: the database is too slow"),
        }
        self.failed.inc();
        None
    }
}

impl DecisionStore for DatabaseDecisions {
    fn patience(&self) -> Duration {
        PATIENCE
    }

    fn get<'a>(&'a self, keys: &'a [Key], within: Duration) -> Answer<'a, Option<Vec<Option<Vec<u8>>>>> {
        let keys = keys.iter().map(|key| key.0).collect();
        Box::pin(async move { self.bounded(within, self.database.decisions(keys)).await })
    }

    fn put(&self, decisions: Vec<EncodedDecision>, within: Duration) -> Answer<'_, ()> {
        let row = |EncodedDecision { key, seconds, bytes, replaces }: EncodedDecision| DecisionRow {
            key: key.0,
            seconds: i64::try_from(seconds).unwrap_or(i64::MAX),
            value: bytes,
            replaces,
        };
        let rows = decisions.into_iter().map(row).collect();
        Box::pin(
            async move { self.bounded(within, self.database.put_decisions(rows)).await.unwrap_or_default() },
        )
    }
}
