//! `POST /v1/embeddings` and `POST /v1/rerank`.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;

use super::error::{ApiError, DialectError};
use super::failures::Failures;
use super::middleware::RequestId;
use super::state::AppState;
use super::{job, proxy};
use crate::engine::embed::{EmbeddingsRequest, EmbeddingsResponse, RerankRequest, RerankResponse};
use crate::wire::Endpoint;

/// Upstreams, where there are any, know the models that clients name; without them vectors are made here.
pub(super) async fn here_or_upstream(
    State(state): State<Arc<AppState>>,
    id: Extension<RequestId>,
    request: Request,
) -> Result<Response, DialectError> {
    if state.gateway.as_ref().is_some_and(|gateway| gateway.has_upstreams()) {
        return proxy::forward(State(state), id, request, Endpoint::Embeddings).await;
    }
    let dialect = Endpoint::Embeddings.dialect();
    embed(&state, request).await.map_err(|error| DialectError { error, dialect, request_id: id.text() })
}

/// A vector for each text, in `OpenAI`'s form.
#[utoipa::path(post, path = "/v1/embeddings", tag = "retrieval", request_body = EmbeddingsRequest,
    responses((status = 200, body = EmbeddingsResponse, description = "The vectors, in the order sent."), Failures))]
pub(super) async fn embed(state: &AppState, request: Request) -> Result<Response, ApiError> {
    job::answer(state, request, |engine, request: EmbeddingsRequest, cancel| engine.embed(request, cancel))
        .await
}

/// Documents by what they have to do with a query, in the form of Cohere and Jina.
#[utoipa::path(post, path = "/v1/rerank", tag = "retrieval", request_body = RerankRequest,
    responses((status = 200, body = RerankResponse, description = "The documents, the most relevant first."), Failures))]
pub(super) async fn rerank(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<Response, ApiError> {
    job::answer(&state, request, |engine, request: RerankRequest, cancel| engine.rerank(&request, cancel))
        .await
}
