//! `POST /v1/embeddings` and `POST /v1/rerank`.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::response::Response;
use serde::Deserialize;

use super::error::{ApiError, DialectError};
use super::failures::Failures;
use super::job;
use super::middleware::RequestId;
use super::proxy::Received;
use super::state::AppState;
use crate::engine::embed::{EmbeddingsRequest, EmbeddingsResponse, RerankRequest, RerankResponse};
use crate::wire::{Address, Dialect};

/// Longest body whose model is looked for on the async threads.
const INLINE_BYTES: usize = 64 << 10;

/// The embedder of this process answers under its own names; all other models are the upstreams', where there are any.
pub(super) async fn here_or_upstream(
    State(state): State<Arc<AppState>>,
    id: Extension<RequestId>,
    request: Request,
) -> Result<Response, DialectError> {
    let dialect = Dialect::OpenAi;
    let failed = |error| DialectError { error, dialect, request_id: id.text() };
    let Some(gateway) = state.gateway.clone().filter(|gateway| gateway.has_upstreams()) else {
        return embed(&state, request).await.map_err(failed);
    };
    let received = Received::new(&state, request).await.map_err(failed)?;
    let model = model_of(&received.body).await;
    if model.is_some_and(|model| gateway.embeds_as(&model)) {
        let Received { head, body, room } = received;
        // The route takes room for it anew.
        drop(room);
        return embed(&state, Request::from_parts(head, body.into())).await.map_err(failed);
    }
    let address =
        Address::read(dialect, "/embeddings").ok_or_else(|| ApiError::internal(&"a path is unknown"));
    let forwarded = async { received.forward(&gateway, address?, None, &id).await };
    forwarded.await.map_err(failed)
}

/// The model that a body names; none of one that is no JSON, which is for whoever gets it to refuse.
async fn model_of(body: &Bytes) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        model: String,
    }
    let read = |body: &[u8]| serde_json::from_slice(body).ok().map(|Named { model }| model);
    if body.len() <= INLINE_BYTES {
        return read(body);
    }
    let body = body.clone();
    tokio::task::spawn_blocking(move || read(&body)).await.ok().flatten()
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
