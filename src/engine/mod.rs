//! Use cases: what a caller can ask for, whatever door it came through.

pub mod api;
mod error;

pub use error::{EngineError, ErrorKind};

use api::{CompressRequest, CompressResponse, ScoreRequest, ScoreResponse};

use crate::model::Cancel;

/// Everything that a running whittle consists of. Calls block: run them off the async threads.
#[derive(Debug)]
pub struct Engine {}

/// Whether the engine can answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// Models are loaded.
    Ready,
    /// Models load on first need.
    Idle,
    /// The model could not be had.
    Failed,
}

impl Engine {
    /// Assembles the engine. Models load on first need.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn new(_config: &crate::config::Config) -> Result<Self, EngineError> {
        Ok(Self {})
    }

    /// Compresses a prompt.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn compress(
        &self,
        _request: CompressRequest,
        _cancel: &Cancel,
    ) -> Result<CompressResponse, EngineError> {
        Err(EngineError::internal("not built yet"))
    }

    /// Scores a text token by token.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn score(&self, _request: ScoreRequest, _cancel: &Cancel) -> Result<ScoreResponse, EngineError> {
        Err(EngineError::internal("not built yet"))
    }

    /// Can the engine answer?
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        Readiness::Idle
    }
}
