//! The reasons why the proxy itself rejects a request. What an upstream answers is no error here.

use super::store_error::StoreError;
use crate::admission::{MemoryFull, QueueFull};
use crate::engine::EngineError;
use crate::keys::Denied;
use crate::upstream::UpstreamError;
use crate::wire::WireError;
use crate::wire::local::AskError;

/// A request that the proxy cannot pass on.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The body cannot be read.
    #[error(transparent)]
    Body(#[from] WireError),
    /// The body's encoding is not one that can be undone.
    #[error("the body's Content-Encoding `{0}` is not supported: send gzip, zstd, br or none")]
    Encoding(String),
    /// The body is not what its encoding says.
    #[error("the body cannot be decoded as {encoding}: {reason}")]
    Undecodable {
        /// The declared encoding.
        encoding: &'static str,
        /// The description of the fault.
        reason: String,
    },
    /// The body is too large once it is decoded.
    #[error("the body is larger than the limit of {0} bytes (`limits.body_bytes`) once it is decoded")]
    TooLarge(usize),
    /// An option for whittle itself cannot be understood.
    #[error("`{param}`: {reason}")]
    Option {
        /// Header or member.
        param: &'static str,
        /// The description of the fault.
        reason: String,
    },
    /// No upstream is configured.
    #[error(
        "no upstream is configured: describe one under [[upstreams]] in whittle.toml; GET /v1/models lists what \
         answers without one"
    )]
    NoUpstreams,
    /// No upstream speaks the dialect of the path.
    #[error(
        "no upstream speaks this API: describe one with `dialect = \"{0}\"` under [[upstreams]] in whittle.toml"
    )]
    NoUpstreamOf(&'static str),
    /// No upstream has the model.
    #[error(
        "no upstream has the model `{0}`: GET /v1/models lists those that exist, and `models` and `aliases` \
         under [[upstreams]] say where a model is sent"
    )]
    UnknownModel(String),
    /// The model in this process has another name.
    #[error(
        "there is no model `{model}` in this process: the one that there is (`scorer.model`) is `{known}`"
    )]
    UnknownLocal {
        /// The name as requested.
        model: String,
        /// The available names.
        known: String,
    },
    /// The model in this process cannot answer such a request.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The model in this process did not answer.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Too many requests wait for the work of this process.
    #[error(transparent)]
    Overloaded(#[from] QueueFull),
    /// The bodies of other requests leave no room for what this one decodes to.
    #[error(transparent)]
    MemoryFull(#[from] MemoryFull),
    /// The model's upstream speaks another dialect.
    #[error("the upstream of the model `{model}` speaks another dialect: call {routes}")]
    OtherDialect {
        /// The name as requested.
        model: String,
        /// The routes to call instead.
        routes: &'static str,
    },
    /// No upstream has the name.
    #[error("there is no upstream `{0}`: [[upstreams]] in the configuration names them")]
    UnknownUpstream(String),
    /// The key may not have it.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Originals are not kept.
    #[error("originals of tools' results are not kept: `proxy.recall.enabled` in the configuration is off")]
    RecallOff,
    /// The caller has no original of that name.
    #[error(
        "no original of this key has that id, or it has expired: the marks in results of tools name ids, and \
         `proxy.recall.hours` says how long they hold"
    )]
    NoOriginal,
    /// The upstream did not answer.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The upstream's answer broke off before its end.
    #[error("the upstream's answer broke off: {0}")]
    Broken(String),
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] StoreError),
    /// A fault on this side.
    #[error("{0}")]
    Internal(String),
}

impl ProxyError {
    /// The status that the client gets where this came instead of an answer to what was sent.
    pub(super) fn status_of_answer(&self) -> u16 {
        match self {
            Self::Ask(_) => 400,
            Self::Engine(error) => error.kind.status(),
            Self::Overloaded(_) | Self::MemoryFull(_) => 503,
            Self::Upstream(UpstreamError::Late { .. }) => 504,
            _ => 502,
        }
    }
}
