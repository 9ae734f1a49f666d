//! `POST /v1/embeddings` and `POST /v1/rerank`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;

use super::error::ApiError;
use super::operations::Failures;
use super::state::AppState;
use super::{body, job};
use crate::engine::embed::{EmbeddingsRequest, EmbeddingsResponse, RerankRequest, RerankResponse};

/// A vector for each text, in `OpenAI`'s form.
#[utoipa::path(post, path = "/v1/embeddings", tag = "retrieval", request_body = EmbeddingsRequest,
    responses((status = 200, body = EmbeddingsResponse, description = "The vectors, in the order sent."), Failures))]
pub(super) async fn embed(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<Response, ApiError> {
    job::run(&state, request, |service, body, cancel| {
        let request: EmbeddingsRequest = body::parse(&body)?;
        drop(body);
        body::render(&service.embed(request, cancel)?)
    })
    .await
}

/// Documents by what they have to do with a query, in the form of Cohere and Jina.
#[utoipa::path(post, path = "/v1/rerank", tag = "retrieval", request_body = RerankRequest,
    responses((status = 200, body = RerankResponse, description = "The documents, the most relevant first."), Failures))]
pub(super) async fn rerank(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<Response, ApiError> {
    job::run(&state, request, |service, body, cancel| {
        let request: RerankRequest = body::parse(&body)?;
        drop(body);
        body::render(&service.rerank(&request, cancel)?)
    })
    .await
}
