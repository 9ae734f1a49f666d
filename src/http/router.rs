//! The table of routes.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post, put};
use tower_http::catch_panic::CatchPanicLayer;

use super::error::ApiError;
use super::state::AppState;
use super::{
    auth, collections, compress, dialects, docs, embeddings, evaluations, examples, framing, keys, mcp,
    metrics, middleware, operations, origin, originals, page, prompt, proxy, reading, shadow, status,
    transfer,
};

/// All routes, with everything around them.
pub(super) fn router(state: Arc<AppState>) -> Router {
    let guarded = Router::new()
        .route("/v1/compress", post(compress::compress))
        .route("/v1/recover", post(compress::recover))
        .route("/v1/score", post(compress::score))
        .route("/v1/score/tokens", post(compress::score_tokens))
        .route("/v1/embeddings", post(embeddings::here_or_upstream))
        .route("/v1/extract", put(reading::extract))
        .route("/v1/prompt", post(prompt::prompt))
        .route("/v1/rerank", post(embeddings::rerank))
        .merge(collections::routes())
        .merge(transfer::routes())
        .merge(examples::routes())
        .merge(keys::routes())
        .merge(metrics::routes())
        .merge(status::routes())
        .merge(shadow::routes())
        .merge(evaluations::routes())
        .merge(dialects::routes())
        .merge(proxy::routes())
        .merge(originals::routes())
        .merge(mcp::routes())
        .route_layer(from_fn_with_state(Arc::clone(&state), auth::check));
    let routes = Router::new()
        .route("/healthz", get(operations::healthz))
        .route("/readyz", get(operations::readyz))
        .route("/openapi.json", get(operations::openapi))
        .merge(docs::routes())
        .merge(if state.page { page::routes() } else { operations::without_page() })
        .merge(guarded)
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(Arc::clone(&state), origin::check))
        .with_state(state);
    wrapped(routes)
}

/// `routes` with request ids, one log line a request, panics caught, and ambiguous requests refused. The last layer is the outermost.
pub(super) fn wrapped(routes: Router) -> Router {
    routes
        .layer(axum::middleware::from_fn(framing::check))
        .layer(CatchPanicLayer::custom(middleware::panicked))
        .layer(axum::middleware::from_fn(middleware::observe))
}

async fn unknown_path() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "unknown_path",
        "no such path; GET /openapi.json lists those that exist",
    )
}

async fn wrong_method(request: Request) -> ApiError {
    let message =
        format!("this path does not take {}; the Allow header lists what it takes", request.method());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}
