//! The choice of what keeps collections.

use serde::{Deserialize, Serialize};

/// The place that keeps collections and banks of examples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// The data folder of this process
    #[default]
    Local,
    /// A PostgreSQL database with pgvector, which several replicas share
    Postgres,
}
