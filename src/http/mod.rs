//! The HTTP service.
//!
//! Handlers read a request, call one method of a [`Service`] and render its answer. What blocks - parsing, the
//! method, rendering - runs off the async threads, a bounded number of requests at once (`job`). Every error, the
//! router's own included, has the one envelope of `error`. No text of a prompt is ever logged.

mod auth;
mod body;
mod collections;
mod compress;
mod dialects;
mod embeddings;
mod error;
mod examples;
mod extract;
mod file;
mod job;
mod metrics;
mod middleware;
mod operations;
mod prompt;
mod proxy;
mod relay;
mod retrieval;
mod router;
mod server;
mod state;
#[cfg(test)]
mod tests;
mod transfer;

pub use examples::Banks;
pub use retrieval::Retrieval;
pub use server::{Draining, Server};

use crate::engine::api::{
    CompressRequest, CompressResponse, RecoverRequest, RecoverResponse, ScoreRequest, ScoreResponse,
};
use crate::engine::{Caches, Engine, EngineError, Readiness};
use crate::model::Cancel;

/// The interface that routes call: the engine, or a fake in tests. The calls block.
pub trait Service: Retrieval + Banks + Send + Sync + 'static {
    /// Compresses a prompt.
    ///
    /// # Errors
    /// See [`EngineError`].
    fn compress(&self, request: CompressRequest, cancel: &Cancel) -> Result<CompressResponse, EngineError>;

    /// Puts the words of the original back into an answer to a compressed prompt.
    ///
    /// # Errors
    /// See [`EngineError`].
    fn recover(&self, request: RecoverRequest) -> Result<RecoverResponse, EngineError>;

    /// Scores a text token by token.
    ///
    /// # Errors
    /// See [`EngineError`].
    fn score(&self, request: ScoreRequest, cancel: &Cancel) -> Result<ScoreResponse, EngineError>;

    /// Can it answer? Must return at once: it is asked on an async thread.
    fn readiness(&self) -> Readiness;

    /// Returns the counters of the caches. Must return at once.
    fn caches(&self) -> Caches;
}

impl Service for Engine {
    fn compress(&self, request: CompressRequest, cancel: &Cancel) -> Result<CompressResponse, EngineError> {
        Self::compress(self, request, cancel)
    }

    fn recover(&self, request: RecoverRequest) -> Result<RecoverResponse, EngineError> {
        Self::recover(self, &request)
    }

    fn score(&self, request: ScoreRequest, cancel: &Cancel) -> Result<ScoreResponse, EngineError> {
        Self::score(self, &request, cancel)
    }

    fn readiness(&self) -> Readiness {
        Self::readiness(self)
    }

    fn caches(&self) -> Caches {
        Self::caches(self)
    }
}
