//! Models that are loaded on first need, once for all who need them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::EngineError;
use super::model_source::MODEL_LOADING;
use super::remote::REMOTE_FAILED;

/// The readiness of the engine to serve requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// Models are loaded.
    Ready,
    /// Models load on first need.
    Idle,
    /// The last attempt to load a model failed; the next request tries again.
    Failed,
}

/// A model, loaded on first need.
pub(super) struct Slot<M: ?Sized>(Mutex<State<M>>);

enum State<M: ?Sized> {
    Idle,
    Ready(Arc<M>),
    Failed,
}

impl<M: ?Sized> Slot<M> {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(State::Idle))
    }

    /// A slot with a model in it, if there is one.
    pub(super) fn given(model: Option<Arc<M>>) -> Self {
        Self(Mutex::new(model.map_or(State::Idle, State::Ready)))
    }

    /// The model, loaded if this is the first need or the last attempt failed. Others wait meanwhile.
    pub(super) fn get(
        &self,
        load: impl FnOnce() -> Result<Arc<M>, EngineError>,
    ) -> Result<Arc<M>, EngineError> {
        let mut state = self.state();
        if let State::Ready(model) = &*state {
            return Ok(model.clone());
        }
        let loaded = load();
        *state = match &loaded {
            Ok(model) => State::Ready(Arc::clone(model)),
            // Of a remote model its own record tells.
            Err(error) if [MODEL_LOADING, REMOTE_FAILED].contains(&error.code) => State::Idle,
            Err(_) => State::Failed,
        };
        loaded
    }

    /// The model, if it is there; waits while it is being loaded.
    pub(super) fn ready(&self) -> Option<Arc<M>> {
        match &*self.state() {
            State::Ready(model) => Some(Arc::clone(model)),
            State::Idle | State::Failed => None,
        }
    }

    fn state(&self) -> MutexGuard<'_, State<M>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Never blocks.
    pub(super) fn loaded(&self) -> Option<Arc<M>> {
        match self.0.try_lock().as_deref() {
            Ok(State::Ready(model)) => Some(Arc::clone(model)),
            Ok(State::Idle | State::Failed) | Err(_) => None,
        }
    }

    /// Never blocks: while a model is being loaded it is not there yet.
    pub(super) fn readiness(&self) -> Readiness {
        match self.0.try_lock().as_deref() {
            Ok(State::Ready(_)) => Readiness::Ready,
            Ok(State::Failed) => Readiness::Failed,
            Ok(State::Idle) | Err(_) => Readiness::Idle,
        }
    }
}
