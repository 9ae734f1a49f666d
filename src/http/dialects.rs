//! The endpoints of `OpenAI`'s and Anthropic's APIs, as `/openapi.json` describes them. What their bodies hold is
//! those APIs' own to say.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use axum::{Extension, Router, routing::post};

use super::error::DialectError;
use super::failures::NotSent;
use super::middleware::RequestId;
use super::proxy::forward;
use super::state::AppState;
use crate::wire::Endpoint;

type Answered = Result<Response, DialectError>;
type Shared = State<Arc<AppState>>;
type Id = Extension<RequestId>;

pub(super) fn routes() -> Router<Arc<AppState>> {
    Router::new()
        .route("/v1/chat/completions", post(chat))
        .route("/v1/responses", post(responses))
        .route("/v1/completions", post(completions))
        .route("/v1/messages", post(messages))
        .route("/v1/messages/count_tokens", post(count_tokens))
}

/// OpenAI's chat completions, whole or as a stream.
#[utoipa::path(post, path = "/v1/chat/completions", tag = "proxy", request_body = Object,
    responses((status = 200, body = Object, description = "The upstream's answer, or that of the model in this process."), NotSent))]
pub(super) async fn chat(state: Shared, id: Id, request: Request) -> Answered {
    forward(state, id, request, Endpoint::Chat).await
}

/// OpenAI's responses, whole or as a stream.
#[utoipa::path(post, path = "/v1/responses", tag = "proxy", request_body = Object,
    responses((status = 200, body = Object, description = "The upstream's answer, or that of the model in this process."), NotSent))]
pub(super) async fn responses(state: Shared, id: Id, request: Request) -> Answered {
    forward(state, id, request, Endpoint::Responses).await
}

/// OpenAI's completions of a text, whole or as a stream.
#[utoipa::path(post, path = "/v1/completions", tag = "proxy", request_body = Object,
    responses((status = 200, body = Object, description = "The upstream's answer, or that of the model in this process."), NotSent))]
pub(super) async fn completions(state: Shared, id: Id, request: Request) -> Answered {
    forward(state, id, request, Endpoint::Completions).await
}

/// Anthropic's messages, whole or as a stream.
#[utoipa::path(post, path = "/v1/messages", tag = "proxy", request_body = Object,
    responses((status = 200, body = Object, description = "The upstream's answer, or that of the model in this process."), NotSent))]
pub(super) async fn messages(state: Shared, id: Id, request: Request) -> Answered {
    forward(state, id, request, Endpoint::Messages).await
}

/// Anthropic's count of a request's tokens.
#[utoipa::path(post, path = "/v1/messages/count_tokens", tag = "proxy", request_body = Object,
    responses((status = 200, body = Object, description = "The upstream's count, or that of the model in this process."), NotSent))]
pub(super) async fn count_tokens(state: Shared, id: Id, request: Request) -> Answered {
    forward(state, id, request, Endpoint::CountTokens).await
}
