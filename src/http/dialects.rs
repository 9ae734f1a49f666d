//! The endpoints of `OpenAI`'s and Anthropic's APIs, as `/openapi.json` describes them. What their bodies hold is
//! those APIs' own to say.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use axum::{Extension, Router, routing::post};
use utoipa::IntoResponses;

use super::error::{DialectError, ErrorEnvelope};
use super::middleware::RequestId;
use super::proxy::forward;
use super::state::AppState;
use crate::wire::Endpoint;

/// The proxy's own error answers, where a request does not reach an upstream, in the dialect of its endpoint. What an
/// upstream answers passes as it comes.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only described, never made")]
pub(super) enum NotSent {
    /// The body cannot be read, or asks whittle for what it does not know.
    #[response(status = 400)]
    Invalid(ErrorEnvelope),
    /// A key is needed, and there is none, or none that holds.
    #[response(status = 401)]
    NoKey(ErrorEnvelope),
    /// The key may not call this model.
    #[response(status = 403)]
    Forbidden(ErrorEnvelope),
    /// No upstream has the model.
    #[response(status = 404)]
    NotFound(ErrorEnvelope),
    /// The body did not arrive in time.
    #[response(status = 408)]
    SlowBody(ErrorEnvelope),
    /// The body is over the limit.
    #[response(status = 413)]
    TooLarge(ErrorEnvelope),
    /// The key has had its requests, tokens or dollars.
    #[response(status = 429)]
    Limited(ErrorEnvelope),
    /// The upstream cannot be reached.
    #[response(status = 502)]
    Unreachable(ErrorEnvelope),
    /// Too many bodies are held already.
    #[response(status = 503)]
    Overloaded(ErrorEnvelope),
    /// The upstream did not answer in time.
    #[response(status = 504)]
    Late(ErrorEnvelope),
}

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
