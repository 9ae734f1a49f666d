//! The state of the proxy, for whoever looks how the service is.

use serde::Serialize;
use utoipa::ToSchema;

use super::metrics::Depths;
use crate::upstream::{Upstream, UpstreamHealth};

/// An upstream and how it has answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct UpstreamStatus {
    /// Its name in the configuration.
    pub name: String,
    /// Its dialect, by the name that the configuration has for it.
    pub dialect: &'static str,
    /// How it has answered.
    #[serde(flatten)]
    pub health: UpstreamHealth,
}

impl UpstreamStatus {
    pub(super) fn of(upstream: &Upstream) -> Self {
        let config = upstream.config();
        Self { name: config.name.clone(), dialect: config.dialect.name(), health: upstream.health() }
    }
}

/// What waits to be stored, and what was lost since the service began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct QueueStatus {
    /// Entries of the ledger that are not committed yet. They are in its journal, so that a kill loses none.
    pub ledger_waiting: usize,
    /// Entries of the ledger that could not be stored.
    pub ledger_lost: u64,
    /// Bytes of originals that are stored.
    pub originals_bytes: u64,
    /// Bytes of originals that wait to be.
    pub originals_waiting: usize,
    /// Originals that could not be stored.
    pub originals_lost: u64,
}

impl QueueStatus {
    pub(super) fn of(depths: &Depths) -> Self {
        let Depths { ledger, lost, originals, .. } = *depths;
        Self {
            ledger_waiting: ledger,
            ledger_lost: lost,
            originals_bytes: originals.kept,
            originals_waiting: originals.waiting,
            originals_lost: originals.lost,
        }
    }
}
