//! `POST /v1/prompt`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;

use super::error::ApiError;
use super::failures::Failures;
use super::job;
use super::state::AppState;
use crate::engine::prompt::api::{PromptRequest, PromptResponse};

/// Finds what collections hold about a question, compresses it to a budget and renders a prompt with citations.
#[utoipa::path(post, path = "/v1/prompt", tag = "retrieval", request_body = PromptRequest,
    params(("x-whittle-deadline-ms" = Option<u64>, Header, description = "Give up after this many milliseconds. Only earlier than the service's own deadline.")),
    responses((status = 200, body = PromptResponse, description = "The prompt."), Failures))]
pub(super) async fn prompt(
    State(state): State<Arc<AppState>>,
    request: Request,
) -> Result<Response, ApiError> {
    job::answer(&state, request, |engine, request: PromptRequest, cancel| {
        engine.prompts().build(&request, cancel)
    })
    .await
}
