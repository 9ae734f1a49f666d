//! The state that all handlers share.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::body::Bounds;
use super::hosts::Hosts;
use crate::admission::{Admission, BodyMemory};
use crate::config::{Limits, PageConfig, ProxyConfig};
use crate::engine::Engine;
use crate::keys::Keyring;
use crate::mcp::McpServer;
use crate::proxy::Gateway;
use crate::shared::Shared;

/// Time that a client has to send a body.
const BODY_TIME: Duration = Duration::from_secs(30);

/// The number of files that are received at once. Each takes room on the disk, and its client may be slow.
const UPLOADS: usize = 8;

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
    pub(super) mcp: McpServer,
    /// The hosts that requests may name.
    pub(super) hosts: Hosts,
    /// The memory for the bodies of all requests.
    memory: BodyMemory,
    /// Bounds the files that are received at once, apart from other work: a slow client keeps nobody else waiting.
    pub(super) uploads: Admission,
    /// Bounds the work of all routes together, the proxy's included.
    pub(super) admission: Admission,
    /// Whether the page is served.
    pub(super) page: bool,
    /// Folders whose subfolders are evaluations.
    pub(super) evaluations: Vec<PathBuf>,
    /// Whether the service has been told to stop: answers that would go on for long end then.
    pub(super) stopping: watch::Sender<bool>,
}

impl AppState {
    pub(super) fn new(engine: Arc<Engine>, limits: Limits) -> Self {
        let admission = Admission::new(limits.concurrency, limits.queue);
        let mcp = McpServer::new(Arc::clone(&engine), limits, admission.clone());
        Self {
            engine,
            limits,
            body_time: BODY_TIME,
            gateway: None,
            keys: None,
            hosts: Hosts::default(),
            memory: BodyMemory::new(ProxyConfig::default().body_memory_bytes.max(limits.body_bytes)),
            uploads: Admission::new(UPLOADS, 0),
            mcp,
            admission,
            page: false,
            evaluations: Vec::new(),
            stopping: watch::Sender::new(false),
        }
    }

    pub(super) fn with_gateway(self, gateway: Arc<Gateway>) -> Self {
        let memory = BodyMemory::new(gateway.body_memory_bytes());
        let admission = gateway.admission().clone();
        let mcp = {
            let originals = Arc::clone(&gateway);
            self.mcp.with_admission(admission.clone()).with_originals(move || Ok(Arc::clone(&originals)))
        };
        Self { gateway: Some(gateway), memory, mcp, admission, ..self }
    }

    pub(super) fn with_keys(self, keys: Arc<Keyring>) -> Self {
        Self { keys: Some(keys), ..self }
    }

    /// Returns what replicas share, where they share something.
    pub(super) fn shared(&self) -> Option<&Shared> {
        self.keys.as_ref()?.shared()
    }

    pub(super) fn with_page(self, page: PageConfig) -> Self {
        let evaluations = page.evaluations.into_iter().map(PathBuf::from).collect();
        Self { page: page.enabled, evaluations, ..self }
    }

    /// Returns the bounds of a body that is held in memory.
    pub(super) fn bounds(&self) -> Bounds<'_> {
        Bounds { bytes: self.limits.body_bytes, time: self.body_time, memory: &self.memory }
    }
}
