//! `GET /healthz`, `GET /readyz` and `GET /openapi.json`: for whoever runs the service.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::{IntoResponses, OpenApi, ToSchema};

use super::error::{ApiError, ErrorEnvelope};
use super::state::AppState;
use super::{body, collections, compress, dialects, embeddings, examples, metrics, prompt, proxy, transfer};
use crate::engine::Readiness;
use crate::engine::collections::api::OnBad;

/// The error answers of a route that works on a request.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only described, never made")]
pub(super) enum Failures {
    /// The request is malformed or contradicts itself.
    #[response(status = 400)]
    Invalid(ErrorEnvelope),
    /// The resource that the request names does not exist.
    #[response(status = 404)]
    NotFound(ErrorEnvelope),
    /// A resource of that name exists already with other settings.
    #[response(status = 409)]
    Conflict(ErrorEnvelope),
    /// The body did not arrive in time.
    #[response(status = 408)]
    SlowBody(ErrorEnvelope),
    /// The body, the number of documents or the prompt is over a limit.
    #[response(status = 413)]
    TooLarge(ErrorEnvelope),
    /// The body is not declared as what the route takes.
    #[response(status = 415)]
    OtherType(ErrorEnvelope),
    /// The request is well formed but cannot be met: the budget is below what must be kept, or the file cannot be read.
    #[response(status = 422)]
    Infeasible(ErrorEnvelope),
    /// A fault on this side.
    #[response(status = 500)]
    Internal(ErrorEnvelope),
    /// Too many requests wait, or a model cannot be had.
    #[response(status = 503)]
    Unavailable(ErrorEnvelope),
    /// The deadline passed.
    #[response(status = 504)]
    Deadline(ErrorEnvelope),
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Whittle"),
    paths(
        compress::compress, compress::recover, compress::score,
        collections::list, collections::create, collections::describe, collections::remove,
        collections::upsert, collections::documents, collections::document, collections::delete_document,
        collections::put_file, collections::delete_documents, collections::search,
        transfer::export, transfer::snapshot, transfer::restore,
        examples::list_banks, examples::describe_bank, examples::remove_bank, examples::add_examples,
        examples::list_examples, examples::example, examples::delete_example, examples::select_examples,
        embeddings::embed, embeddings::rerank, prompt::prompt,
        dialects::chat, dialects::responses, dialects::completions, dialects::messages, dialects::count_tokens,
        proxy::models, proxy::usage, proxy::below,
        metrics::metrics, healthz, readyz, openapi
    ),
    components(schemas(OnBad)),
    tags(
        (name = "compression", description = "Make prompts smaller, and see what decides it."),
        (name = "retrieval", description = "Documents that last, and search in them; vectors and rankings."),
        (name = "proxy", description = "The APIs of OpenAI and Anthropic, in front of upstreams or of the model in this process."),
        (name = "operations", description = "For whoever runs the service."),
    )
)]
pub(super) struct ApiDoc;

/// State of the service.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    /// `ok`; of readiness, `ready` or `idle`, where the models load with the first request.
    status: &'static str,
    /// Version of whittle.
    version: &'static str,
}

impl Health {
    fn new(status: &'static str) -> Self {
        Self { status, version: env!("CARGO_PKG_VERSION") }
    }
}

/// Reports that the process is alive.
#[utoipa::path(get, path = "/healthz", tag = "operations", responses((status = 200, body = Health, description = "It is.")))]
pub(super) async fn healthz() -> Result<Response, ApiError> {
    body::render(&Health::new("ok"))
}

/// Reports whether the service can serve requests.
#[utoipa::path(get, path = "/readyz", tag = "operations", responses(
    (status = 200, body = Health, description = "It can."),
    (status = 503, body = ErrorEnvelope, description = "A model could not be had."),
))]
pub(super) async fn readyz(State(state): State<Arc<AppState>>) -> Result<Response, ApiError> {
    match state.service.readiness() {
        Readiness::Ready => body::render(&Health::new("ready")),
        Readiness::Idle => body::render(&Health::new("idle")),
        Readiness::Failed => {
            let message = "the model could not be had; `whittle models verify` says why";
            Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "model_unavailable", message))
        }
    }
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "operations", responses((status = 200, body = Object, description = "An OpenAPI document.")))]
pub(super) async fn openapi() -> Result<Response, ApiError> {
    body::render(&ApiDoc::openapi())
}
