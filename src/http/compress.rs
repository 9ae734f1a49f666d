//! `POST /v1/compress`, `POST /v1/recover` and `POST /v1/score`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderName, StatusCode};
use axum::response::Response;

use super::error::ApiError;
use super::failures::Failures;
use super::state::AppState;
use super::{body, job};
use crate::engine::api::{
    CompressRequest, CompressResponse, RecoverRequest, RecoverResponse, ScoreRequest, ScoreResponse,
};

pub(super) const ORIGINAL_TOKENS: HeaderName = HeaderName::from_static("x-whittle-original-tokens");
pub(super) const COMPRESSED_TOKENS: HeaderName = HeaderName::from_static("x-whittle-compressed-tokens");

/// Compresses a prompt.
#[utoipa::path(
    post, path = "/v1/compress", tag = "compression", request_body = CompressRequest,
    params(("x-whittle-deadline-ms" = Option<u64>, Header, description = "Give up after this many milliseconds. Only earlier than the service's own deadline.")),
    responses(
        (status = 200, body = CompressResponse, description = "The compressed prompt.", headers(
            ("x-whittle-original-tokens" = usize, description = "Tokens of the prompt as it was sent."),
            ("x-whittle-compressed-tokens" = usize, description = "Tokens of the compressed prompt."),
        )),
        Failures,
    )
)]
pub(super) async fn compress(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<Response, ApiError> {
    let most_documents = state.limits.documents;
    job::run(&state, request, move |engine, body, cancel| {
        let request: CompressRequest = body::parse(&body)?;
        drop(body);
        check_documents(&request, most_documents)?;
        let answer = engine.compress(request, cancel)?;
        let mut response = body::render(&answer)?;
        let headers = response.headers_mut();
        headers.insert(ORIGINAL_TOKENS, answer.usage.original_tokens.into());
        headers.insert(COMPRESSED_TOKENS, answer.usage.compressed_tokens.into());
        Ok(response)
    })
    .await
}

/// Puts the words of the original back into an answer to a compressed prompt.
#[utoipa::path(
    post, path = "/v1/recover", tag = "compression", request_body = RecoverRequest,
    params(("x-whittle-deadline-ms" = Option<u64>, Header, description = "Give up after this many milliseconds. Only earlier than the service's own deadline.")),
    responses((status = 200, body = RecoverResponse, description = "The restored response."), Failures)
)]
pub(super) async fn recover(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<Response, ApiError> {
    job::answer(&state, request, |engine, request: RecoverRequest, _| engine.recover(&request)).await
}

/// Scores a text token by token.
#[utoipa::path(
    post, path = "/v1/score", tag = "compression", request_body = ScoreRequest,
    params(("x-whittle-deadline-ms" = Option<u64>, Header, description = "Give up after this many milliseconds. Only earlier than the service's own deadline.")),
    responses((status = 200, body = ScoreResponse, description = "A score for each token."), Failures)
)]
pub(super) async fn score(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<Response, ApiError> {
    job::answer(&state, request, |engine, request: ScoreRequest, cancel| engine.score(&request, cancel)).await
}

fn check_documents(request: &CompressRequest, most: usize) -> Result<(), ApiError> {
    let count = request.documents.as_ref().map_or(0, Vec::len);
    if count <= most {
        return Ok(());
    }
    let message = format!("{count} documents are more than the limit of {most} (`limits.documents`)");
    let error = ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_many_documents", message);
    Err(error.with_param("documents"))
}
