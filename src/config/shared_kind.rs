//! The choices of who holds the state of several replicas, and of what is done without it.

use serde::{Deserialize, Serialize};

/// The kind of server that holds the state of several replicas.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SharedKind {
    /// Nothing is shared.
    #[default]
    None,
    /// The server is Valkey, or Redis.
    Valkey,
}

/// The treatment of requests with a key while the server cannot be reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenAway {
    /// Requests are refused with 503: no limit is exceeded, and no revocation overlooked.
    #[default]
    Refuse,
    /// Requests are counted by this process alone, and keys that other replicas have revoked since still hold.
    Local,
}
