//! `POST /mcp`: the Model Context Protocol by streamable HTTP.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::any;
use axum::{Extension, Router};

use super::failures::Failures;
use super::proxy::Sender;
use super::state::AppState;

/// The route of the protocol. It answers what methods it does not take itself, in its own form.
pub(super) fn routes() -> Router<Arc<AppState>> {
    Router::new().route("/mcp", any(mcp))
}

/// Answers one message of the Model Context Protocol: the tools, resources and prompts that `whittle help agents` lists.
///
/// Each request stands alone, there are no sessions. Closing the connection cancels a request.
#[utoipa::path(post, path = "/mcp", tag = "operations", request_body = Object,
    responses(
        (status = 200, content((Object = "application/json"), (String = "text/event-stream")),
            description = "The answer; as events where progress comes before it."),
        (status = 202, description = "A notification was taken."),
        Failures,
    ))]
pub(super) async fn mcp(State(state): State<Arc<AppState>>, caller: Sender, request: Request) -> Response {
    let caller = caller.map(|Extension(caller)| caller);
    state.mcp.for_caller(caller).answer(request).await.map(Body::new)
}
