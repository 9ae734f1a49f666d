//! `GET /healthz`, `GET /readyz` and `GET /openapi.json`: for whoever runs the service.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use super::error::{ApiError, ErrorEnvelope};
use super::state::AppState;
use super::{
    body, collections, compress, dialects, docs, embeddings, evaluations, examples, keys, mcp, metrics,
    originals, page, prompt, proxy, reading, shadow, status, transfer,
};
use crate::config::WhenAway;
use crate::engine::collections::api::OnBad;
use crate::engine::{Readiness, RemoteModel, STORE_AWAY};

#[derive(OpenApi)]
#[openapi(
    info(title = "Whittle"),
    paths(
        compress::compress, compress::recover, compress::score, compress::score_tokens, reading::extract,
        collections::list, collections::create, collections::describe, collections::remove,
        collections::upsert, collections::documents, collections::document, collections::delete_document,
        collections::put_file, collections::delete_documents, collections::search,
        transfer::export, transfer::snapshot, transfer::restore,
        examples::list_banks, examples::describe_bank, examples::remove_bank, examples::add_examples,
        examples::list_examples, examples::example, examples::delete_example, examples::select_examples,
        embeddings::embed, embeddings::rerank, prompt::prompt,
        dialects::chat, dialects::responses, dialects::completions, dialects::messages, dialects::count_tokens,
        dialects::azure_models, dialects::azure, dialects::gemini_models, dialects::gemini_call, dialects::gemini,
        dialects::gemini_upload, dialects::ollama_models, dialects::ollama, dialects::cohere,
        proxy::models, proxy::model, proxy::usage, shadow::shadow, proxy::below, originals::original,
        keys::list, keys::create, keys::revoke, mcp::mcp, page::index, page::file, docs::list, docs::guide, metrics::metrics, status::status, evaluations::list, evaluations::one, healthz, readyz, openapi
    ),
    components(schemas(OnBad)),
    tags(
        (name = "compression", description = "Make prompts smaller, and see what decides it."),
        (name = "retrieval", description = "Documents that last, and search in them; vectors and rankings."),
        (name = "proxy", description = "The APIs of OpenAI, also on Azure, Anthropic, Google (Gemini), Ollama and Cohere, in front of upstreams or of the model in this process."),
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
    /// `up` or `away`: the state of the server that replicas share; missing where they share none.
    #[serde(skip_serializing_if = "Option::is_none")]
    shared: Option<&'static str>,
    /// `up` where collections are in PostgreSQL; missing where they are in the data folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    postgres: Option<&'static str>,
}

impl Health {
    fn new(status: &'static str) -> Self {
        Self { status, version: env!("CARGO_PKG_VERSION"), shared: None, postgres: None }
    }
}

/// The route `/` where there is no page: it returns an empty answer, for clients of Ollama ask there first whether
/// anybody is there.
pub(super) fn without_page() -> Router<Arc<AppState>> {
    Router::new().route("/", get(|| async { "" }))
}

/// Reports that the process is alive.
#[utoipa::path(get, path = "/healthz", tag = "operations", responses((status = 200, body = Health, description = "It is.")))]
pub(super) async fn healthz() -> Result<Response, ApiError> {
    body::render(&Health::new("ok"))
}

/// Reports whether the service can serve requests.
#[utoipa::path(get, path = "/readyz", tag = "operations", responses(
    (status = 200, body = Health, description = "It can."),
    (status = 503, body = ErrorEnvelope, description = "A model could not be had, or the server or database that replicas share is away."),
))]
pub(super) async fn readyz(State(state): State<Arc<AppState>>) -> Result<Response, ApiError> {
    let unavailable = |code, message: &str| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, code, message);
    let status = match state.engine.readiness() {
        Readiness::Ready => "ready",
        Readiness::Idle => "idle",
        Readiness::Failed => {
            let failed = state.engine.remote_models().into_iter().find(RemoteModel::fails_requests);
            let message = match failed {
                Some(RemoteModel { role, .. }) => {
                    format!("the remote {role} could not be asked; `whittle models verify` says why")
                }
                None => "the model could not be had; `whittle models verify` says why".into(),
            };
            return Err(unavailable("model_unavailable", &message));
        }
    };
    let postgres = state.engine.database().map(|database| match database.away() {
        None => Ok("up"),
        Some(away) => Err(unavailable(STORE_AWAY, &away.to_string())),
    });
    let shared = state.shared().map(|shared| match (shared.away(), shared.when_away()) {
        (None, _) => Ok("up"),
        (Some(_), WhenAway::Local) => Ok("away"),
        (Some(away), WhenAway::Refuse) => {
            let message = format!("the server that replicas share (`shared.url`) is away: {away}");
            Err(unavailable("shared_unavailable", &message))
        }
    });
    body::render(&Health {
        shared: shared.transpose()?,
        postgres: postgres.transpose()?,
        ..Health::new(status)
    })
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "operations", responses((status = 200, body = Object, description = "An OpenAPI document.")))]
pub(super) async fn openapi() -> Result<Response, ApiError> {
    body::render(&ApiDoc::openapi())
}
