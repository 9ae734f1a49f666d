//! The state that all handlers share.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::ApiError;
use crate::admission::Admission;
use crate::config::Limits;
use crate::engine::Engine;
use crate::keys::Keyring;
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
    /// Bytes of bodies that wait to be passed on.
    bodies: Arc<Semaphore>,
    /// Bounds the work of all routes together, the proxy's included.
    pub(super) admission: Admission,
    /// Whether the page is served.
    pub(super) page: bool,
}

impl AppState {
    pub(super) fn new(engine: Arc<Engine>, limits: Limits) -> Self {
        Self {
            engine,
            limits,
            body_time: BODY_TIME,
            gateway: None,
            keys: None,
            bodies: Arc::new(Semaphore::new(0)),
            admission: Admission::new(limits.concurrency, limits.queue),
            page: false,
        }
    }

    pub(super) fn with_gateway(self, gateway: Arc<Gateway>) -> Self {
        let bodies = gateway.body_memory_bytes() / BODY_UNIT;
        let admission = gateway.admission().clone();
        Self { gateway: Some(gateway), bodies: Arc::new(Semaphore::new(bodies)), admission, ..self }
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
