//! The state that all handlers share.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::ApiError;
use super::hosts::Hosts;
use crate::admission::Admission;
use crate::config::Limits;
use crate::engine::Engine;
use crate::keys::Keyring;
#[cfg(feature = "mcp")]
use crate::mcp::McpServer;
use crate::proxy::Gateway;

/// Time that a client has to send a body.
const BODY_TIME: Duration = Duration::from_secs(30);

/// Bytes that room for bodies is counted in.
const BODY_UNIT: usize = 1024;

/// The state that all handlers share.
pub(super) struct AppState {
    pub(super) engine: Arc<Engine>,
    pub(super) limits: Limits,
    pub(super) body_time: Duration,
    /// The proxy, where there is one.
    pub(super) gateway: Option<Arc<Gateway>>,
    /// The keys that admit callers; anybody may call where this is missing.
    pub(super) keys: Option<Arc<Keyring>>,
    /// The MCP server.
    #[cfg(feature = "mcp")]
    pub(super) mcp: McpServer,
    /// The hosts that requests may name.
    pub(super) hosts: Hosts,
    /// Bytes of bodies that wait to be passed on.
    bodies: Arc<Semaphore>,
    /// Bounds the work of all routes together, the proxy's included.
    pub(super) admission: Admission,
    /// Whether the page is served.
    pub(super) page: bool,
}

impl AppState {
    pub(super) fn new(engine: Arc<Engine>, limits: Limits) -> Self {
        let admission = Admission::new(limits.concurrency, limits.queue);
        #[cfg(feature = "mcp")]
        let mcp = McpServer::new(Arc::clone(&engine), limits, admission.clone());
        Self {
            engine,
            limits,
            body_time: BODY_TIME,
            gateway: None,
            keys: None,
            hosts: Hosts::default(),
            bodies: Arc::new(Semaphore::new(0)),
            #[cfg(feature = "mcp")]
            mcp,
            admission,
            page: false,
        }
    }

    pub(super) fn with_gateway(self, gateway: Arc<Gateway>) -> Self {
        let bodies = gateway.body_memory_bytes() / BODY_UNIT;
        let admission = gateway.admission().clone();
        #[cfg(feature = "mcp")]
        let mcp = {
            let originals = Arc::clone(&gateway);
            self.mcp.with_admission(admission.clone()).with_originals(move || Ok(Arc::clone(&originals)))
        };
        Self {
            gateway: Some(gateway),
            bodies: Arc::new(Semaphore::new(bodies)),
            #[cfg(feature = "mcp")]
            mcp,
            admission,
            ..self
        }
    }

    pub(super) fn with_keys(self, keys: Arc<Keyring>) -> Self {
        Self { keys: Some(keys), ..self }
    }

    pub(super) fn with_page(self, page: bool) -> Self {
        Self { page, ..self }
    }

    /// Room for a body of `bytes`, or none where too many are held already.
    pub(super) fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, ApiError> {
        let units = u32::try_from(bytes.div_ceil(BODY_UNIT)).unwrap_or(u32::MAX);
        Arc::clone(&self.bodies).try_acquire_many_owned(units).map_err(|_| ApiError::overloaded())
    }
}
