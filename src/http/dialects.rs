//! The routes of the APIs, as `/openapi.json` describes them. What their bodies hold is those APIs' own to say.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::Method;
use axum::response::Response;
use axum::routing::{any, get, post};
use axum::{Extension, Router};

use super::error::DialectError;
use super::failures::NotSent;
use super::middleware::RequestId;
use super::proxy::{forward, listed, model};
use super::state::AppState;
use crate::wire::Dialect;

type Answered = Result<Response, DialectError>;
type Shared = State<Arc<AppState>>;
type Id = Extension<RequestId>;

/// Beginnings of paths by which the clients of one dialect alone are known.
const BEGINNINGS: [(&str, Dialect); 6] = [
    ("/openai/", Dialect::Azure),
    ("/v1/messages", Dialect::Anthropic),
    ("/v1beta/", Dialect::Gemini),
    ("/upload/v1beta/", Dialect::Gemini),
    ("/api/", Dialect::Ollama),
    ("/v2/", Dialect::Cohere),
];

/// Returns the dialect of the clients that call a path of this service, where the path says it.
pub(super) fn dialect_at(method: &Method, path: &str) -> Option<Dialect> {
    // A model that is read there is anybody's, one that is called Gemini's.
    if method == Method::POST && path.starts_with("/v1/models/") {
        return Some(Dialect::Gemini);
    }
    BEGINNINGS.iter().find(|(beginning, _)| path.starts_with(beginning)).map(|(_, dialect)| *dialect)
}

pub(super) fn routes() -> Router<Arc<AppState>> {
    Router::new()
        .route("/v1/chat/completions", post(chat))
        .route("/v1/responses", post(responses))
        .route("/v1/completions", post(completions))
        .route("/v1/messages", post(messages))
        .route("/v1/messages/count_tokens", post(count_tokens))
        .route("/openai/models", get(azure_models))
        .route("/openai/v1/models", get(azure_models))
        .route("/openai/{*path}", any(azure))
        .route("/v1/models/{call}", get(model).post(gemini_call))
        .route("/v1beta/models", get(gemini_models))
        .route("/v1beta/{*path}", any(gemini))
        .route("/upload/v1beta/{*path}", any(gemini_upload))
        .route("/api/tags", get(ollama_models))
        .route("/api/{*path}", any(ollama))
        .route("/v2/{*path}", any(cohere))
}

/// A request of a client of `OpenAI`, whose base URL ends in `/v1`.
async fn openai(state: Shared, id: Id, request: Request) -> Answered {
    let path = request.uri().path();
    let path = path.strip_prefix("/v1").unwrap_or(path).to_owned();
    forward(state, id, request, (Dialect::OpenAi, path)).await
}

/// A request of a client whose base URL is the address of this service.
async fn at_root(state: Shared, id: Id, request: Request, dialect: Dialect) -> Answered {
    let path = request.uri().path().to_owned();
    forward(state, id, request, (dialect, path)).await
}

/// OpenAI's chat completions, whole or as a stream.
#[utoipa::path(post, path = "/v1/chat/completions", tag = "proxy", request_body = Object,
    responses((status = 200, body = Object, description = "The upstream's answer, or that of the model in this process."), NotSent))]
pub(super) async fn chat(state: Shared, id: Id, request: Request) -> Answered {
    openai(state, id, request).await
}

/// OpenAI's responses, whole or as a stream.
#[utoipa::path(post, path = "/v1/responses", tag = "proxy", request_body = Object,
    responses((status = 200, body = Object, description = "The upstream's answer, or that of the model in this process."), NotSent))]
pub(super) async fn responses(state: Shared, id: Id, request: Request) -> Answered {
    openai(state, id, request).await
}

/// OpenAI's completions of a text, whole or as a stream.
#[utoipa::path(post, path = "/v1/completions", tag = "proxy", request_body = Object,
    responses((status = 200, body = Object, description = "The upstream's answer, or that of the model in this process."), NotSent))]
pub(super) async fn completions(state: Shared, id: Id, request: Request) -> Answered {
    openai(state, id, request).await
}

/// Anthropic's messages, whole or as a stream.
#[utoipa::path(post, path = "/v1/messages", tag = "proxy", request_body = Object,
    responses((status = 200, body = Object, description = "The upstream's answer, or that of the model in this process."), NotSent))]
pub(super) async fn messages(state: Shared, id: Id, request: Request) -> Answered {
    at_root(state, id, request, Dialect::Anthropic).await
}

/// Anthropic's count of a request's tokens.
#[utoipa::path(post, path = "/v1/messages/count_tokens", tag = "proxy", request_body = Object,
    responses((status = 200, body = Object, description = "The upstream's count, or that of the model in this process."), NotSent))]
pub(super) async fn count_tokens(state: Shared, id: Id, request: Request) -> Answered {
    at_root(state, id, request, Dialect::Anthropic).await
}

/// The models of all upstreams that speak Azure's dialect.
#[utoipa::path(get, path = "/openai/v1/models", tag = "proxy",
    responses((status = 200, body = Object, description = "The models, in the form of OpenAI's API."), NotSent))]
pub(super) async fn azure_models(state: Shared, id: Id, request: Request) -> Answered {
    listed(state, id, request, Dialect::Azure).await
}

/// OpenAI's API on Azure: `deployments/NAME/chat/completions`, `/completions` and `/embeddings`, `responses`, and the same
/// below `v1/` are understood. Anything else passes unread to the first upstream that speaks the dialect.
#[utoipa::path(method(get, post, put, patch, delete), path = "/openai/{path}", tag = "proxy",
    params(("path" = String, Path, description = "What is asked of the API.")),
    responses((status = 200, body = Object, description = "The upstream's answer, or that of the model in this process."), NotSent))]
pub(super) async fn azure(state: Shared, id: Id, request: Request) -> Answered {
    at_root(state, id, request, Dialect::Azure).await
}

/// Gemini's models, of all upstreams that speak its dialect.
#[utoipa::path(get, path = "/v1beta/models", tag = "proxy",
    responses((status = 200, body = Object, description = "The models, in the form of Gemini's API."), NotSent))]
pub(super) async fn gemini_models(state: Shared, id: Id, request: Request) -> Answered {
    listed(state, id, request, Dialect::Gemini).await
}

/// A method of a model of Gemini's, such as `MODEL:generateContent`, in the first version of its API.
#[utoipa::path(post, path = "/v1/models/{call}", tag = "proxy", request_body = Object,
    params(("call" = String, Path, description = "The model and the method, with a colon between them.")),
    responses((status = 200, body = Object, description = "The upstream's answer."), NotSent))]
pub(super) async fn gemini_call(state: Shared, id: Id, request: Request) -> Answered {
    at_root(state, id, request, Dialect::Gemini).await
}

/// Gemini's API: `models/MODEL:generateContent`, `:streamGenerateContent`, `:countTokens` and `:embedContent` are
/// understood. Anything else passes unread to the first upstream that speaks the dialect.
#[utoipa::path(method(get, post, put, patch, delete), path = "/v1beta/{path}", tag = "proxy",
    params(("path" = String, Path, description = "What is asked of the API.")),
    responses((status = 200, body = Object, description = "The upstream's answer."), NotSent))]
pub(super) async fn gemini(state: Shared, id: Id, request: Request) -> Answered {
    at_root(state, id, request, Dialect::Gemini).await
}

/// Files for Gemini, which pass unread to the first upstream that speaks its dialect.
#[utoipa::path(method(get, post, put, patch, delete), path = "/upload/v1beta/{path}", tag = "proxy",
    params(("path" = String, Path, description = "What is asked of the API.")),
    responses((status = 200, body = Object, description = "The upstream's answer."), NotSent))]
pub(super) async fn gemini_upload(state: Shared, id: Id, request: Request) -> Answered {
    at_root(state, id, request, Dialect::Gemini).await
}

/// Ollama's models, of all upstreams that speak its dialect.
#[utoipa::path(get, path = "/api/tags", tag = "proxy",
    responses((status = 200, body = Object, description = "The models, in the form of Ollama's API."), NotSent))]
pub(super) async fn ollama_models(state: Shared, id: Id, request: Request) -> Answered {
    listed(state, id, request, Dialect::Ollama).await
}

/// Ollama's API: `chat`, `generate`, `embed` and `embeddings` are understood. Anything else passes unread to the first
/// upstream that speaks the dialect.
#[utoipa::path(method(get, post, put, patch, delete), path = "/api/{path}", tag = "proxy",
    params(("path" = String, Path, description = "What is asked of the API.")),
    responses((status = 200, body = Object, description = "The upstream's answer."), NotSent))]
pub(super) async fn ollama(state: Shared, id: Id, request: Request) -> Answered {
    at_root(state, id, request, Dialect::Ollama).await
}

/// Cohere's API in its second version: `chat` and `embed` are understood. Anything else passes unread to the first upstream
/// that speaks the dialect.
#[utoipa::path(method(get, post, put, patch, delete), path = "/v2/{path}", tag = "proxy",
    params(("path" = String, Path, description = "What is asked of the API.")),
    responses((status = 200, body = Object, description = "The upstream's answer."), NotSent))]
pub(super) async fn cohere(state: Shared, id: Id, request: Request) -> Answered {
    at_root(state, id, request, Dialect::Cohere).await
}
