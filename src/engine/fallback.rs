//! The local models that take the place of remote ones.

use super::EngineError;
use super::api::Warning;
use super::models::{Embedder, Models};
use super::remote::REMOTE_FAILED;
use crate::compress::CompressError;
use crate::model::{Embedder as _, Reranker, ScoreError};

impl Models {
    /// Ranks texts by the embedder; by the local one that is configured as its fallback where the remote one fails. Then
    /// all of the ranking is done anew: vectors of two models are never compared.
    ///
    /// # Errors
    /// The ranking fails, and there is no fallback, or it fails too.
    pub(super) fn rank_whole<T>(
        &self,
        rank: impl Fn(&Embedder) -> Result<T, EngineError>,
    ) -> Result<(T, Option<Warning>), EngineError> {
        let error = match self.embedder().and_then(|embedder| rank(&embedder)) {
            Err(error) if error.code == REMOTE_FAILED => error,
            ranked => return Ok((ranked?, None)),
        };
        let Some(local) = self.fallback_embedder()? else { return Err(error) };
        let ranked = rank(&local)?;
        let name = local.name();
        let message = format!("`{name}` ranked in this process instead of the configured embedder: {error}");
        Ok((ranked, Some(Warning { code: "embedder_fallback", message })))
    }

    /// Ranks texts by the reranker, or without one where none is configured; by the local one that is configured as its
    /// fallback where the remote one fails. Then all of the ranking is done anew: scores of two models are never compared.
    ///
    /// # Errors
    /// The ranking fails, and there is no fallback, or it fails too.
    pub(super) fn rerank_whole<T>(
        &self,
        rank: impl Fn(Option<&dyn Reranker>) -> Result<T, CompressError>,
    ) -> Result<(T, Option<Warning>), EngineError> {
        let reranker = self.reranker()?;
        let error = match rank(reranker.as_deref()) {
            Err(CompressError::Score(ScoreError::Remote(error))) if error.server().role == "reranker" => {
                error
            }
            ranked => return Ok((ranked?, None)),
        };
        let Some(local) = self.fallback_reranker()? else { return Err(error.into()) };
        let ranked = rank(Some(&*local))?;
        let name = local.name();
        let message = format!("`{name}` ranked in this process instead of the configured reranker: {error}");
        Ok((ranked, Some(Warning { code: "reranker_fallback", message })))
    }
}
